"""GitHub under the contracts of vendors: a repository on the stand-in, what GitHub and its users do in it."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from shared.adapters.hosts.github_ci import GitHubCi
from shared.adapters.hosts.github_hooks import GitHubHooks
from shared.adapters.hosts.github_requests import GitHubRequests
from shared.domain.source.model import Provider
from shared.ports.source_host import Place
from shared.ports.vendor import Vendor
from tests.contracts.github_site import SITES, Site
from tests.contracts.source_hosts import PLACE, made
from tests.contracts.vendor_bench import Ended
from tests.standins.github import Fault, users
from tests.standins.github.actions import Automation, Ending, Workflow
from tests.standins.github.pulls import Pulls
from tests.standins.github.repository import Hosted

_PLACE = replace(PLACE, provider=Provider.GITHUB)
_WRITES = {"start": "/dispatches$", "hook": "/hooks$", "request": "/pulls$"}


@dataclass
class GitHubBench:
    """Implements tests.contracts.vendor_bench.VendorBench."""

    site: Site
    vendor: Vendor
    head: str
    place: Place = _PLACE
    success: str = "success"
    failure: str = "failure"
    cancelled: str = "cancelled"

    @property
    def repository(self) -> Hosted:
        return self.site.repository(self.place)

    @property
    def automation(self) -> Automation:
        return self.site.server.automations.of(self.repository)

    @property
    def pulls(self) -> Pulls:
        return self.site.server.pulls.of(self.repository)

    def add_workflow(self, path: str, *inputs: str) -> None:
        file = path.rpartition("/")[2]
        self.automation.workflows[file] = Workflow(file, inputs=frozenset({"slipway_request", *inputs}))

    def begin(self, run: str) -> None:
        self.automation.begin(int(run))

    def end(self, run: str, ended: Ended) -> None:
        ending = Ending(ended.conclusion, ended.jobs, ended.log, ended.artifacts)
        self.automation.end(int(run), ending, ended.at)

    def expire(self, run: str, artifact: str) -> None:
        for each in self.automation.artifacts[int(run)]:
            each.expired |= each.name == artifact

    def runs(self) -> list[str]:
        return [str(number) for number in self.automation.runs]

    def lose(self, what: Literal["start", "hook", "request"]) -> None:
        self.site.server.faults.add(Fault("lost", "POST", _WRITES[what]))

    def signed(self, body: bytes, secret: str) -> dict[str, str]:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return {"x-hub-signature-256": f"sha256={digest}"}

    def push(self, branch: str, path: str) -> str:
        return users.push(self.repository, branch, {path: path.encode()})

    def delete_branch(self, branch: str) -> None:
        self.repository.delete_ref(f"refs/heads/{branch}")

    def open_request(self, source: str, target: str, title: str, *, fork: bool = False) -> int:
        if fork:
            return self.pulls.open_from_fork(source, target, title).number
        return self.pulls.open(source, target, title).number

    def merge_request(self, number: int, how: Literal["merge", "squash", "rebase"]) -> str:
        return self.pulls.merge(number, how)

    def close_request(self, number: int) -> None:
        self.pulls.close(number)

    def label_request(self, number: int, *labels: str) -> None:
        self.pulls.get(number).labels = list(labels)

    def forget_repository(self) -> None:
        self.site.server.organizations[self.site.organization].clear()


@asynccontextmanager
async def github_bench(folder: Path) -> AsyncIterator[GitHubBench]:
    """Nobody else's organization, with one repository in it."""
    site = SITES.new()
    site.server.faults.waiting.clear()
    async with aclosing(site.host()) as host:
        api = host.api
        vendor = Vendor(host, GitHubCi(api), GitHubHooks(api), GitHubRequests(api), host.aclose)
        yield GitHubBench(site, vendor, await made(host))
