"""What we read of GitHub's answers about workflow runs, as the port tells it. Asks nothing itself."""

import io
import zipfile
from datetime import UTC, datetime
from typing import IO

from pydantic import BaseModel

from shared.domain.kernel.errors import Permanent
from shared.ports.ci_host import CiArtifact, CiJob, CiRun, CiStatus, CiStep

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
        status = _status(self.status)
        ended = status is CiStatus.COMPLETED
        return CiRun(
            id=str(self.id),
            status=status,
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


class Step(BaseModel):
    name: str
    status: str
    conclusion: str | None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    def told(self) -> CiStep:
        status = _status(self.status)
        # GitHub gives what still waits the time at which it began to wait.
        began = None if status is CiStatus.QUEUED else _utc(self.started_at)
        return CiStep(self.name, status, self.conclusion, began, _utc(self.completed_at))


class Job(Step):
    id: int
    steps: list[Step] = []

    def told_whole(self) -> CiJob:
        own = self.told()
        return CiJob(
            id=str(self.id),
            name=own.name,
            status=own.status,
            conclusion=own.conclusion,
            started_at=own.started_at,
            finished_at=own.finished_at,
            steps=tuple(step.told() for step in self.steps),
        )


class Jobs(BaseModel):
    jobs: list[Job]


class Artifact(BaseModel):
    id: int
    name: str
    size_in_bytes: int
    expired: bool

    def told(self) -> CiArtifact:
        return CiArtifact(str(self.id), self.name, self.size_in_bytes)


class Artifacts(BaseModel):
    artifacts: list[Artifact]


def read_log(file: IO[bytes]) -> str:
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


def _status(said: str) -> CiStatus:
    if said == "completed":
        return CiStatus.COMPLETED
    return CiStatus.QUEUED if said in _WAITING else CiStatus.RUNNING


def _utc(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC) if at is not None else None
