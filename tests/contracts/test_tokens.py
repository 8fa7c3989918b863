"""The TokenVerifier port: every token of the vectors, lifetimes, rotation, and an issuer that fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from jwt.algorithms import RSAAlgorithm

from shared.adapters.azure.entra import EntraTokens
from shared.adapters.jwks import RemoteKeys, discovered, fetch_json, key_table
from shared.adapters.oidc import REMEMBERED_SECONDS, OidcTokens
from shared.domain.kernel.errors import Transient
from shared.ports.clock import Clock
from shared.ports.tokens import TokenRefused, TokenVerifier
from tests.contracts.vectors.jwt import ACCEPTED, ROWS, Row
from tests.standins.entra import DIRECTORY, EntraIssuer
from tests.support.app import SteppingClock
from tests.support.tokens import AUDIENCE, ISSUER, Tokens, ec_key, public_jwk, rsa_key

KEYS_URL = f"{ISSUER}/keys"


class FakeIssuer:
    """Answers for URLs, counts how often it is asked, and fails or dawdles when told to."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked: list[str] = []
        self.down = False
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, url: str) -> dict[str, Any]:
        self.asked.append(url)
        await self.open.wait()
        if self.down:
            raise Transient(f"{url} cannot be reached; try again later.")
        if url == f"{ISSUER}/.well-known/openid-configuration":
            return {"issuer": ISSUER, "jwks_uri": KEYS_URL}
        assert url == KEYS_URL
        return {"keys": list(self.keys)}


class Made(NamedTuple):
    """An issuer's tokens, and a verifier that believes them."""

    tokens: Tokens
    verifier: TokenVerifier


def _oidc(clock: Clock) -> Made:
    tokens = Tokens(clock)
    return Made(tokens, tokens.verifier())


def _oidc_by_discovery(clock: Clock) -> Made:
    tokens = Tokens(clock)
    issuer = FakeIssuer(*tokens.jwks()["keys"])
    return Made(tokens, OidcTokens(ISSUER, AUDIENCE, clock, fetch=issuer.fetch))


def _entra(clock: Clock) -> Made:
    tokens = EntraIssuer(clock)
    keys = tokens.jwks()

    async def fetch(url: str) -> dict[str, Any]:
        return keys if url == KEYS_URL else {"issuer": tokens.issuer, "jwks_uri": KEYS_URL}

    return Made(tokens, EntraTokens({DIRECTORY: "acme"}, AUDIENCE, clock, fetch=fetch))


@pytest.fixture(params=[_oidc, _oidc_by_discovery, _entra], ids=["in-process", "discovery", "entra"])
def made(request: pytest.FixtureRequest, clock: SteppingClock) -> Made:
    make: Callable[[Clock], Made] = request.param
    return make(clock)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_token_is_judged_as_its_vector_says(row: Row, made: Made) -> None:
    tokens, verifier = made
    token = row.build(tokens)
    if row.expected == ACCEPTED:
        assert (await verifier.verify(token))["iss"] == tokens.issuer
        return
    with pytest.raises(TokenRefused) as refused:
        await verifier.verify(token)
    assert row.expected in refused.value.message
    for segment in token.split("."):
        assert len(segment) < 8 or segment not in refused.value.message


def test_the_vectors_are_many_and_distinct() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60


async def test_the_claims_come_back_and_cannot_be_changed(made: Made) -> None:
    token = made.tokens.mint(tenant="acme", scopes=["a", "b"], scp="a b")
    claims = await made.verifier.verify(token)
    assert claims["tenantId"] == "acme"
    assert claims["scope"] == "a b"
    with pytest.raises(TypeError):
        claims["tenantId"] = "other"  # type: ignore[index]


async def test_a_remembered_token_expires_all_the_same(made: Made, clock: SteppingClock) -> None:
    verifier, token = made.verifier, made.tokens.mint()
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first
    clock.advance(hours=1)
    with pytest.raises(TokenRefused, match="expired"):
        await verifier.verify(token)


async def test_a_withdrawn_key_stops_verifying_within_five_minutes(clock: SteppingClock) -> None:
    tokens = Tokens(clock)
    keys = tokens.jwks()["keys"]
    verifier = OidcTokens(ISSUER, AUDIENCE, clock, keys=lambda: {"keys": list(keys)})
    token = tokens.mint()
    await verifier.verify(token)
    keys.clear()
    with pytest.raises(TokenRefused, match="key"):
        await verifier.verify(tokens.mint(subject="ben"))
    clock.advance(seconds=REMEMBERED_SECONDS)
    with pytest.raises(TokenRefused, match="key"):
        await verifier.verify(token)


async def test_a_new_key_of_a_local_issuer_verifies_at_once(clock: SteppingClock) -> None:
    tokens = Tokens(clock)
    keys = [public_jwk(ec_key("main"), "curve")]
    verifier = OidcTokens(ISSUER, AUDIENCE, clock, keys=lambda: {"keys": list(keys)})
    with pytest.raises(TokenRefused, match="key"):
        await verifier.verify(tokens.mint())
    keys.append(public_jwk(rsa_key("main"), "main"))
    await verifier.verify(tokens.mint())


async def test_a_rotated_key_is_fetched_when_a_token_first_names_it(clock: SteppingClock) -> None:
    tokens, issuer = Tokens(clock), FakeIssuer(public_jwk(ec_key("main"), "curve"))
    verifier = OidcTokens(ISSUER, AUDIENCE, clock, jwks_url=KEYS_URL, fetch=issuer.fetch)
    await verifier.verify(tokens.forge(algorithm="ES256"))
    issuer.keys.append(public_jwk(rsa_key("main"), "main"))
    with pytest.raises(TokenRefused, match="key"):
        await verifier.verify(tokens.mint())  # within the cooldown
    clock.advance(seconds=30)
    await verifier.verify(tokens.mint())
    assert issuer.asked == [KEYS_URL] * 2


async def test_forged_key_ids_cause_one_fetch_in_thirty_seconds(clock: SteppingClock) -> None:
    tokens, issuer = Tokens(clock), FakeIssuer(public_jwk(rsa_key("main"), "main"))
    verifier = OidcTokens(ISSUER, AUDIENCE, clock, jwks_url=KEYS_URL, fetch=issuer.fetch)
    await verifier.verify(tokens.mint())
    clock.advance(seconds=30)
    for number in range(50):
        with pytest.raises(TokenRefused, match="key"):
            await verifier.verify(tokens.forge(header={"kid": f"forged-{number}"}))
    assert len(issuer.asked) == 2


async def test_a_key_id_the_issuer_denied_is_not_asked_for_again_soon(clock: SteppingClock) -> None:
    issuer = FakeIssuer(public_jwk(rsa_key("main"), "main"))
    keys = RemoteKeys(discovered(ISSUER, KEYS_URL, issuer.fetch), clock)
    for expected in (1, 1, 1):
        assert await keys.find("forged", "RS256") is None
        assert len(issuer.asked) == expected
        clock.advance(seconds=40)
    clock.advance(seconds=300)
    assert await keys.find("forged", "RS256") is None
    assert len(issuer.asked) == 2


async def test_many_first_callers_share_one_fetch(clock: SteppingClock) -> None:
    issuer = FakeIssuer(public_jwk(rsa_key("main"), "main"))
    issuer.open.clear()
    keys = RemoteKeys(discovered(ISSUER, "", issuer.fetch), clock)
    calls = [asyncio.create_task(keys.find("main", "RS256")) for _ in range(20)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    issuer.open.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(callable(one) for one in found[1:])
    assert len(issuer.asked) == 2  # discovery and keys


async def test_old_keys_serve_for_a_day_while_the_issuer_is_down(clock: SteppingClock) -> None:
    tokens, issuer = Tokens(clock), FakeIssuer(public_jwk(rsa_key("main"), "main"))
    verifier = OidcTokens(ISSUER, AUDIENCE, clock, jwks_url=KEYS_URL, fetch=issuer.fetch)
    await verifier.verify(tokens.mint())
    issuer.down = True
    clock.advance(hours=23, minutes=59)
    await verifier.verify(tokens.mint())
    await asyncio.sleep(0)
    assert len(issuer.asked) == 2  # it was asked, beside
    clock.advance(minutes=2)
    with pytest.raises(Transient, match="cannot be reached"):
        await verifier.verify(tokens.mint())
    issuer.down = False
    clock.advance(seconds=1)
    await verifier.verify(tokens.mint())


async def test_keys_are_renewed_hourly_without_making_a_caller_wait(clock: SteppingClock) -> None:
    issuer = FakeIssuer(public_jwk(rsa_key("main"), "main"))
    keys = RemoteKeys(discovered(ISSUER, KEYS_URL, issuer.fetch), clock)
    await keys.find("main", "RS256")
    clock.advance(hours=1)
    issuer.open.clear()
    assert await keys.find("main", "RS256") is not None
    issuer.keys.clear()
    issuer.open.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert await keys.find("main", "RS256") is None


async def test_with_no_key_at_all_the_issuer_is_asked_again_within_a_second(clock: SteppingClock) -> None:
    tokens, issuer = Tokens(clock), FakeIssuer(public_jwk(rsa_key("main"), "main"))
    issuer.down = True
    verifier = OidcTokens(ISSUER, AUDIENCE, clock, fetch=issuer.fetch)
    for _ in range(3):
        with pytest.raises(Transient):
            await verifier.verify(tokens.mint())
    assert len(issuer.asked) == 1
    issuer.down = False
    clock.advance(seconds=1)
    await verifier.verify(tokens.mint())


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"issuer": "https://evil.test", "jwks_uri": KEYS_URL}, "another issuer"),
        ({"issuer": ISSUER}, "jwks_uri"),
        ({"issuer": ISSUER, "jwks_uri": "http://issuer.test/keys"}, "jwks_uri"),
        ({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
    ],
)
async def test_a_discovery_document_that_misleads_is_not_followed(
    document: dict[str, Any], reason: str
) -> None:
    async def fetch(url: str) -> dict[str, Any]:
        return document

    with pytest.raises(Transient, match=reason):
        await discovered(ISSUER, "", fetch)()


def test_keys_that_are_unfit_for_signatures_are_left_out() -> None:
    sound = public_jwk(rsa_key("main"), "sound")
    small = public_jwk(rsa_key("small", 1024), "small")
    private = {**RSAAlgorithm.to_jwk(rsa_key("main"), as_dict=True), "key_ops": ["verify"]}
    document = {
        "keys": [
            sound,
            small,
            {**sound, "kid": "encrypts", "use": "enc"},
            {**sound, "kid": "signs", "key_ops": ["sign"]},
            {**sound, "kid": "odd", "key_ops": 5},
            {**private, "kid": "private"},
            {**sound, "kid": "other-alg", "alg": "RS512"},
            {**sound, "kid": "crossed-alg", "alg": "ES256"},
            {**sound, "kid": "only-pss", "alg": "PS256"},
            {**sound, "kid": 7},
            {**sound, "kid": "no-modulus", "n": None},
            {**sound, "kid": "even-exponent", "e": "Ag"},
            {"kty": "oct", "kid": "shared", "k": "AAAA"},
            {**public_jwk(ec_key("main"), "off-curve"), "y": "A" * 43},
            {**public_jwk(ec_key("main"), "other-curve"), "crv": "P-384"},
            public_jwk(ec_key("main"), "curve"),
            "not a key",
            {**small, "kid": "sound"},
        ]
    }
    pairs = {("sound", "RS256"), ("sound", "PS256"), ("only-pss", "PS256"), ("curve", "ES256")}
    assert set(key_table(document)) == pairs


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": [None, []]}])
def test_a_document_without_keys_gives_none(document: dict[str, Any]) -> None:
    assert key_table(document) == {}


@asynccontextmanager
async def _served(answer: web.Response) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_get("/keys", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/keys"
    finally:
        await runner.cleanup()


async def test_a_key_document_is_fetched_over_http() -> None:
    async with _served(web.json_response({"keys": []})) as url:
        assert await fetch_json(url) == {"keys": []}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.Response(status=302, headers={"location": "/elsewhere"}), "answered 302"),
        (web.Response(status=503), "answered 503"),
        (web.Response(body=b" " * (1024 * 1024 + 1)), "no key document"),
        (web.Response(body=b"<html>"), "did not answer JSON"),
        (web.Response(body=b"\xff"), "did not answer JSON"),
        (web.Response(body=b"[" * 100_000), "did not answer JSON"),
        (web.Response(body=b"[]"), "JSON object"),
    ],
    ids=["redirect", "down", "huge", "html", "not-utf8", "nested", "list"],
)
async def test_an_answer_that_is_no_key_document_is_transient(answer: web.Response, reason: str) -> None:
    async with _served(answer) as url:
        with pytest.raises(Transient, match=reason):
            await fetch_json(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/keys", "not a url", "http://[/keys"])
async def test_an_issuer_that_cannot_be_reached_is_transient(url: str) -> None:
    with pytest.raises(Transient, match="cannot be reached"):
        await fetch_json(url)
