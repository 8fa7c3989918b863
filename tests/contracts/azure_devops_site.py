"""Where the suites find Azure DevOps: a stand-in in this process, with an organization for each test."""

import itertools
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.adapters.embedded.vault import FileVault
from shared.adapters.hosts.azure_devops import AzureDevOps
from shared.adapters.hosts.azure_devops_places import TOKEN
from shared.adapters.vendors.throttling import Patience
from shared.domain.source.model import Provider
from shared.ports.source_host import Place
from tests.standins.azure_devops.organization import Organization
from tests.standins.azure_devops.server import AzureDevOpsStandIn
from tests.standins.hosting import hosted
from tests.support.app import CountingIds, SteppingClock

TENANT, PROJECT = "tenant-a", "proj-x"
PLACE = Place(TENANT, PROJECT, "api", Provider.AZURE_DEVOPS)
PAT = "q7" * 26
"""As long as a personal access token is."""
PATIENCE = Patience(total=3, connect=1, answer=1)


@dataclass
class Bench:
    """A host, the organization that it works in, and the vault that has its token."""

    organization: Organization
    vault: FileVault
    service: AzureDevOpsStandIn
    create_projects: bool

    def __post_init__(self) -> None:
        self._opened: list[AzureDevOps] = []
        self.host = self.another()

    def another(self) -> AzureDevOps:
        """As of another process, which has read nothing yet; closed with the bench."""
        host = AzureDevOps(
            self.service.url,
            {TENANT: self.organization.name},
            self.vault,
            CountingIds(),
            create_projects=self.create_projects,
            patience=PATIENCE,
            poll_seconds=0.01,
        )
        self._opened.append(host)
        return host

    async def aclose(self) -> None:
        for host in self._opened:
            await host.aclose()


class AzureDevOpsSite:
    """The stand-in starts with its first user, and stops with `close`."""

    def __init__(self) -> None:
        self._started = ExitStack()
        self._service: AzureDevOpsStandIn | None = None
        self._numbers = itertools.count(1)

    def close(self) -> None:
        self._started.close()
        self._service = None

    @property
    def service(self) -> AzureDevOpsStandIn:
        if self._service is None:
            self._service = self._started.enter_context(hosted(AzureDevOpsStandIn))
        return self._service

    @asynccontextmanager
    async def bench(
        self, folder: Path, *, project: str = PROJECT, create_projects: bool = False
    ) -> AsyncIterator[Bench]:
        """Nobody else's organization, with one project in it."""
        service = self.service
        organization = service.add_organization(f"org{next(self._numbers)}", PAT, project)
        vault = FileVault(folder / "vault", SteppingClock(), CountingIds())
        await vault.set(TENANT, TOKEN, PAT)
        bench = Bench(organization, vault, service, create_projects)
        try:
            yield bench
        finally:
            await bench.aclose()
            service.faults.clear()
            service.calls.clear()


SITES = AzureDevOpsSite()
