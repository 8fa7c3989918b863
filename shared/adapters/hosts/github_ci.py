"""GitHub Actions: workflows started by dispatch, their runs and logs. Must not start a run twice."""

import asyncio
import io
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO

from pydantic import BaseModel

from shared.adapters.hosts.github_api import PAGE, GitHubApi, Remote, said
from shared.adapters.vendors.answers import Unclear
from shared.adapters.vendors.guard import shown
from shared.adapters.vendors.http import Query, path_of
from shared.domain.kernel.errors import Invalid, Permanent, Transient
from shared.ports.ci_host import CiRun, CiStatus, UnknownRun, UnknownWorkflow
from shared.ports.source_host import Place

ONCE_INPUT = "slipway_request"
"""The input that names the request. A workflow that Slipway may start has it, and says it in its run-name."""
_ARCHIVE_BYTES = 64 * 1024 * 1024
_LOG_BYTES = 16 * 1024 * 1024
_LOG_FILES = 1000
_WAITING = frozenset({"queued", "waiting", "pending", "requested"})


class Run(BaseModel):
    id: int
    status: str
    conclusion: str | None
    html_url: str
    head_sha: str
    display_title: str
    created_at: datetime
    updated_at: datetime
    run_started_at: datetime | None = None

    def told(self) -> CiRun:
        ended = self.status == "completed"
        status = CiStatus.QUEUED if self.status in _WAITING else CiStatus.RUNNING
        return CiRun(
            id=str(self.id),
            status=CiStatus.COMPLETED if ended else status,
            conclusion=self.conclusion if ended else None,
            url=self.html_url,
            sha=self.head_sha,
            started_at=(self.run_started_at or self.created_at).astimezone(UTC),
            finished_at=self.updated_at.astimezone(UTC) if ended else None,
        )


class Runs(BaseModel):
    workflow_runs: list[Run]


class Dispatched(BaseModel):
    workflow_run_id: int


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
        remote = self._api.at(place)
        if (found := await self._started(remote, workflow, once, since)) is not None:
            return found
        body = {"ref": ref, "inputs": {**inputs, ONCE_INPUT: once}, "return_run_details": True}
        path = remote.path + path_of("actions", "workflows", workflow, "dispatches")
        try:
            answer = await remote.http.send(remote.account, "POST", path, body=body, takes=(404, 422))
        except Unclear:
            found = await self._started(remote, workflow, once, since)
            if found is None:
                raise
            return found
        if answer.status == 404:
            raise await remote.blame(_unknown(workflow))
        if answer.status == 422:
            raise Invalid(f"GitHub does not start '{workflow}' ({shown(said(answer))}).")
        if answer.status == 204:
            # An Enterprise Server does not say which run it is; its list does, a little later.
            found = await self._started(remote, workflow, once, since)
        else:
            found = await self.find(place, str(answer.read(Dispatched).workflow_run_id))
        if found is None:
            raise Transient(f"GitHub has started '{workflow}' and does not show its run yet; try again.")
        return found

    async def find(self, place: Place, run: str) -> CiRun | None:
        if not run.isdecimal():
            return None
        remote = self._api.at(place)
        answer = await remote.send("GET", "actions", "runs", run, takes=(404,))
        if answer.status == 404:
            await remote.get()
            return None
        return answer.read(Run).told()

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
            return await asyncio.to_thread(_read_log, file)

    async def _started(self, remote: Remote, workflow: str, once: str, since: datetime) -> CiRun | None:
        query: Query = {
            "event": "workflow_dispatch",
            "created": f">={since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "per_page": PAGE,
        }
        path = remote.path + path_of("actions", "workflows", workflow, "runs")
        async for answer in remote.http.pages(remote.account, path, query=query, takes=(404,)):
            if answer.status == 404:
                raise await remote.blame(_unknown(workflow))
            for run in answer.read(Runs).workflow_runs:
                if once in run.display_title.split():
                    return run.told()
        return None


def _unknown(workflow: str) -> UnknownWorkflow:
    return UnknownWorkflow(
        f"The repository has no workflow '{workflow}' that can be started; name its file, as in build.yml,"
        " and let it run on workflow_dispatch.",
        workflow=workflow,
    )


def _read_log(file: IO[bytes]) -> str:
    """One text per job lies in the root of the archive, and its steps again in folders. Blocking."""
    file.seek(0)
    text, left = io.StringIO(), _LOG_BYTES
    try:
        with zipfile.ZipFile(file) as archive:
            jobs = sorted(
                (each for each in archive.infolist() if "/" not in each.filename and not each.is_dir()),
                key=lambda each: each.filename,
            )
            for job in jobs[:_LOG_FILES]:
                with archive.open(job) as opened:
                    # A small archive can hold a text without end: what is read counts, not what it claims.
                    content = opened.read(left)
                left -= len(content)
                text.write(content.decode("utf-8-sig", "replace"))
                if left == 0:
                    text.write("\n(the log goes on at GitHub)\n")
                    break
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError):
        raise Permanent("GitHub's archive of the log cannot be read.") from None
    return text.getvalue()
