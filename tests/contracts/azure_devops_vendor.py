"""Azure DevOps under the contracts of vendors: a repository on the stand-in, what the service and its users
do in it."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dulwich.objects import Blob

from shared.adapters.hosts.azure_devops_ci import AzureDevOpsCi
from shared.adapters.hosts.azure_devops_hooks import AzureDevOpsHooks
from shared.adapters.hosts.azure_devops_requests import AzureDevOpsRequests
from shared.ports.source_host import Place
from shared.ports.vendor import Vendor
from tests.contracts.azure_devops_site import PLACE, PROJECT, SITES, Bench
from tests.contracts.source_hosts import ADA
from tests.contracts.vendor_bench import Ended
from tests.standins.azure_devops.organization import Project
from tests.standins.azure_devops.pipelines import Ending, Pipelines
from tests.standins.azure_devops.pulls import Pulls
from tests.standins.azure_devops.pushes import add_commit, files_of
from tests.standins.azure_devops.repository import NOTHING, Repository
from tests.standins.azure_devops.server import Fault

_HEADS = "refs/heads/"
_WRITES = {
    "start": f"/{PROJECT}/_apis/build/builds",
    "hook": "/_apis/hooks/subscriptions",
    "request": f"/{PROJECT}/_apis/git/repositories/{PLACE.name}/pullrequests",
}


@dataclass
class AzureDevOpsBench:
    """Implements tests.contracts.vendor_bench.VendorBench."""

    bench: Bench
    vendor: Vendor
    head: str
    place: Place = PLACE
    success: str = "succeeded"
    failure: str = "failed"
    cancelled: str = "canceled"

    @property
    def project(self) -> Project:
        return self.bench.organization.project(PROJECT)

    @property
    def repository(self) -> Repository:
        return self.bench.organization.repository(PROJECT, self.place.name)

    @property
    def pipelines(self) -> Pipelines:
        return self.project.pipelines

    @property
    def pulls(self) -> Pulls:
        return self.project.pulls(self.repository)

    def add_workflow(self, path: str, *inputs: str) -> None:
        lines = ["trigger: none", "parameters:"]
        for name in ("slipwayRequest", *inputs):
            lines += [f"  - name: {name}", "    type: string", "    default: none"]
        self.head = self.write("main", path, "\n".join(lines).encode())

    def begin(self, run: str) -> None:
        self.pipelines.begin(int(run))

    def end(self, run: str, ended: Ended) -> None:
        ending = Ending(ended.conclusion, ended.jobs, ended.log, ended.artifacts)
        self.pipelines.end(int(run), ending, ended.at)

    def expire(self, run: str, artifact: str) -> None:
        build = self.pipelines.build(int(run))
        build.artifacts = [each for each in build.artifacts if each.name != artifact]

    def runs(self) -> list[str]:
        return [str(number) for number in self.pipelines.builds]

    def lose(self, what: Literal["start", "hook", "request"]) -> None:
        on = f"POST /{self.bench.organization.name}{_WRITES[what]}"
        self.bench.service.faults.append(Fault("lost", on))

    def signed(self, body: bytes, secret: str) -> dict[str, str]:
        known = base64.b64encode(f"{self.repository.id}:{secret}".encode()).decode()
        return {"authorization": f"Basic {known}"}

    def write(self, branch: str, path: str, content: bytes) -> str:
        """As `push`, with this content."""
        repository, ref = self.repository, f"{_HEADS}{branch}"
        refs = repository.refs()
        parent, blob = refs.get(ref, refs[f"{_HEADS}main"]), Blob.from_string(content)
        repository.git.object_store.add_object(blob)
        files = files_of(repository, parent) | {path.encode(): (blob.id, 0o100644)}
        sha = add_commit(repository, files, [parent], "theirs", datetime.now(UTC))
        assert repository.move(ref, refs.get(ref, NOTHING), sha) == "succeeded"
        return sha

    def push(self, branch: str, path: str) -> str:
        return self.write(branch, path, path.encode())

    def delete_branch(self, branch: str) -> None:
        ref = f"{_HEADS}{branch}"
        assert self.repository.move(ref, self.repository.refs()[ref], NOTHING) == "succeeded"

    def open_request(self, source: str, target: str, title: str, *, fork: bool = False) -> int:
        refs = {"sourceRefName": f"{_HEADS}{source}", "targetRefName": f"{_HEADS}{target}"}
        number = next(self.bench.organization.numbers)
        return self.pulls.open(number, {**refs, "title": title}, fork=fork).number

    def merge_request(self, number: int, how: Literal["merge", "squash", "rebase"]) -> str:
        return self.pulls.complete(number, how)

    def close_request(self, number: int) -> None:
        self.pulls.change(number, {"status": "abandoned"})

    def label_request(self, number: int, *labels: str) -> None:
        self.pulls.get(number).labels = list(labels)

    def forget_repository(self) -> None:
        self.project.repositories.clear()


@asynccontextmanager
async def azure_devops_bench(folder: Path) -> AsyncIterator[AzureDevOpsBench]:
    """Nobody else's organization, with one repository in it."""
    async with SITES.bench(folder) as bench:
        host, at = bench.host, bench.host.organizations
        parts = AzureDevOpsCi(at), AzureDevOpsHooks(at), AzureDevOpsRequests(at)
        head = await host.create(PLACE, default_branch="main", author=ADA, readme="# api\n")
        yield AzureDevOpsBench(bench, Vendor(host, *parts, host.aclose), head)
