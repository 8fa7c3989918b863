"""Which organization of Azure DevOps a tenant's repositories are in, and the token they are reached with."""

import asyncio
import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.adapters.hosts.azure_devops_api import AZURE_DEVOPS, AzureApi, AzureRepository
from shared.adapters.vendors.answers import Account
from shared.adapters.vendors.http import VendorHttp, path_of
from shared.adapters.vendors.throttling import Patience
from shared.domain.kernel.errors import NotFound
from shared.domain.source.errors import ProviderUnavailable
from shared.ports.ids import Ids
from shared.ports.source_host import Place, RepositoryMissing
from shared.ports.vault import Vault

TOKEN = "azure-devops-token"  # noqa: S105 - the name of the secret
_TOKEN_SECONDS = 60.0
# Stricter than the service, whose names may have blanks and other scripts: ours are parts of other names too.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")


@dataclass(slots=True)
class Tokens:
    """A tenant's personal access token, read again a minute after it was, or once it was refused."""

    vault: Vault
    _read: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False)

    async def authorize(self, tenant: str) -> str:
        now = asyncio.get_running_loop().time()
        until, header = self._read.get(tenant, (0.0, ""))
        if now >= until:
            header = basic((await self._secret(tenant)).strip())
            self._read[tenant] = now + _TOKEN_SECONDS, header
        return header

    def forget(self, tenant: str) -> None:
        self._read.pop(tenant, None)

    async def _secret(self, tenant: str) -> str:
        try:
            return (await self.vault.get(tenant, TOKEN)).value
        except NotFound:
            raise ProviderUnavailable(
                f"There is no token for Azure DevOps; keep a personal access token as the secret '{TOKEN}'."
            ) from None


def basic(token: str) -> str:
    """A personal access token goes as the password of nobody."""
    return "Basic " + base64.b64encode(f":{token}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Organizations:
    """Every tenant's organization, behind one client."""

    http: VendorHttp
    names: Mapping[str, str]
    tokens: Tokens
    poll_seconds: float

    @classmethod
    def at(
        cls,
        url: str,
        names: Mapping[str, str],
        vault: Vault,
        ids: Ids,
        patience: Patience | None,
        poll_seconds: float,
    ) -> "Organizations":
        return cls(VendorHttp(AZURE_DEVOPS, url, ids, patience=patience), names, Tokens(vault), poll_seconds)

    def repository(self, place: Place) -> AzureRepository:
        """RepositoryMissing for an impossible name, ProviderUnavailable for a tenant without organization."""
        if not can_be_named(place):
            raise RepositoryMissing(f"There is no repository '{place.name}' in project '{place.project}'.")
        return AzureRepository(self.api(place.tenant), place)

    def api(self, tenant: str) -> AzureApi:
        if tenant not in self.names:
            raise ProviderUnavailable(
                "This tenant has no organization of Azure DevOps; add one to"
                " SLIPWAY_AZURE_DEVOPS_ORGANIZATIONS, as tenant:organization."
            )

        async def authorize() -> str:
            return await self.tokens.authorize(tenant)

        def refused() -> None:
            self.tokens.forget(tenant)

        account = Account(tenant, authorize, TOKEN)
        return AzureApi(self.http, account, self.names[tenant], refused, self.poll_seconds)

    def clone_url(self, place: Place) -> str:
        path = path_of(self.api(place.tenant).organization, place.project, "_git", place.name)
        return f"{self.http.base}{path}"


def can_be_named(place: Place) -> bool:
    """Whether Azure DevOps takes these names, of a project and of a repository."""
    return all(_NAME.fullmatch(part) for part in (place.project, place.name))
