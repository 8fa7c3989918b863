"""Azure Pipelines: YAML definitions of a repository, their runs, logs and artifacts. Must not start a run
twice.

Builds belong to a project; a run of another repository is as unknown here as one that never was.
https://learn.microsoft.com/rest/api/azure/devops/build
"""

import hashlib
import io
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from shared.adapters.hosts.azure_devops_api import HEADS, AzureRepository
from shared.adapters.hosts.azure_devops_models import (
    Build,
    BuildArtifact,
    Definition,
    Listed,
    Pipeline,
    Record,
    Repository,
    Timeline,
)
from shared.adapters.hosts.azure_devops_places import Organizations
from shared.adapters.hosts.azure_devops_refs import Refs
from shared.adapters.hosts.git_paths import path_problem
from shared.adapters.vendors.answers import Answer, TooLarge, Unclear
from shared.adapters.vendors.http import Query
from shared.domain.kernel.errors import Conflict, Invalid, NotFound
from shared.ports.ci_host import (
    CiArtifact,
    CiJob,
    CiRun,
    CiStatus,
    CiStep,
    UnknownRun,
    UnknownWorkflow,
)
from shared.ports.source_host import Place

ONCE_PARAMETER = "slipwayRequest"
"""The parameter that names the request. A pipeline that Slipway may start has it, with a default."""
_PAGE = 100
_LOG_BYTES = 16 * 1024 * 1024
_NAME_CHARACTERS = 200
_QUEUED = frozenset({"none", "notStarted", "postponed", "pending"})


class AzureDevOpsCi:
    """Implements ports.ci_host.CiHost.

    A build is queued without a key, and its answer can be lost. So the request's name travels as a parameter
    of the template, which every answer about the build shows, and a retry looks for it before it queues.
    """

    def __init__(self, organizations: Organizations) -> None:
        self._organizations = organizations

    async def start(
        self, place: Place, workflow: str, *, ref: str, inputs: Mapping[str, str], once: str, since: datetime
    ) -> CiRun:
        builds = await self._at(place)
        if path_problem(workflow):
            raise _unknown_workflow(workflow)
        definition = await builds.find_definition(workflow)
        if definition is not None and (found := await builds.started(definition, once, since)) is not None:
            return _run(found)
        head = await Refs(builds.remote).find_head(ref)
        if head is None:
            raise Invalid(f"There is no branch '{ref}' to start '{workflow}' on.", branch=ref)
        if await builds.remote.item(head, workflow) is None:
            raise _unknown_workflow(workflow)
        if definition is None:
            definition = await builds.define(workflow)
        wanted = {
            "definition": {"id": definition},
            "sourceBranch": HEADS + ref,
            "templateParameters": {**inputs, ONCE_PARAMETER: once},
        }
        try:
            return _run((await builds.send("POST", "builds", body=wanted, repeatable=False)).read(Build))
        except Unclear:
            found = await builds.started(definition, once, since)
            if found is None:
                raise
            return _run(found)

    async def started(self, place: Place, workflow: str, *, once: str, since: datetime) -> CiRun | None:
        builds = await self._at(place)
        definition = await builds.find_definition(workflow)
        found = None if definition is None else await builds.started(definition, once, since)
        return None if found is None else _run(found)

    async def find(self, place: Place, run: str) -> CiRun | None:
        found = await (await self._at(place)).find(run)
        return None if found is None else _run(found)

    async def jobs(self, place: Place, run: str) -> list[CiJob]:
        builds = await self._at(place)
        records = await builds.timeline(await builds.get(run))
        return [_job(record, records) for record in _jobs(records)]

    async def log(self, place: Place, run: str) -> str:
        builds = await self._at(place)
        build = await builds.get(run)
        records = await builds.timeline(build)
        text, left, logs = io.StringIO(), _LOG_BYTES, list(_logs(records))
        if not logs:
            raise UnknownRun(f"Azure DevOps has no log of the run '{run}', or none any more.", run=run)
        for log in logs:
            content = await builds.log(build, log)
            text.write(content[:left].decode("utf-8-sig", "replace"))
            left -= len(content)
            if left <= 0:
                text.write("\n(the log goes on at Azure DevOps)\n")
                break
        return text.getvalue()

    async def cancel(self, place: Place, run: str) -> None:
        builds = await self._at(place)
        found = await builds.find(run)
        if found is None or found.status in {"completed", "cancelling"}:
            return
        try:
            await builds.send("PATCH", "builds", run, body={"status": "cancelling"}, repeatable=True)
        except (Conflict, Invalid, NotFound):
            # It may have ended, or gone, while it was looked at.
            found = await builds.find(run)
            if found is not None and found.status != "completed":
                raise

    async def artifacts(self, place: Place, run: str) -> list[CiArtifact]:
        builds = await self._at(place)
        found = await builds.artifacts(await builds.get(run))
        told = (CiArtifact(str(each.id), each.name, _size(each)) for each in found)
        return sorted(told, key=lambda artifact: artifact.name)

    async def download(
        self, place: Place, run: str, artifact: CiArtifact, file: IO[bytes], *, max_bytes: int
    ) -> None:
        builds = await self._at(place)
        found = await builds.artifacts(await builds.get(run))
        url = next((each.resource.download_url for each in found if str(each.id) == artifact.id), "")
        gone = UnknownRun(f"Azure DevOps keeps no '{artifact.name}' of the run '{run}' any more.", run=run)
        if not url:
            raise gone
        try:
            answer = await builds.remote.api.download(url, file, max_bytes=max_bytes)
        except TooLarge:
            raise Invalid(f"The artifact '{artifact.name}' is larger than {max_bytes} bytes.") from None
        if answer.status != 200:
            raise gone

    async def _at(self, place: Place) -> "_Builds":
        """RepositoryMissing, which the builds of a project would not tell."""
        remote = self._organizations.repository(place)
        return _Builds(remote, await remote.get())


@dataclass(frozen=True, slots=True)
class _Builds:
    """The builds and definitions of one repository."""

    remote: AzureRepository
    repository: Repository

    async def send(
        self,
        method: str,
        *parts: str,
        query: Query | None = None,
        body: object = None,
        repeatable: bool = True,
    ) -> Answer:
        place = self.remote.place
        return await self.remote.api.send(
            method, place.project, "_apis", "build", *parts, query=query, body=body, repeatable=repeatable
        )

    async def find_definition(self, path: str) -> int | None:
        """Of the oldest that may be used. Who made it wrote the path with a slash before it, or without."""
        query: Query = {
            "repositoryId": self.repository.id,
            "repositoryType": "TfsGit",
            "includeAllProperties": "true",
            "$top": _PAGE,
        }
        found = [
            each
            async for answer in self._pages("definitions", query)
            for each in answer.read(Listed[Definition]).value
            if each.process is not None and each.process.yaml_filename.lstrip("/") == path
        ]
        return min((each.id for each in found if each.queue_status != "disabled"), default=None)

    async def define(self, path: str) -> int:
        """A pipeline of that file, made once: its name is the path's, and names are unique in a folder."""
        repository, place = self.repository, self.remote.place
        natural = hashlib.sha256(f"{repository.id}\0{path}".encode()).hexdigest()[:8]
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{repository.name}-{path}")[:_NAME_CHARACTERS]
        wanted = {
            "folder": "\\",
            "name": f"{plain}-{natural}",
            "configuration": {
                "type": "yaml",
                "path": f"/{path}",
                "repository": {"id": repository.id, "name": repository.name, "type": "azureReposGit"},
            },
        }
        try:
            return (
                await self.remote.api.read(Pipeline, "POST", place.project, "_apis", "pipelines", body=wanted)
            ).id
        except Conflict:
            # Another call made it, or this one, whose answer was lost.
            found = await self.find_definition(path)
            if found is not None:
                return found
            raise Conflict(
                f"Azure DevOps has a pipeline '{wanted['name']}' that is not of '{path}', or is disabled;"
                " rename or enable it there."
            ) from None

    async def started(self, definition: int, once: str, since: datetime) -> Build | None:
        query: Query = {
            "definitions": definition,
            "minTime": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "queryOrder": "queueTimeDescending",
            "$top": _PAGE,
        }
        async for answer in self._pages("builds", query):
            for build in answer.read(Listed[Build]).value:
                if (build.template_parameters or {}).get(ONCE_PARAMETER) == once:
                    return build
        return None

    async def find(self, run: str) -> Build | None:
        if not run.isdecimal():
            return None
        try:
            found = (await self.send("GET", "builds", run)).read(Build)
        except NotFound:
            return None
        return found if found.repository.id == self.repository.id else None

    async def get(self, run: str) -> Build:
        found = await self.find(run)
        if found is None:
            raise UnknownRun(f"Azure DevOps has no run '{run}' of this repository.", run=run)
        return found

    async def timeline(self, build: Build) -> list[Record]:
        """Empty until a runner takes it up."""
        answer = await self.send("GET", "builds", str(build.id), "timeline")
        if answer.status == 204 or answer.body in {b"", b"null"}:
            return []
        return answer.read(Timeline).records

    async def log(self, build: Build, log: int) -> bytes:
        try:
            answer = await self.remote.api.send(
                "GET",
                *(self.remote.place.project, "_apis", "build", "builds", str(build.id), "logs", str(log)),
                headers={"Accept": "text/plain"},
            )
        except NotFound:
            raise UnknownRun(f"Azure DevOps keeps the log of the run '{build.id}' no longer.") from None
        return answer.body

    async def artifacts(self, build: Build) -> list[BuildArtifact]:
        return (
            (await self.send("GET", "builds", str(build.id), "artifacts")).read(Listed[BuildArtifact]).value
        )

    async def _pages(self, what: str, query: Query) -> AsyncIterator[Answer]:
        asked = dict(query)
        while True:
            answer = await self.send("GET", what, query=asked)
            yield answer
            following = answer.headers.get("x-ms-continuationtoken", "")
            if following in {"", asked.get("continuationToken")}:
                return
            asked["continuationToken"] = following


def _run(build: Build) -> CiRun:
    status = _status(build.status)
    ended = status is CiStatus.COMPLETED
    return CiRun(
        id=str(build.id),
        status=status,
        conclusion=build.result if ended else None,
        url=build.links.web.href,
        sha=build.source_version,
        started_at=(build.start_time or build.queue_time).astimezone(UTC),
        finished_at=_at(build.finish_time) if ended else None,
    )


def _status(word: str) -> CiStatus:
    """Of a build, or of a record of its timeline."""
    if word == "completed":
        return CiStatus.COMPLETED
    return CiStatus.QUEUED if word in _QUEUED else CiStatus.RUNNING


def _at(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)


def _jobs(records: Iterable[Record]) -> list[Record]:
    """In the order they began; those that have not, last."""
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(
        (each for each in records if each.type == "Job"),
        key=lambda each: (_at(each.start_time) or never, each.order or 0),
    )


def _steps(job: Record, records: Iterable[Record]) -> list[Record]:
    found = (each for each in records if each.type == "Task" and each.parent_id == job.id)
    return sorted(found, key=lambda each: each.order or 0)


def _job(job: Record, records: list[Record]) -> CiJob:
    steps = tuple(
        CiStep(each.name, _status(each.state), each.result, _at(each.start_time), _at(each.finish_time))
        for each in _steps(job, records)
    )
    return CiJob(
        job.id, job.name, _status(job.state), job.result, _at(job.start_time), _at(job.finish_time), steps
    )


def _logs(records: list[Record]) -> Iterable[int]:
    """A job's own log is those of its tasks together, and comes when it ends; until then, theirs."""
    for job in _jobs(records):
        for record in [job] if job.log is not None else _steps(job, records):
            if record.log is not None:
                yield record.log.id


def _size(artifact: BuildArtifact) -> int | None:
    told = (artifact.resource.properties or {}).get("artifactsize", "")
    return int(told) if told.isdecimal() else None


def _unknown_workflow(path: str) -> UnknownWorkflow:
    return UnknownWorkflow(
        f"The branch has no pipeline '{path}'; name the path of its YAML file, as in"
        " .azuredevops/pipelines/build.yml.",
        workflow=path,
    )
