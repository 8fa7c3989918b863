"""The HTTP side of the DEVELOPMENT issuer: discovery, keys, and the client-credentials grant (RFC 6749).

Must not say which of client id and secret was wrong, nor write a secret anywhere but hashed.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from local.issuer import Issuer, locked
from shared.adapters.embedded.secret_file import keep, private_folder, replace
from shared.domain.kernel.actor import ActorKind
from shared.domain.kernel.errors import AlreadyExists, Invalid, Permanent

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

TOKEN_SECONDS = 3600
_MOST_BYTES = 16 * 1024
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1  # OWASP's least for scrypt, about 50 ms
_CACHED = {"cache-control": "max-age=60"}
_CHALLENGE = {"www-authenticate": 'Basic realm="slipway"'}
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Client:
    """What a client may ask for. `secret_hash` is `scrypt$<salt>$<hash>`, both hex."""

    secret_hash: str
    tenant: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    kind: str


class Clients:
    """The registered clients, in `data_dir/issuer/clients.json`; another process's change is seen at once."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = private_folder(data_dir / "issuer")
        self._file = self._folder / "clients.json"
        keep(self._file, lambda: b"{}")

    def add_client(
        self,
        client_id: str,
        *,
        tenant: str,
        scopes: Sequence[str],
        roles: Sequence[str] = (),
        kind: ActorKind = ActorKind.SERVICE,
        again: bool = False,
    ) -> str:
        """Register a client; returns its secret, which cannot be read again.

        Raises AlreadyExists, unless `again` replaces the client and its secret.
        """
        if not client_id or not client_id.isascii() or not client_id.isprintable():
            raise Invalid("A client id is printable ASCII text; choose another.")
        secret = secrets.token_urlsafe(32)
        client = Client(
            _hashed(secret, secrets.token_bytes(16)), tenant, tuple(scopes), tuple(roles), str(kind)
        )
        with locked(self._folder):
            clients = self._read()
            if client_id in clients and not again:
                raise AlreadyExists(f"There is a client {client_id} already; use its secret, or replace it.")
            clients[client_id] = client
            rows = {name: asdict(one) for name, one in clients.items()}
            replace(self._file, json.dumps(rows, indent=1).encode())
        return secret

    def authenticate(self, client_id: str, secret: str) -> Client | None:
        """The client whose secret this is. Takes as long for an unknown client as for a wrong secret."""
        client = self._read().get(client_id)
        if client is None:
            _hashed(secret, b"unknown client..")
            return None
        salt = bytes.fromhex(client.secret_hash.split("$")[1])
        return client if hmac.compare_digest(_hashed(secret, salt), client.secret_hash) else None

    def _read(self) -> dict[str, Client]:
        try:
            rows = json.loads(self._file.read_bytes())
            return {
                client_id: Client(**row | {"scopes": tuple(row["scopes"]), "roles": tuple(row["roles"])})
                for client_id, row in rows.items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Permanent(
                f"{self._file} is damaged. Mend its JSON, or remove it and add the clients again."
            ) from None


class _Refused(Exception):
    """An OAuth2 error answer, RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


class IssuerApp:
    """An ASGI app: the two well-known documents, and `POST /oauth2/token`."""

    def __init__(self, issuer: Issuer, clients: Clients) -> None:
        self._issuer = issuer
        self._clients = clients
        self._documents: dict[str, Callable[[], dict[str, Any]]] = {
            "/.well-known/openid-configuration": issuer.discovery,
            "/.well-known/jwks.json": issuer.jwks,
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"IssuerApp serves HTTP, not {scope['type']}.")
        path, method = scope["path"], scope["method"]
        document = self._documents.get(path)
        if document is not None:
            if method not in {"GET", "HEAD"}:
                return await _answer(send, 405, {"error": "invalid_request"}, {"allow": "GET, HEAD"})
            return await _answer(send, 200, document(), _CACHED, empty=method == "HEAD")
        if path != "/oauth2/token":
            return await _answer(send, 404, {"error": "not_found"})
        if method != "POST":
            return await _answer(send, 405, {"error": "invalid_request"}, {"allow": "POST"})
        try:
            granted = await self._grant(scope, await _body(receive))
        except _Refused as refused:
            body = {"error": refused.error, "error_description": refused.description}
            challenge = _CHALLENGE if refused.status == 401 else None
            return await _answer(send, refused.status, body, challenge)
        return await _answer(send, 200, granted)

    async def _grant(self, scope: MutableMapping[str, Any], body: bytes) -> dict[str, Any]:
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        form = _form([value for name, value in headers if name == b"content-type"], body)
        client_id, secret = _credentials([value for name, value in headers if name == b"authorization"], form)
        client = await asyncio.to_thread(
            self._clients.authenticate, client_id, secret
        )  # scrypt is slow by design
        if client is None:
            raise _Refused("invalid_client", "The client id or its secret is wrong.", 401)
        if "grant_type" not in form:
            raise _Refused("invalid_request", "Send grant_type=client_credentials.")
        if form["grant_type"] != "client_credentials":
            raise _Refused("unsupported_grant_type", "Only client_credentials is supported here.")
        scopes = tuple(form["scope"].split()) if form.get("scope", "").strip() else client.scopes
        if not set(scopes) <= set(client.scopes):
            raise _Refused("invalid_scope", "The client may not ask for all of these scopes.")
        token = self._issuer.mint(
            tenant=client.tenant,
            subject=client_id,
            scopes=scopes,
            roles=client.roles,
            kind=client.kind,
            expires_in=TOKEN_SECONDS,
        )
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": " ".join(scopes),
        }


def _hashed(secret: str, salt: bytes) -> str:
    derived = hashlib.scrypt(
        secret.encode("utf-8", "replace"), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, dklen=32
    )
    return f"scrypt${salt.hex()}${derived.hex()}"


def _form(content_types: list[str], body: bytes) -> dict[str, str]:
    if [one.partition(";")[0].strip().lower() for one in content_types] != [_FORM]:
        raise _Refused("invalid_request", f"Send the parameters as {_FORM}.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict"
        )
    except ValueError:
        raise _Refused("invalid_request", "The body is not a well-formed form.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _Refused("invalid_request", "A parameter is sent more than once.")
    return form


def _credentials(authorizations: list[str], form: dict[str, str]) -> tuple[str, str]:
    """(client id, secret) by client_secret_basic or client_secret_post, never both."""
    in_form = "client_secret" in form
    if len(authorizations) + in_form > 1:
        raise _Refused("invalid_request", "Send the client's credentials in one way only.")
    if in_form:
        return form.get("client_id", ""), form["client_secret"]
    scheme, _, encoded = authorizations[0].partition(" ") if authorizations else ("", "", "")
    if scheme.lower() != "basic":
        raise _Refused("invalid_client", "Authenticate the client with HTTP Basic or client_secret.", 401)
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise _Refused("invalid_client", "The Basic credentials are malformed.", 401)
    client_id, secret = unquote_plus(client_id), unquote_plus(secret)  # form-encoded first, section 2.3.1
    if form.get("client_id", client_id) != client_id:
        raise _Refused("invalid_request", "The client_id of the body is not the one that authenticates.")
    return client_id, secret


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused("invalid_request", "The request broke off.")
        body += message.get("body", b"")
        if len(body) > _MOST_BYTES:
            raise _Refused("invalid_request", f"The body has more than {_MOST_BYTES} bytes.", 413)
        if not message.get("more_body", False):
            return bytes(body)


async def _answer(
    send: Send,
    status: int,
    document: dict[str, Any],
    headers: dict[str, str] | None = None,
    *,
    empty: bool = False,
) -> None:
    body = json.dumps(document).encode()
    named = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
    } | (headers or {})
    rows = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": rows})
    await send({"type": "http.response.body", "body": b"" if empty else body})
