"""The managed-identity endpoint of App Service and Container Apps, on loopback, for the stand-ins of a run.

Issues tokens that name one resource; every stand-in checks them with `Issuer.verify` and the same secret.
"""

import argparse
import asyncio
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jwt
from aiohttp import web

from tests.standins.hosting import until_told_to_stop

API_VERSION = "2019-08-01"
TENANT = "11111111-2222-3333-4444-555555555555"
PRINCIPAL = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
_ALGORITHM = "HS256"
_ROLES = "standin_roles"


class TokenRefused(Exception):
    """The token is forged, expired or meant for another resource."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a token speaks for. `has_roles` is whether it was given any role on the data plane."""

    principal: str
    has_roles: bool


class Issuer:
    """Signs and checks tokens. All stand-ins of one run share its secret."""

    def __init__(self, secret: str | None = None) -> None:
        self.secret = secret or secrets.token_hex(32)
        self._known: dict[tuple[str, tuple[str, ...]], tuple[Caller, float]] = {}

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The issuer of the secret in that file, which is made when there is none."""
        if not path.exists():
            path.write_text(secrets.token_hex(32), encoding="ascii")
        return cls(path.read_text(encoding="ascii").strip())

    def issue(
        self, resource: str, *, lifetime: float = 3600, roles: bool = True, principal: str = PRINCIPAL
    ) -> str:
        """A token for one resource, such as `https://vault.azure.net`, that expires after `lifetime` s."""
        now = time.time()
        claims = {
            "iss": f"https://sts.windows.net/{TENANT}/",
            "tid": TENANT,
            "aud": resource.rstrip("/"),
            "oid": principal,
            "iat": int(now),
            "nbf": int(now),  # Azurite asks for it
            "exp": now + lifetime,
            _ROLES: roles,
        }
        return jwt.encode(claims, self.secret, algorithm=_ALGORITHM)

    def verify(self, token: str, *resources: str) -> Caller:
        """Who is calling, if the token is ours, in time, and for one of `resources`; else TokenRefused."""
        if known := self._known.get((token, resources)):
            caller, expires_at = known
            if expires_at > time.time():
                return caller
        try:
            claims = jwt.decode(
                token,
                self.secret,
                algorithms=[_ALGORITHM],
                audience=[resource.rstrip("/") for resource in resources],
                options={"require": ["exp", "aud", "oid"], "verify_exp": False},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(str(error)) from None
        if float(claims["exp"]) <= time.time():  # to the moment, where the library goes by whole seconds
            raise TokenRefused("The token has expired.")
        caller = Caller(claims["oid"], bool(claims[_ROLES]))
        self._known[token, resources] = caller, float(claims["exp"])
        return caller


@dataclass
class IdentityStandIn:
    """The endpoint. `lifetime` and `roles` are those of the tokens it hands out from now on.

    Set IDENTITY_ENDPOINT to `url` and IDENTITY_HEADER to `header`, and azure-identity takes its tokens here.
    POST /_standin/identity with `{"roles": false, "lifetime": 30}` changes what it hands out.
    """

    issuer: Issuer = field(default_factory=Issuer)
    port: int = 0
    header: str = field(default_factory=lambda: secrets.token_hex(16))
    lifetime: float = 24 * 3600
    roles: bool = True
    issued: int = 0

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/msi/token"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs so that azure-identity finds this endpoint."""
        return {"IDENTITY_ENDPOINT": self.url, "IDENTITY_HEADER": self.header}

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.method == "POST" and request.path == "/_standin/identity":
            change = await request.json()
            self.roles = bool(change.get("roles", self.roles))
            self.lifetime = float(change.get("lifetime", self.lifetime))
            return web.Response(status=204)
        if request.method != "GET" or request.path != "/msi/token":
            return _refused(404, "NotFound", "There is only GET /msi/token.")
        if request.headers.get("X-IDENTITY-HEADER") != self.header:
            return _refused(401, "Unauthorized", "The X-IDENTITY-HEADER is not that of this host.")
        if request.query.get("api-version") != API_VERSION:
            return _refused(400, "BadRequest", f"The api-version has to be {API_VERSION}.")
        resource = request.query.get("resource", "")
        if not resource.startswith("https://"):
            return _refused(400, "BadRequest", "The resource has to be an https:// address.")
        self.issued += 1
        return web.json_response(self._token(resource, request.query.get("client_id", PRINCIPAL)))

    def _token(self, resource: str, client_id: str) -> dict[str, Any]:
        token = self.issuer.issue(resource, lifetime=self.lifetime, roles=self.roles)
        return {
            "access_token": token,
            "expires_on": str(int(time.time() + self.lifetime)),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": client_id,
        }


def _refused(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "code": code, "message": message}, status=status)


async def serve(port: int, secret_file: Path) -> None:
    async with IdentityStandIn(Issuer.from_file(secret_file), port) as identity:
        await until_told_to_stop(json.dumps(identity.environment))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--identity-secret-file", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.identity_secret_file))
