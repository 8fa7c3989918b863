"""Workflows that run at a vendor: started, watched, read. What a run means is decided elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import IO, Protocol

from shared.domain.kernel.errors import NotFound
from shared.ports.source_host import Place


class CiStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class CiRun:
    """`conclusion` is the vendor's word for how it ended (`success`, `failure`, `cancelled` ...), and None
    until then; `finished_at` likewise."""

    id: str
    status: CiStatus
    conclusion: str | None
    url: str
    sha: str
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class CiStep:
    """One step of a job; `conclusion` as of a run."""

    name: str
    status: CiStatus
    conclusion: str | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class CiJob:
    """One job of a run, with its steps in their order."""

    id: str
    name: str
    status: CiStatus
    conclusion: str | None
    started_at: datetime | None
    finished_at: datetime | None
    steps: tuple[CiStep, ...]


@dataclass(frozen=True, slots=True)
class CiArtifact:
    """A file that a run left at the vendor, as a zip archive. `size` in bytes, None where it is not told."""

    id: str
    name: str
    size: int | None


class HookEvent(StrEnum):
    """What a vendor can be asked to tell of; each has its own words for it."""

    PUSH = "push"
    PULL_REQUEST = "pull_request"
    RUN = "run"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook's message says of itself: which delivery it is, and of what it tells; None for what
    concerns nobody here."""

    delivery: str
    about: HookEvent | None


@dataclass(frozen=True, slots=True)
class Hook:
    """A registration for what happens in one repository. The vendor never tells its secret again."""

    id: str
    url: str
    events: tuple[HookEvent, ...]


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """A verdict that the vendor shows beside a commit: `state` is pending, success, failure or error. The
    latest of a `context` counts."""

    context: str
    state: str
    description: str = ""
    target_url: str = ""


class UnknownWorkflow(NotFound):
    code = "unknown_workflow"


class UnknownRun(NotFound):
    code = "unknown_run"


class CiHost(Protocol):
    """Every method is safe to repeat. A workflow is named by the path of its definition in the repository."""

    async def start(
        self, place: Place, workflow: str, *, ref: str, inputs: Mapping[str, str], once: str, since: datetime
    ) -> CiRun:
        """Run a workflow on a branch. `once` names the request: a run that carries it, begun after `since`,
        is the answer to a repeated one. Transient where that cannot be told yet. UnknownWorkflow."""

    async def started(self, place: Place, workflow: str, *, once: str, since: datetime) -> CiRun | None:
        """The run that this request has begun, after `since`. None where there is none, or none yet."""

    async def find(self, place: Place, run: str) -> CiRun | None: ...

    async def jobs(self, place: Place, run: str) -> list[CiJob]:
        """As far as they are known, in the order they began. UnknownRun."""

    async def log(self, place: Place, run: str) -> str:
        """The text of every job, one after another. UnknownRun where there is none, or none any more."""

    async def cancel(self, place: Place, run: str) -> None:
        """Ask for its end; it ends a little later. One that is over, or unknown, is fine."""

    async def artifacts(self, place: Place, run: str) -> list[CiArtifact]:
        """What the run has left and the vendor still keeps, by name. UnknownRun."""

    async def download(
        self, place: Place, run: str, artifact: CiArtifact, file: IO[bytes], *, max_bytes: int
    ) -> None:
        """Its zip archive into `file`. UnknownRun where it is gone; Invalid where it is larger."""


class HookHost(Protocol):
    """What a vendor tells us without being asked, and what we tell it. Every method is safe to repeat."""

    async def add_hook(self, place: Place, url: str, secret: str, events: tuple[HookEvent, ...]) -> Hook:
        """One for each URL; again: with the new secret and events. A vendor that registers each event by
        itself tells the id of the first; `remove_hook` takes them all."""

    def is_genuine(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether who sent this knows the secret; compared in constant time over the raw body. Header names
        are lower case."""

    async def hooks(self, place: Place) -> list[Hook]: ...

    async def remove_hook(self, place: Place, hook: str) -> None:
        """One that is gone is fine."""

    async def set_status(self, place: Place, sha: str, status: CommitStatus) -> None: ...

    async def statuses(self, place: Place, sha: str) -> list[CommitStatus]:
        """The latest of every context, by its name. UnknownCommit."""
