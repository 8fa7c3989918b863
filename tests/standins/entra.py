"""Microsoft Entra ID as an API sees it: discovery, keys with all that Entra publishes beside them, and tokens
of both versions. On loopback; signs in nobody.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from shared.ports.clock import Clock
from tests.support.tokens import AUDIENCE, ISSUER, Claims, Tokens, ec_key, public_jwk, rsa_key

DIRECTORY = "9188040d-6c67-4c5b-b112-36a304b66dad"
OBJECT = "00000000-aaaa-bbbb-cccc-000000000001"
CLIENT = "00000000-dddd-eeee-ffff-000000000002"


class EntraIssuer(Tokens):
    """Mints what a directory of Entra would: for a person by default, and in version 2.0."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        authority: str = "https://login.microsoftonline.com",
        directory: str = DIRECTORY,
    ) -> None:
        super().__init__(clock, issuer=f"{authority}/{directory}/v2.0", audience=AUDIENCE)
        self.directory = directory

    def claims(self, now: int | None = None) -> Claims:
        made = super().claims() if now is None else super().claims(now)
        return made | self._own()

    def forge(
        self,
        *,
        header: Mapping[str, object] | str | None = None,
        claims: Mapping[str, object] | str | None = None,
        algorithm: str = "RS256",
        key: str = "main",
    ) -> str:
        """As `Tokens.forge`. Claims given as a text get Entra's issuer and claims in the place of theirs."""
        if isinstance(claims, str):
            own = json.dumps({"iss": self.issuer} | self._own())[1:-1]
            claims = claims.replace(f'"iss":"{ISSUER}"', own)
        return super().forge(header=header, claims=claims, algorithm=algorithm, key=key)

    def access_token(self, *, key: str = "main", **claims: object) -> str:
        """One valid for an hour; `claims` add or replace, and None leaves one out."""
        now = int(self.clock.now().timestamp())
        made = {name: value for name, value in self.claims(now).items() if name != "tenantId"} | claims
        kept = {name: value for name, value in made.items() if value is not None}
        return self.forge(header={"kid": key, "x5t": key}, claims=kept, key=key)

    def _own(self) -> Claims:
        return {
            "tid": self.directory,
            "oid": OBJECT,
            "azp": CLIENT,
            "azpacr": "1",
            "scp": "devops.releases.read",
            "ver": "2.0",
            "uti": "iB7AAAAAAAAAAAAAAAAAAA",
        }


class EntraStandIn:
    """Discovery and keys of every directory below `url`, for both versions, over http. `keys` names the RSA
    keys published; `down` makes it answer 503; `asked` are the paths it was asked for."""

    def __init__(self) -> None:
        self.keys = ["main"]
        self.down = False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.path)
        if self.down:
            return web.Response(status=503)
        match request.path.split("/")[1:]:
            case [directory, "v2.0", ".well-known", "openid-configuration"]:
                return web.json_response(
                    self._configuration(f"{directory}/v2.0", f"{directory}/discovery/v2.0")
                )
            case [directory, ".well-known", "openid-configuration"]:
                return web.json_response(self._configuration(f"{directory}/", f"{directory}/discovery"))
            case [_, "discovery", "keys"] | [_, "discovery", "v2.0", "keys"]:
                published = [_published(name, self.url) for name in self.keys]
                return web.json_response({"keys": [*published, public_jwk(ec_key("main"), "curve")]})
        return web.Response(status=404)

    def _configuration(self, issuer: str, keys: str) -> dict[str, Any]:
        return {
            "issuer": f"{self.url}/{issuer}",
            "jwks_uri": f"{self.url}/{keys}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["pairwise"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        }


def _published(name: str, url: str) -> Claims:
    """With what Entra adds: the certificate, its thumbprint, and the issuers it signs for; but no `alg`."""
    extras = {"x5t": name, "x5c": [_certificate(name)], "issuer": f"{url}/{{tenantid}}/v2.0"}
    return public_jwk(rsa_key(name), name) | extras


@cache
def _certificate(name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(rsa_key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(rsa_key(name), hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
