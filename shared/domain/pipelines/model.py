"""Pipelines of a repository, their runs as a tree of phases, tasks and steps, and what a run produced."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.errors import Problem
from shared.domain.kernel.ids import child_id, root_id
from shared.domain.kernel.machine import Machine
from shared.domain.kernel.record import Entity, record
from shared.domain.source.model import Provider


class ModuleType(StrEnum):
    """What a module is; the words are the contract's."""

    MICROSERVICE = "Microservice"
    FRONTEND = "Frontend"
    WORKER = "Worker"
    LIBRARY = "Library"
    GATEWAY = "Gateway"
    API_GATEWAY = "ApiGateway"
    API_LIBRARY = "ApiLibrary"
    BLAZOR_MICROFRONTEND = "BlazorMicrofrontend"
    BLAZOR_SHELL = "BlazorShell"
    IDENTITY_BACKEND = "IdentityBackend"
    AUTHORIZATION_SERVER = "AuthorizationServer"


class Toolchain(StrEnum):
    """What builds a module."""

    DOTNET = "dotnet"
    NODE = "node"
    PYTHON = "python"


class PipelineStatus(StrEnum):
    GENERATED = "generated"
    SUPERSEDED = "superseded"
    INVALID = "invalid"


PIPELINE = Machine(
    "pipeline",
    PipelineStatus,
    initial=[PipelineStatus.GENERATED],
    moves={
        "regenerate": (tuple(PipelineStatus), PipelineStatus.GENERATED),
        "supersede": ((PipelineStatus.GENERATED, PipelineStatus.INVALID), PipelineStatus.SUPERSEDED),
        "validate": ((PipelineStatus.GENERATED, PipelineStatus.INVALID), PipelineStatus.GENERATED),
        "invalidate": ((PipelineStatus.GENERATED, PipelineStatus.INVALID), PipelineStatus.INVALID),
    },
)


TIMED_OUT = "timed_out"
"""The reason of a run that failed because it, or one of its steps, took too long."""


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """A step said no."""
    ERRORED = "errored"
    """We could not run it, or could not find out."""
    CANCELLED = "cancelled"


RUN = Machine(
    "pipeline run",
    RunStatus,
    initial=[RunStatus.PENDING],
    moves={
        "start": ((RunStatus.PENDING, RunStatus.RUNNING), RunStatus.RUNNING),
        "succeed": ((RunStatus.RUNNING,), RunStatus.SUCCEEDED),
        "fail": ((RunStatus.RUNNING,), RunStatus.FAILED),
        "error": ((RunStatus.PENDING, RunStatus.RUNNING), RunStatus.ERRORED),
        "cancel": ((RunStatus.PENDING, RunStatus.RUNNING), RunStatus.CANCELLED),
    },
)


class StepStatus(StrEnum):
    """Of a step, and folded from them of a task and of a phase."""

    PENDING = "pending"
    RUNNING = "running"
    SKIPPED = "skipped"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"


class BuildStatus(StrEnum):
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    """Everything required succeeded, an optional step failed."""
    FAILED = "failed"
    CANCELED = "canceled"


@record("pipeline", root="repository")
class PipelineDefinition(Entity):
    """The pipeline of one module of a repository. Its text lives in git, at `definition_path`."""

    id: str
    tenant: str
    project: str
    repository: str
    module: str
    module_type: ModuleType
    target_feed: str | None
    definition_path: str
    branch: str
    """The branch that the platform commits the definition to."""
    commit_sha: str | None
    """The commit that has this definition; None while it is not committed."""
    status: PipelineStatus
    template_version: int
    content_hash: str
    """`sha256:` of the generated text."""
    version: int
    """Counts the texts generated for this pipeline, from 1."""
    committed: bool
    """False for the default that the platform runs where a repository has no definition of its own."""
    created_by: str
    created_at: datetime
    updated_at: datetime
    provider: Provider = Provider.EMBEDDED
    """Whose pipelines it is written for."""
    toolchain: Toolchain | None = None
    """What was asked for; None is what its type is usually built with."""
    in_force: int = 0
    """The version whose text the branch has; 0 where there is none."""
    problems: tuple[Problem, ...] = ()
    """Why the latest version is invalid."""
    revision: int = 0


@record("pipeline-version", root="repository")
class PipelineVersion(Entity):
    """One text that was generated for a pipeline, as it was then; it may have been edited in git since."""

    id: str
    tenant: str
    pipeline: str
    number: int
    status: PipelineStatus
    module_type: ModuleType
    toolchain: Toolchain | None
    target_feed: str | None
    provider: Provider
    definition_path: str
    branch: str
    commit_sha: str | None
    template_version: int
    content_hash: str
    text: str
    problems: tuple[Problem, ...]
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@record("build-counter", root="repository")
class BuildCounter(Entity):
    """The last build number of one pipeline on one UTC day."""

    id: str
    pipeline: str
    day: str
    last: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One active run, with what a retry needs to name the very same run before its record exists."""

    run: str
    build_number: str
    created_at: datetime
    requested_by: str


@record("run-slots", root="repository")
class RunSlots(Entity):
    """The runs of a repository that have not finished."""

    id: str
    active: tuple[Slot, ...] = ()
    revision: int = 0

    def find(self, run: str) -> Slot | None:
        return next((slot for slot in self.active if slot.run == run), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """One command of one attempt. `exit_code` is None while it runs and where it was killed."""

    id: str
    name: str
    command: str
    optional: bool = False
    status: StepStatus = StepStatus.PENDING
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    id: str
    name: str
    status: StepStatus
    steps: tuple[StepRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    id: str
    name: str
    status: StepStatus
    tasks: tuple[Task, ...]


@record("run", root="run")
class PipelineRun(Entity):
    """One execution of a pipeline at one commit. Once terminal it never changes."""

    id: str
    tenant: str
    project: str
    module: str
    repository: str
    pipeline: str
    branch: str
    commit_sha: str
    reason: str
    build_number: str
    pull_request: str | None
    requested_by: str
    status: RunStatus = RunStatus.PENDING
    outcome_reason: str = ""
    """Why it did not succeed: `timed_out`, `invalid_definition`, the step that failed, who cancelled it."""
    attempt: int = 0
    """How many workers have taken it up; only the latest may report."""
    phases: tuple[Phase, ...] = ()
    build_result: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline_at: datetime
    created_at: datetime
    updated_at: datetime
    host_run: str | None = None
    """The vendor's id of it, where a vendor does it and has begun."""
    host_url: str | None = None
    """Where people look at it there."""
    revision: int = 0

    @property
    def is_terminal(self) -> bool:
        return self.status in RUN.terminal

    @property
    def verdict(self) -> str:
        """The status, or `timed_out` where that is why it failed."""
        return self.outcome_reason if self.outcome_reason == TIMED_OUT else self.status

    @property
    def logs_path(self) -> str:
        """The blob that its log grows in."""
        return f"runs/{self.id}/log.ndjson"


@record("run-watch", root="run")
class RunWatch(Entity):
    """How far a run at a vendor has been followed."""

    id: str
    tenant: str
    run: str
    due_at: datetime
    turn: int = 1
    """The turn that is due; any other comes late, and changes nothing."""
    log_size: int = 0
    """The bytes of our log when `log_lines` lines of the vendor's were in it."""
    log_lines: int = 0
    log_digest: str = ""
    """Of those lines: a vendor may still change what it has shown."""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class TestCounts:
    __test__ = False

    total: int
    passed: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildArtifact:
    """A file that the run made, kept as a blob at `ref`. `digest` is `sha256:` and hex; `size` in bytes."""

    name: str
    kind: str
    ref: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class ExitCode:
    step: str
    """As `phase/task/step`."""
    code: int | None


@record("build-result", root="run")
class BuildResult(Entity):
    """What one run produced. Written once, in the batch that finishes the run."""

    id: str
    tenant: str
    project: str
    module: str
    repository: str
    pipeline: str
    pipeline_run: str
    branch: str
    commit_sha: str
    build_number: str
    status: BuildStatus
    tests: TestCounts | None
    coverage: float | None
    """Share of lines covered, 0 to 1."""
    artifacts: tuple[BuildArtifact, ...]
    exit_codes: tuple[ExitCode, ...]
    logs_uri: str
    created_at: datetime
    revision: int = 0


def pipeline_id(repository: str, module: str) -> str:
    return child_id(repository, "pipeline", module)


def version_id(pipeline: str, number: int) -> str:
    return child_id(pipeline, "pipeline-version", f"{number:06d}")


def counter_id(repository: str, pipeline: str, day: str) -> str:
    return child_id(repository, "build-counter", pipeline, day)


def slots_id(repository: str) -> str:
    return child_id(repository, "run-slots")


def run_id(tenant: str, pipeline: str, seed: str) -> str:
    return root_id("run", tenant, pipeline, seed)


def watch_id(run: str) -> str:
    return child_id(run, "run-watch")


def build_result_id(run: str, attempt: int) -> str:
    return child_id(run, "build-result", str(attempt))
