"""Where the suites find GitHub: a stand-in in this process, with a new organization for every test."""

import itertools
from contextlib import ExitStack
from dataclasses import dataclass

from shared.adapters.embedded.system import RandomIds
from shared.adapters.hosts.github import GitHub
from shared.adapters.hosts.github_api import GITHUB, repository_name
from shared.adapters.vendors.http import VendorHttp
from shared.adapters.vendors.throttling import Patience
from shared.ports.source_host import Place
from tests.standins.github import GitHubStandIn
from tests.standins.github.repository import Hosted
from tests.standins.hosting import hosted

TENANT = "tenant-a"
PATIENCE = Patience(total=4, connect=1, answer=1)


@dataclass(frozen=True)
class Site:
    """One organization and the token of one tenant for it."""

    server: GitHubStandIn
    organization: str
    token: str

    def host(self, patience: Patience = PATIENCE) -> GitHub:
        """A client of its own, as of one process."""

        async def token(tenant: str) -> str:
            assert tenant == TENANT
            return self.token

        http = VendorHttp(GITHUB, self.server.url, RandomIds(), patience=patience)
        return GitHub(http, {TENANT: self.organization}, token, RandomIds())

    def repository(self, place: Place) -> Hosted:
        return self.server.repository(self.organization, repository_name(place))


class Sites:
    """The stand-in is started by the first test that needs it, and closed with the session."""

    def __init__(self) -> None:
        self._started = ExitStack()
        self._server: GitHubStandIn | None = None
        self._numbers = itertools.count(1)

    def new(self) -> Site:
        if self._server is None:
            self._server = self._started.enter_context(hosted(GitHubStandIn))
        number = next(self._numbers)
        site = Site(self._server, f"org-{number}", f"ghp_standIn{number:08}")
        self._server.add_organization(site.organization)
        self._server.tokens.grant(site.token, site.organization)
        return site

    def close(self) -> None:
        self._started.close()
        self._server = None


SITES = Sites()
