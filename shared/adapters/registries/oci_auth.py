"""How a registry is told who asks: its challenge answered with a token, or with the credentials themselves.

Credentials come from the tenant's vault by reference and are never kept; tokens are, until they expire.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from shared.domain.kernel.errors import Forbidden, NotFound, Transient
from shared.ports.vault import Vault

LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_REFERENCE = re.compile(r"kv://([A-Za-z0-9-]{1,127})")
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')
_LEAST_LIFE = 60.0
_EARLY = 10.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """`reference` is `kv://<secret>`: the secret's value is `user:password`. None, and a secret that the
    tenant does not have, mean to ask as nobody."""

    vault: Vault
    reference: str | None

    async def basic(self, tenant: str) -> str | None:
        """The credentials as Basic has them."""
        if self.reference is None:
            return None
        found = _REFERENCE.fullmatch(self.reference)
        if found is None:
            raise Forbidden("The credentials of the registry must be named as kv://<secret>.")
        try:
            secret = await self.vault.get(tenant, found[1])
        except NotFound:
            return None
        return base64.b64encode(secret.value.encode()).decode()


class OciAuth:
    """The authorization of one registry's requests, per tenant and scope."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._origin = _origin(url)
        self._credentials = credentials
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}
        self._takes_basic = False

    def is_ours(self, url: str) -> bool:
        """Whether the place is the registry's own: storage that it redirects to gets no authorization."""
        return _origin(url) == self._origin

    @staticmethod
    def is_safe(url: str) -> bool:
        found = urlsplit(url)
        return found.scheme == "https" or (found.scheme == "http" and found.hostname in LOOPBACK)

    @staticmethod
    def object_in(body: bytes) -> dict[str, Any]:
        """The JSON object in an answer; an empty one where there is none."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    async def known(self, tenant: str, url: str, scopes: Sequence[str]) -> Mapping[str, str]:
        """The headers that served the same scopes before."""
        if not self.is_ours(url):
            return {}
        if self._takes_basic:
            return _basic(await self._credentials.basic(tenant))
        token, until = self._tokens.get((tenant, " ".join(scopes)), ("", 0.0))
        return {"Authorization": f"Bearer {token}"} if monotonic() < until else {}

    async def answer(
        self, session: aiohttp.ClientSession, tenant: str, challenge: str, scopes: Sequence[str]
    ) -> Mapping[str, str]:
        """The headers that a challenge asks for. Forbidden where it cannot be answered."""
        scheme, _, told = challenge.partition(" ")
        basic = await self._credentials.basic(tenant)
        if scheme.lower() == "basic":
            self._takes_basic = True
            return _basic(basic)
        parameters = dict(_PARAMETER.findall(told))
        realm = parameters.get("realm", "")
        if scheme.lower() != "bearer" or not self.is_safe(realm):
            raise Forbidden("The registry asks for a kind of authorization that we do not have.")
        query = [("scope", scope) for scope in scopes]
        if service := parameters.get("service"):
            query.append(("service", service))
        async with session.get(realm, params=query, headers=_basic(basic), allow_redirects=False) as response:
            body = self.object_in(await response.read())
            status = response.status
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Transient("The token service of the registry is busy or away.")
        token = body.get("token") or body.get("access_token")
        if status != HTTPStatus.OK or not isinstance(token, str):
            raise Forbidden("The token service of the registry refuses the credentials in the vault.")
        life = body.get("expires_in")
        lasting = max(float(life) if isinstance(life, int | float) else _LEAST_LIFE, _LEAST_LIFE) - _EARLY
        self._tokens[tenant, " ".join(scopes)] = token, monotonic() + lasting
        return {"Authorization": f"Bearer {token}"}


def scope_of(repository: str, method: str) -> str:
    actions = "pull" if method in ("GET", "HEAD") else "pull,push"
    return f"repository:{repository}:{actions}"


def _basic(credentials: str | None) -> Mapping[str, str]:
    return {} if credentials is None else {"Authorization": f"Basic {credentials}"}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    found = urlsplit(url)
    return found.scheme, found.hostname, found.port
