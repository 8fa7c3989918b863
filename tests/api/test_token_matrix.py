"""Every secured endpoint against every token that must not pass, through the verifier that is deployed."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from jsonschema.validators import validator_for  # type: ignore[import-untyped]

from functions.http.dialects import Shape, delivery_error, orchestrator_error, problem_details
from functions.http.endpoint import Endpoint
from functions.http.surface import endpoint_table
from functions.routes import declared
from shared.adapters.jwks import COOLDOWN_SECONDS, RETRY_SECONDS
from shared.adapters.oidc import OidcTokens
from shared.domain.kernel.errors import Transient
from tests.api.kit_notes import CATALOGUE, Kit, told
from tests.support.api import Answer, Api, an_api
from tests.support.app import SteppingClock
from tests.support.tokens import AUDIENCE, ISSUER, Tokens, public_jwk, rsa_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECURED = [endpoint for endpoint in endpoint_table(declared()) if not endpoint.is_public]
DIALECTS = [endpoint for endpoint in endpoint_table(CATALOGUE) if endpoint.name.endswith("_write_note")]
TOKENS = Tokens(SteppingClock())
HARMLESS = "devops.other.read"
AN_ID = "7a1c0f4e9b2d4c55a0e6d1f38b9c2a10"


class Row(NamedTuple):
    """`authorization` is the whole header, None for no header. `error` is what the challenge must name."""

    name: str
    authorization: str | None
    status: int
    error: str | None


def _claims(**claims: object) -> str:
    """A sound token that grants everything, but for these claims; None leaves one out."""
    members = TOKENS.claims() | {"roles": ["admin"]} | claims
    return TOKENS.forge(claims={name: value for name, value in members.items() if value is not None})


def _header(**header: object) -> str:
    return TOKENS.forge(claims=TOKENS.claims() | {"roles": ["admin"]}, header=header)


def _signed(algorithm: str, **more: Any) -> str:
    return TOKENS.forge(claims=TOKENS.claims() | {"roles": ["admin"]}, algorithm=algorithm, **more)


def _refused(name: str, token: str) -> Row:
    return Row(name, f"Bearer {token}", 401, "invalid_token")


NOW = TOKENS.claims()["iat"]
STRANGERS_KEY = public_jwk(rsa_key("stranger"), "stranger")
GOOD = _claims()
ROWS = (
    Row("no token", None, 401, None),
    Row("an empty header", "", 401, None),
    Row("Bearer and nothing", "Bearer ", 401, "invalid_token"),
    Row("Basic", "Basic YW5uOnNlY3JldC1vZi1hbm4=", 401, "invalid_token"),
    Row("the bare token", GOOD, 401, "invalid_token"),
    Row("two headers joined", f"Bearer {GOOD}, Bearer {GOOD}", 401, "invalid_token"),
    Row("another scheme joined", f"Basic YW5uOnNlY3JldA==, Bearer {GOOD}", 401, "invalid_token"),
    _refused("malformed", "garbage.in.text"),
    _refused("truncated", GOOD[:-5]),
    _refused("expired", _claims(exp=NOW - 1)),
    _refused("no expiry", _claims(exp=None)),
    _refused("not yet valid", _claims(nbf=NOW + 3600)),
    _refused("wrong issuer", _claims(iss="https://evil.test")),
    _refused("wrong audience", _claims(aud="other")),
    _refused("alg none", _signed("none")),
    _refused("alg none with a signature", _signed("RS256", header={"alg": "none"})),
    _refused("HS256 keyed with the public key", _signed("HS256")),
    _refused("HS256 under RS256", _signed("HS256", header={"alg": "RS256"})),
    _refused("another's key", _signed("RS256", key="stranger")),
    _refused("unknown kid", _header(kid="unknown")),
    _refused("no kid", _header(kid=None)),
    _refused("no sub", _claims(sub=None)),
    _refused("the platform as sub", _claims(sub="system:pipelines")),
    _refused("no tenant", _claims(tenantId=None)),
    _refused("tenant an array", _claims(tenantId=["acme"])),
    _refused("tenant empty", _claims(tenantId="")),
    _refused("tenant a path", _claims(tenantId="acme/../rival")),
    _refused("typ of another use", _header(typ="logout+jwt")),
    _refused("no typ", _header(typ=None)),
    _refused("jku", _signed("RS256", key="stranger", header={"jku": "https://evil.test/jwks.json"})),
    _refused("x5u", _signed("RS256", key="stranger", header={"x5u": "https://evil.test/cert.pem"})),
    _refused("jwk", _signed("RS256", key="stranger", header={"jwk": STRANGERS_KEY, "kid": "stranger"})),
    _refused("100 KB", _claims(padding="x" * 75_000)),
    Row("no scope", f"Bearer {_claims(roles=None)}", 403, "insufficient_scope"),
    Row("another scope", f"Bearer {_claims(roles=None, scope=HARMLESS)}", 403, "insufficient_scope"),
)
"""Built once: signing is what costs."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    made = an_api(Path(tmp_path_factory.mktemp("tokens")), tokens=TOKENS.verifier(), clock=TOKENS.clock)
    yield made
    await made.app.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kit(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kit]:
    made = Kit(Path(tmp_path_factory.mktemp("dialects")))
    made.app.tokens = TOKENS.verifier()  # type: ignore[misc]
    yield made
    await made.close()


async def call(api: Api, endpoint: Endpoint, authorization: str | None) -> Answer:
    """Ids that nobody has, and no body: whoever is let in gets no further, and changes nothing."""
    path = re.sub(r"\{\w+\}", AN_ID, endpoint.path)
    headers = {} if authorization is None else {"authorization": authorization}
    return await api.send(endpoint.method, path, token=None, **headers)


@cache
def error_schema(surface: str) -> Any:
    """Checked once: `jsonschema.validate` would check the schema itself again with each of 4,000 answers."""
    schema = dict({**CATALOGUE, **declared()}[surface].dialect.error_schema)
    checked = validator_for(schema)
    checked.check_schema(schema)
    return checked(schema)


def secrets_in(row: Row, text: str) -> list[str]:
    """The longer words of the header that are said again, which none may be."""
    words = re.split(r"[ ,.]+", row.authorization or "")
    return [word for word in words if len(word) > 12 and word in text]


def assert_refused(
    row: Row, endpoint: Endpoint, status: int, content: bytes, headers: Mapping[str, str]
) -> None:
    assert status == row.status, (row.name, content)
    error_schema(endpoint.surface).validate(json.loads(content))
    challenge = headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="slipway"'), row.name
    # RFC 6750, section 3.1: a request that brings no token is told no error.
    assert re.findall(r'\berror="(\w+)"', challenge) == ([row.error] if row.error else []), row.name
    if row.status == 403:
        assert f'scope="{endpoint.scope}"' in challenge
    assert secrets_in(row, content.decode() + str(dict(headers))) == [], row.name


@pytest.mark.parametrize("endpoint", SECURED, ids=lambda endpoint: endpoint.name)
async def test_no_unsound_token_passes(
    api: Api, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = (await api.app.feed.read("", 1_000_000)).documents
    for row in ROWS:
        answer = await call(api, endpoint, row.authorization)
        assert_refused(row, endpoint, answer.status, answer.raw, answer.headers)
        assert secrets_in(row, caplog.text) == [], row.name
        caplog.clear()
    assert (await api.app.feed.read("", 1_000_000)).documents == before, "a refused caller wrote something"


@pytest.mark.parametrize("endpoint", SECURED, ids=lambda endpoint: endpoint.name)
async def test_a_sound_token_with_the_scope_passes(api: Api, endpoint: Endpoint) -> None:
    """Else the matrix would hold for a door that is walled up."""
    token = _claims(roles=None, scope=endpoint.scope)
    answer = await call(api, endpoint, f"bearer {token}")
    assert answer.status in (200, 201, 204, 400, 404, 415), answer.body


CODES: Mapping[Shape, Mapping[tuple[int, bool], str]] = {
    problem_details: {
        (401, True): "missing_token",
        (401, False): "invalid_token",
        (403, False): "insufficient_scope",
    },
    delivery_error: {
        (401, True): "authentication_failed",
        (401, False): "authentication_failed",
        (403, False): "authorization_failed",
    },
    orchestrator_error: {
        (401, True): "AUTH_TOKEN_MISSING",
        (401, False): "AUTH_TOKEN_INVALID",
        (403, False): "PERM_DENIED",
    },
}


@pytest.mark.parametrize("endpoint", DIALECTS, ids=lambda endpoint: endpoint.surface)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_every_dialect_refuses_in_its_own_shape(kit: Kit, endpoint: Endpoint, row: Row) -> None:
    headers: Any = {} if row.authorization is None else {"authorization": row.authorization}
    response = await kit.send("POST", endpoint.path, {"title": "one"}, token=None, **headers)
    assert_refused(row, endpoint, response.status_code, response.get_body(), response.headers)
    assert response.mimetype == endpoint.dialect.error_type
    code = CODES[endpoint.dialect.error][row.status, row.authorization in (None, "")]
    body = told(response)
    assert body.get("error", body)["code"] == code


class RemoteIssuer:
    """Publishes its keys at a URL, counts how often it is asked, and may be down."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False

    async def fetch(self, url: str) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise Transient("The issuer cannot be reached; try again later.")
        return TOKENS.jwks()


@dataclass
class Remote:
    """An installation whose issuer is another process."""

    api: Api
    issuer: RemoteIssuer
    clock: SteppingClock

    async def ask(self, token: str) -> Answer:
        return await self.api.send("GET", "/limits", token=token)

    def mint(self, subject: str, audience: str = AUDIENCE) -> str:
        return Tokens(self.clock, audience=audience).mint(subject=subject, roles=["admin"])


@pytest_asyncio.fixture(loop_scope="module")
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    clock, issuer = SteppingClock(), RemoteIssuer()
    verifier = OidcTokens(ISSUER, AUDIENCE, clock, jwks_url=f"{ISSUER}/keys", fetch=issuer.fetch)
    made = an_api(tmp_path, tokens=verifier, clock=clock)
    yield Remote(made, issuer, clock)
    await made.app.aclose()


async def test_callers_do_not_notice_that_the_issuer_is_down_while_its_keys_are_known(
    remote: Remote,
) -> None:
    await outage_is_not_noticed(remote)


async def outage_is_not_noticed(remote: Remote) -> None:
    assert (await remote.ask(remote.mint("ann"))).status == 200
    remote.issuer.down = True
    for hours in (2, 10, 11):
        remote.clock.advance(hours=hours)
        assert (await remote.ask(remote.mint(f"after-{hours}"))).status == 200
        await asyncio.sleep(0.001)  # the issuer is asked beside; what comes of it must not be noticed either
        assert (await remote.ask(remote.mint(f"again-{hours}"))).status == 200
        assert (await remote.ask(remote.mint("eve", "other"))).status == 401


async def test_keys_that_are_cleared_by_an_error_are_found(tmp_path: Path) -> None:
    """The test of the test above: an issuer that cannot be reached is taken for one without keys."""
    clock, issuer = SteppingClock(), RemoteIssuer()

    async def careless(url: str) -> dict[str, Any]:
        return {"keys": []} if issuer.down else await issuer.fetch(url)

    verifier = OidcTokens(ISSUER, AUDIENCE, clock, jwks_url=f"{ISSUER}/keys", fetch=careless)
    made = an_api(tmp_path, tokens=verifier, clock=clock)
    try:
        with pytest.raises(AssertionError):
            await outage_is_not_noticed(Remote(made, issuer, clock))
    finally:
        await made.app.aclose()


async def test_without_any_key_it_is_503_with_when_to_come_back_and_never_401(remote: Remote) -> None:
    remote.issuer.down = True
    for token in (remote.mint("ann"), remote.mint("eve", "other")):
        answer = await remote.ask(token)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert "WWW-Authenticate" not in answer.headers
        assert answer.body["code"] == "temporarily_unavailable"
        assert token not in answer.raw.decode()
    assert (await remote.ask("garbage")).status == 401, "what no key could mend is still refused"
    remote.issuer.down = False
    remote.clock.advance(seconds=RETRY_SECONDS)
    assert (await remote.ask(remote.mint("ann"))).status == 200


async def test_keys_older_than_a_day_serve_nobody(remote: Remote) -> None:
    assert (await remote.ask(remote.mint("ann"))).status == 200
    remote.issuer.down = True
    remote.clock.advance(hours=25)
    assert (await remote.ask(remote.mint("ann"))).status == 503


async def test_a_flood_of_unknown_key_ids_costs_the_issuer_one_question_per_cooldown(
    remote: Remote,
) -> None:
    assert (await remote.ask(remote.mint("ann"))).status == 200
    for flood in range(3):
        remote.clock.advance(seconds=COOLDOWN_SECONDS)
        forged = [TOKENS.forge(header={"kid": f"forged-{flood}-{number}"}) for number in range(25)]
        at_once = await asyncio.gather(*map(remote.ask, forged[:15]))
        one_by_one = [await remote.ask(token) for token in forged[15:]]
        assert {answer.status for answer in (*at_once, *one_by_one)} == {401}
        assert remote.issuer.asked == 2 + flood
        assert (await remote.ask(remote.mint("ann"))).status == 200
    assert remote.issuer.asked == 4
