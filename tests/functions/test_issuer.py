"""The development issuer: its tokens are believed, its secrets stay put, and who asks wrongly is told."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from local.issuer import RETIRED_SECONDS, Issuer, thumbprint
from local.issuer_app import Clients, IssuerApp
from shared.adapters.oidc import OidcTokens
from shared.domain.kernel.actor import ActorKind
from shared.domain.kernel.errors import AlreadyExists, Invalid, Permanent
from shared.ports.tokens import TokenRefused
from tests.support.app import SteppingClock

URL = "http://127.0.0.1:7071"


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def make(tmp_path: Path, clock: SteppingClock) -> Callable[[], Issuer]:
    """Each call is another process over the same folder."""
    return lambda: Issuer(tmp_path, URL, "slipway", now=lambda: clock.now().timestamp())


@pytest.fixture
def issuer(make: Callable[[], Issuer]) -> Issuer:
    return make()


@pytest.fixture
def verifier(issuer: Issuer, clock: SteppingClock) -> OidcTokens:
    return OidcTokens(URL, "slipway", clock, keys=issuer.jwks)


async def test_a_minted_token_is_believed_and_says_who_asks(issuer: Issuer, verifier: OidcTokens) -> None:
    token = issuer.mint(
        tenant="acme", subject="ann", scopes=["a.read", "a.write"], roles=["approver"], kind=ActorKind.HUMAN
    )
    claims = dict(await verifier.verify(token))
    assert claims.pop("jti") != dict(await verifier.verify(issuer.mint(tenant="a", subject="b")))["jti"]
    issued = claims.pop("iat")
    assert isinstance(issued, int)
    assert claims == {
        "iss": URL,
        "aud": "slipway",
        "sub": "ann",
        "tenantId": "acme",
        "scope": "a.read a.write",
        "roles": ["approver"],
        "kind": "human",
        "nbf": issued,
        "exp": issued + 3600,
    }


async def test_a_delegated_token_names_whom_it_acts_for_and_who_acts(
    issuer: Issuer, verifier: OidcTokens
) -> None:
    token = issuer.mint(tenant="acme", subject="agent:Fixer", on_behalf_of="ann")
    claims = await verifier.verify(token)
    assert (claims["sub"], claims["act"]) == ("ann", {"sub": "agent:Fixer"})


async def test_a_token_may_be_minted_for_another_time(issuer: Issuer, verifier: OidcTokens) -> None:
    token = issuer.mint(tenant="acme", subject="ann", now=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(TokenRefused, match="expired"):
        await verifier.verify(token)


def test_only_public_parts_are_published(issuer: Issuer) -> None:
    [key] = issuer.jwks()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    assert key["kid"] == thumbprint(key)


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
        "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_key_outlives_the_process_and_is_private(make: Callable[[], Issuer], tmp_path: Path) -> None:
    assert make().jwks() == make().jwks()
    assert (tmp_path / "issuer").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "issuer/keys.json").stat().st_mode & 0o777 == 0o600


async def test_a_rotated_key_is_believed_for_a_day_more(
    issuer: Issuer, make: Callable[[], Issuer], verifier: OidcTokens, clock: SteppingClock
) -> None:
    other = make()
    old = issuer.mint(tenant="acme", subject="ann", expires_in=10 * RETIRED_SECONDS)
    old_kid = other.jwks()["keys"][0]["kid"]
    new_kid = issuer.rotate()
    assert [key["kid"] for key in other.jwks()["keys"]] == [new_kid, old_kid]
    await verifier.verify(other.mint(tenant="acme", subject="ben"))
    clock.advance(seconds=RETIRED_SECONDS - 10)
    await verifier.verify(old)
    clock.advance(seconds=400)
    assert [key["kid"] for key in other.jwks()["keys"]] == [new_kid]
    with pytest.raises(TokenRefused, match="key"):
        await verifier.verify(old)


def test_the_private_part_of_a_retired_key_is_forgotten(issuer: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "issuer/keys.json"
    before = json.loads(file.read_bytes())["signing"]
    issuer.rotate()
    assert before not in json.loads(file.read_bytes()).values()
    assert len(json.loads(file.read_bytes())["retired"]) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b'{"signing": "x", "retired": []}', b"[]"])
def test_damaged_keys_are_told(make: Callable[[], Issuer], tmp_path: Path, content: bytes) -> None:
    make()
    (tmp_path / "issuer/keys.json").write_bytes(content)
    with pytest.raises(Permanent, match="damaged"):
        make().jwks()


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body: bytes = messages[1]["body"]
        self.json: dict[str, Any] = json.loads(self.body or b"{}")


class Caller:
    """An issuer app with one client, and requests to it."""

    def __init__(self, app: IssuerApp, secret: str) -> None:
        self.app = app
        self.secret = secret

    async def ask(
        self, path: str, method: str = "GET", body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> Answer:
        sent: list[dict[str, Any]] = []
        parts = [body[:10], body[10:]]

        async def receive() -> dict[str, Any]:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        rows = [(name.encode(), value.encode()) for name, value in headers]
        await self.app({"type": "http", "method": method, "path": path, "headers": rows}, receive, send)
        return Answer(sent)

    async def post(
        self, form: dict[str, str] | bytes, *authorizations: str, content_type: str | None = None
    ) -> Answer:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        kind = ("content-type", content_type or "application/x-www-form-urlencoded; charset=utf-8")
        headers = (kind, *(("authorization", one) for one in authorizations))
        return await self.ask("/oauth2/token", "POST", body, headers)

    def basic(self, client_id: str = "ci:runner", secret: str | None = None) -> str:
        pair = f"{quote_plus(client_id)}:{quote_plus(self.secret if secret is None else secret)}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path)


@pytest.fixture
def caller(issuer: Issuer, clients: Clients) -> Caller:
    secret = clients.add_client(
        "ci:runner", tenant="acme", scopes=["a.read", "a.write"], roles=["builder"], kind=ActorKind.AGENT
    )
    return Caller(IssuerApp(issuer, clients), secret)


GRANT = {"grant_type": "client_credentials"}


async def test_a_client_gets_a_token_with_its_rights(caller: Caller, verifier: OidcTokens) -> None:
    answer = await caller.post(GRANT, caller.basic())
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    token = answer.json.pop("access_token")
    assert answer.json == {"token_type": "Bearer", "expires_in": 3600, "scope": "a.read a.write"}
    claims = await verifier.verify(token)
    assert [claims[name] for name in ("sub", "tenantId", "roles", "kind", "scope")] == [
        "ci:runner",
        "acme",
        ["builder"],
        "agent",
        "a.read a.write",
    ]


async def test_credentials_may_stand_in_the_body_and_scopes_be_fewer(
    caller: Caller, verifier: OidcTokens
) -> None:
    form = {**GRANT, "client_id": "ci:runner", "client_secret": caller.secret, "scope": "a.read"}
    answer = await caller.post(form)
    assert answer.status == 200
    assert (await verifier.verify(answer.json["access_token"]))["scope"] == "a.read"


def _wrong_secret(caller: Caller) -> tuple[dict[str, str], list[str]]:
    return GRANT, [caller.basic(secret="wrong")]


type Ask = Callable[[Caller], tuple[dict[str, str] | bytes, list[str]]]


@pytest.mark.parametrize(
    ("ask", "status", "error"),
    [
        (_wrong_secret, 401, "invalid_client"),
        (lambda caller: (GRANT, [caller.basic(client_id="nobody")]), 401, "invalid_client"),
        (lambda caller: (GRANT, [caller.basic(secret="")]), 401, "invalid_client"),
        (lambda caller: (GRANT, [caller.basic(secret="\ud7ff")]), 401, "invalid_client"),
        (lambda caller: (GRANT, ["Bearer x"]), 401, "invalid_client"),
        (lambda caller: (GRANT, ["Basic %%%"]), 401, "invalid_client"),
        (lambda caller: (GRANT, ["Basic /w=="]), 401, "invalid_client"),
        (lambda caller: (GRANT, ["Basic " + base64.b64encode(b"nocolon").decode()]), 401, "invalid_client"),
        (lambda caller: (GRANT, []), 401, "invalid_client"),
        (lambda caller: ({**GRANT, "client_secret": caller.secret}, []), 401, "invalid_client"),
        (lambda caller: (GRANT, [caller.basic(), caller.basic()]), 400, "invalid_request"),
        (lambda caller: ({**GRANT, "client_secret": "x"}, [caller.basic()]), 400, "invalid_request"),
        (lambda caller: ({**GRANT, "client_id": "other"}, [caller.basic()]), 400, "invalid_request"),
        (lambda caller: ({}, [caller.basic()]), 400, "invalid_request"),
        (lambda caller: (b"grant_type=a&grant_type=b", [caller.basic()]), 400, "invalid_request"),
        (lambda caller: (b"grant_type", [caller.basic()]), 400, "invalid_request"),
        (lambda caller: (b"grant_type=%ff", [caller.basic()]), 400, "invalid_request"),
        (lambda caller: (b"grant_type=\xff", [caller.basic()]), 400, "invalid_request"),
        (lambda caller: (b"x" * 20_000, [caller.basic()]), 413, "invalid_request"),
        (lambda caller: ({"grant_type": "password"}, [caller.basic()]), 400, "unsupported_grant_type"),
        (lambda caller: ({**GRANT, "scope": "a.read a.admin"}, [caller.basic()]), 400, "invalid_scope"),
    ],
)
async def test_a_request_that_is_wrong_is_answered_as_rfc_6749_says(
    caller: Caller, ask: Ask, status: int, error: str
) -> None:
    form, authorizations = ask(caller)
    answer = await caller.post(form, *authorizations)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert caller.secret not in answer.body.decode()


async def test_an_unknown_client_is_answered_as_a_wrong_secret(caller: Caller) -> None:
    unknown = await caller.post(GRANT, caller.basic(client_id="nobody"))
    wrong = await caller.post(GRANT, caller.basic(secret="wrong"))
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)


async def test_parameters_must_come_as_a_form(caller: Caller) -> None:
    answer = await caller.post(json.dumps(GRANT).encode(), caller.basic(), content_type="application/json")
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_the_well_known_documents_lead_to_the_keys(caller: Caller, issuer: Issuer) -> None:
    discovery = await caller.ask("/.well-known/openid-configuration")
    assert discovery.json == issuer.discovery()
    assert discovery.json["issuer"] == URL
    assert "Not%20for%20production" in discovery.json["service_documentation"]
    keys = await caller.ask(discovery.json["jwks_uri"].removeprefix(URL))
    assert keys.json == issuer.jwks()
    head = await caller.ask("/.well-known/jwks.json", "HEAD")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/oauth2/token", "GET", 405),
        ("/.well-known/jwks.json", "POST", 405),
        ("/", "GET", 404),
        ("/oauth2/token/", "POST", 404),
    ],
)
async def test_other_paths_and_methods_are_refused(
    caller: Caller, path: str, method: str, status: int
) -> None:
    assert (await caller.ask(path, method)).status == status


def test_a_client_is_registered_once_unless_replaced(clients: Clients, caller: Caller) -> None:
    with pytest.raises(AlreadyExists):
        clients.add_client("ci:runner", tenant="acme", scopes=[])
    secret = clients.add_client("ci:runner", tenant="acme", scopes=[], again=True)
    assert clients.authenticate("ci:runner", caller.secret) is None
    found = clients.authenticate("ci:runner", secret)
    assert found is not None
    assert found.scopes == ()


@pytest.mark.parametrize("client_id", ["", "a\n", "é"])
def test_a_client_id_is_printable_ascii(clients: Clients, client_id: str) -> None:
    with pytest.raises(Invalid):
        clients.add_client(client_id, tenant="acme", scopes=[])


def test_client_secrets_are_kept_hashed_in_a_private_file(caller: Caller, tmp_path: Path) -> None:
    file = tmp_path / "issuer/clients.json"
    assert caller.secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["ci:runner"]["secret_hash"].startswith("scrypt$")


def test_damaged_clients_are_told(clients: Clients, tmp_path: Path) -> None:
    for content in (b"", b"[]", b'{"a": {}}', b'{"a": 1}'):
        (tmp_path / "issuer/clients.json").write_bytes(content)
        with pytest.raises(Permanent, match="damaged"):
            clients.authenticate("a", "b")


async def test_clients_registered_at_once_are_all_kept(clients: Clients, tmp_path: Path) -> None:
    names = [f"client-{number}" for number in range(6)]
    add = clients.add_client
    await asyncio.gather(*(asyncio.to_thread(add, name, tenant="acme", scopes=[]) for name in names))
    assert set(json.loads((tmp_path / "issuer/clients.json").read_text())) == set(names)
