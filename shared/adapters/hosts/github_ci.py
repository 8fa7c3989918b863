"""GitHub Actions: workflows started by dispatch, their runs, what those leave. Must not start a run twice."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import IO

from shared.adapters.hosts.github_api import PAGE, GitHubApi, Remote, said
from shared.adapters.hosts.github_runs import Artifact, Artifacts, Dispatched, Job, Jobs, Run, Runs, read_log
from shared.adapters.vendors.answers import Answer, TooLarge, Unclear
from shared.adapters.vendors.guard import shown
from shared.adapters.vendors.http import Query, path_of
from shared.domain.kernel.errors import Invalid, Transient
from shared.ports.ci_host import CiArtifact, CiJob, CiRun, UnknownRun, UnknownWorkflow
from shared.ports.source_host import Place

ONCE_INPUT = "slipway_request"
"""The input that names the request. A workflow that Slipway may start has it, and says it in its run-name."""
_FOLDER = ".github/workflows/"
_ARCHIVE_BYTES = 64 * 1024 * 1024
_NEVER = datetime.max.replace(tzinfo=UTC)


class GitHubCi:
    """Implements ports.ci_host.CiHost.

    A dispatch can be lost or doubled, and takes no key. So the request's name travels as an input that the
    workflow shows in the title of its run, and a retry looks for that title before it dispatches.
    """

    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    async def start(
        self, place: Place, workflow: str, *, ref: str, inputs: Mapping[str, str], once: str, since: datetime
    ) -> CiRun:
        remote, file = self._api.at(place), _file_of(workflow)
        if (found := await self._started(remote, workflow, once, since)) is not None:
            return found
        body = {"ref": ref, "inputs": {**inputs, ONCE_INPUT: once}}
        path = remote.path + path_of("actions", "workflows", file, "dispatches")
        try:
            answer = await remote.http.send(remote.account, "POST", path, body=body, takes=(404, 422))
        except Unclear:
            found = await self._started(remote, workflow, once, since)
            if found is None:
                raise
            return found
        if answer.status == 404:
            raise await remote.blame(_unknown_workflow(workflow))
        if answer.status == 422:
            raise Invalid(f"GitHub does not start '{workflow}' ({shown(said(answer))}).")
        found = await self.find(place, str(answer.read(Dispatched).workflow_run_id))
        if found is None:
            raise Transient(f"GitHub has started '{workflow}' and does not show its run yet; try again.")
        return found

    async def started(self, place: Place, workflow: str, *, once: str, since: datetime) -> CiRun | None:
        try:
            return await self._started(self._api.at(place), workflow, once, since)
        except UnknownWorkflow:
            return None

    async def find(self, place: Place, run: str) -> CiRun | None:
        if not run.isdecimal():
            return None
        remote = self._api.at(place)
        answer = await remote.send("GET", "actions", "runs", run, takes=(404,))
        if answer.status == 404:
            await remote.get()
            return None
        return answer.read(Run).told()

    async def jobs(self, place: Place, run: str) -> list[CiJob]:
        """Those of its latest attempt."""
        rows: list[Job] = []
        async for answer in self._pages(place, run, "jobs"):
            rows += answer.read(Jobs).jobs
        jobs = [row.told_whole() for row in rows]
        return sorted(jobs, key=lambda job: job.started_at or _NEVER)

    async def log(self, place: Place, run: str) -> str:
        remote = self._api.at(place)
        missing = UnknownRun(f"GitHub has no log of the run '{run}', or none any more.", run=run)
        if not run.isdecimal():
            raise missing
        path = remote.path + path_of("actions", "runs", run, "logs")
        with tempfile.TemporaryFile() as file:
            answer = await remote.http.download(
                remote.account, path, file, max_bytes=_ARCHIVE_BYTES, takes=(404, 410)
            )
            if answer.status in {404, 410}:
                raise await remote.blame(missing)
            return await asyncio.to_thread(read_log, file)

    async def cancel(self, place: Place, run: str) -> None:
        if not run.isdecimal():
            return
        remote = self._api.at(place)
        # 409: it is over.
        answer = await remote.send("POST", "actions", "runs", run, "cancel", takes=(404, 409))
        if answer.status == 404:
            await remote.get()

    async def artifacts(self, place: Place, run: str) -> list[CiArtifact]:
        """Of what several attempts have left under one name, the latest."""
        rows: dict[str, Artifact] = {}
        async for answer in self._pages(place, run, "artifacts"):
            for row in answer.read(Artifacts).artifacts:
                if not row.expired and (row.name not in rows or rows[row.name].id < row.id):
                    rows[row.name] = row
        return [rows[name].told() for name in sorted(rows)]

    async def download(
        self, place: Place, run: str, artifact: CiArtifact, file: IO[bytes], *, max_bytes: int
    ) -> None:
        remote = self._api.at(place)
        missing = UnknownRun(
            f"GitHub has no artifact '{artifact.name}' of the run '{run}' any more.", run=run
        )
        if not artifact.id.isdecimal():
            raise missing
        path = remote.path + path_of("actions", "artifacts", artifact.id, "zip")
        try:
            answer = await remote.http.download(
                remote.account, path, file, max_bytes=max_bytes, takes=(404, 410)
            )
        except TooLarge:
            raise Invalid(f"The artifact '{artifact.name}' is larger than {max_bytes} bytes.") from None
        if answer.status in {404, 410}:
            raise await remote.blame(missing)

    async def _pages(self, place: Place, run: str, what: str) -> AsyncIterator[Answer]:
        """Of a list that belongs to a run."""
        remote, missing = self._api.at(place), UnknownRun(f"GitHub has no run '{run}'.", run=run)
        if not run.isdecimal():
            raise missing
        path = remote.path + path_of("actions", "runs", run, what)
        async for answer in remote.http.pages(remote.account, path, query={"per_page": PAGE}, takes=(404,)):
            if answer.status == 404:
                raise await remote.blame(missing)
            yield answer

    async def _started(self, remote: Remote, workflow: str, once: str, since: datetime) -> CiRun | None:
        query: Query = {
            "event": "workflow_dispatch",
            "created": f">={since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "per_page": PAGE,
        }
        path = remote.path + path_of("actions", "workflows", _file_of(workflow), "runs")
        async for answer in remote.http.pages(remote.account, path, query=query, takes=(404,)):
            if answer.status == 404:
                raise await remote.blame(_unknown_workflow(workflow))
            for run in answer.read(Runs).workflow_runs:
                if once in run.display_title.split():
                    return run.told()
        return None


def _file_of(workflow: str) -> str:
    """GitHub's API takes the name of the file. All of them lie in one folder."""
    file = workflow.removeprefix(_FOLDER)
    if file == workflow or not file or "/" in file:
        raise _unknown_workflow(workflow)
    return file


def _unknown_workflow(workflow: str) -> UnknownWorkflow:
    return UnknownWorkflow(
        f"The repository has no workflow '{workflow}' that can be started; name its path, as in"
        f" {_FOLDER}build.yml, and let it run on workflow_dispatch.",
        workflow=workflow,
    )
