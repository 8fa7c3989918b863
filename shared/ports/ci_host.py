"""Workflows that run at a vendor: started, watched, read. What a run means is decided elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

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
class Hook:
    """A registration for what happens in one repository. The vendor never tells its secret again."""

    id: str
    url: str
    events: tuple[str, ...]


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
    """Every method is safe to repeat."""

    async def start(
        self, place: Place, workflow: str, *, ref: str, inputs: Mapping[str, str], once: str, since: datetime
    ) -> CiRun:
        """Run a workflow on a branch. `once` names the request: a run that carries it, begun after `since`,
        is the answer to a repeated one. Transient where that cannot be told yet. UnknownWorkflow."""

    async def find(self, place: Place, run: str) -> CiRun | None: ...

    async def log(self, place: Place, run: str) -> str:
        """The text of every job, one after another. UnknownRun where there is none, or none any more."""


class HookHost(Protocol):
    """What a vendor tells us without being asked, and what we tell it. Every method is safe to repeat."""

    async def add_hook(self, place: Place, url: str, secret: str, events: tuple[str, ...]) -> Hook:
        """One for each URL; again: with the new secret and events."""

    async def hooks(self, place: Place) -> list[Hook]: ...

    async def remove_hook(self, place: Place, hook: str) -> None:
        """One that is gone is fine."""

    async def set_status(self, place: Place, sha: str, status: CommitStatus) -> None: ...

    async def statuses(self, place: Place, sha: str) -> list[CommitStatus]:
        """The latest of every context, by its name. UnknownCommit."""
