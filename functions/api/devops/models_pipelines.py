"""Wire shapes of pipelines, runs, logs and build results."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from functions.http.fields import Body, Name, PascalStatus, Query, View, WireId
from shared.domain.pipelines.definition import module_type_of
from shared.domain.pipelines.model import TIMED_OUT, ModuleType, RunStatus, Toolchain
from shared.services.pipelines import PipelineDraft

PipelineId = Annotated[str, WireId("pipe")]
PipelineVersionId = Annotated[str, WireId("pver")]
PipelineRunId = Annotated[str, WireId("run")]
BuildResultId = Annotated[str, WireId("build")]
RepositoryId = Annotated[str, WireId("repo")]
PullRequestId = Annotated[str, WireId("pr")]

_RUN_WORDS = {"pending": "Started", "errored": "Failed", "cancelled": "Canceled", "timed_out": "TimedOut"}


def _run_word(value: object) -> object:
    return _RUN_WORDS.get(value, value) if isinstance(value, str) else value


def _step_word(value: object) -> object:
    return "Canceled" if value == "cancelled" else value


def _known_type(value: object) -> object:
    return module_type_of(value) or value if isinstance(value, str) else value


def _or_none(value: object) -> object:
    return value or None


_RUN_STATES = dict.fromkeys(_RUN_WORDS.get(status, status.capitalize()) for status in (*RunStatus, TIMED_OUT))

RunWord = Annotated[
    PascalStatus,
    BeforeValidator(_run_word),
    WithJsonSchema({"type": "string", "enum": list(_RUN_STATES)}, mode="serialization"),
]
"""`Started` until a worker takes it up, then `Running`, then how it ended."""
StepWord = Annotated[PascalStatus, BeforeValidator(_step_word)]
Text = Annotated[str | None, BeforeValidator(_or_none)]
"""Left out when it is empty."""


class GeneratePipeline(Body):
    tenant_id: str | None = None
    repository_id: RepositoryId
    module_id: Name
    module_type: Annotated[ModuleType, BeforeValidator(_known_type)]
    target_feed: Annotated[str | None, Field(max_length=200)] = None
    branch: Annotated[str | None, Field(min_length=1, max_length=244)] = None
    """Default: the repository's default branch."""
    toolchain: Toolchain | None = None
    """What builds the module. Default: what its type is usually built with on the repository's host."""

    def draft(self) -> PipelineDraft:
        return PipelineDraft(
            repository=self.repository_id,
            module=self.module_id,
            module_type=self.module_type,
            target_feed=self.target_feed or None,
            branch=self.branch,
            toolchain=self.toolchain,
        )


class RunPipeline(Body):
    tenant_id: str | None = None
    branch: Annotated[str | None, Field(min_length=1, max_length=244)] = None
    """Default: the repository's default branch."""
    reason: Annotated[str, Field(min_length=1, max_length=200)] = "api"


class DefinitionProblemView(View):
    field: str
    message: str
    code: str


Problems = Annotated[tuple[DefinitionProblemView, ...] | None, BeforeValidator(_or_none)]
"""Why it is invalid; left out where it is not."""


class GeneratedPipelineView(View):
    pipeline_id: Annotated[PipelineId, Field(validation_alias="id")]
    definition_path: str
    status: PascalStatus
    content_hash: str
    version: int
    commit_sha: str | None
    problems: Problems


class PipelineView(View):
    pipeline_id: Annotated[PipelineId, Field(validation_alias="id")]
    repository_id: Annotated[RepositoryId, Field(validation_alias="repository")]
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    module_type: str
    toolchain: str | None
    provider: str
    target_feed: str | None
    definition_path: str
    branch: str
    status: PascalStatus
    template_version: int
    content_hash: str
    version: int
    in_force: Annotated[int, Field(description="The version that the branch has; 0 for none.")]
    committed: bool
    commit_sha: str | None
    problems: Problems
    created_by: str
    created_at: datetime
    updated_at: datetime


class PipelineVersionView(View):
    pipeline_version_id: Annotated[PipelineVersionId, Field(validation_alias="id")]
    version: Annotated[int, Field(validation_alias="number")]
    pipeline_id: Annotated[PipelineId, Field(validation_alias="pipeline")]
    status: PascalStatus
    module_type: str
    toolchain: str | None
    provider: str
    target_feed: str | None
    definition_path: str
    branch: str
    commit_sha: str | None
    template_version: int
    content_hash: str
    problems: Problems
    created_by: str
    created_at: datetime
    updated_at: datetime


class StartedRunView(View):
    pipeline_run_id: Annotated[PipelineRunId, Field(validation_alias="id")]
    build_number: str
    status: Annotated[RunWord, Field(validation_alias="verdict")]


class StepView(View):
    name: str
    status: StepWord
    command: str
    optional: bool
    exit_code: int | None
    started_at: datetime | None
    finished_at: datetime | None
    message: Text


class TaskView(View):
    name: str
    status: StepWord
    steps: tuple[StepView, ...]


class StageView(View):
    name: str
    status: StepWord
    tasks: tuple[TaskView, ...]


class PipelineRunSummaryView(View):
    pipeline_run_id: Annotated[PipelineRunId, Field(validation_alias="id")]
    pipeline_id: Annotated[PipelineId, Field(validation_alias="pipeline")]
    repository_id: Annotated[RepositoryId, Field(validation_alias="repository")]
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    branch: str
    commit_sha: str
    reason: str
    build_number: str
    status: Annotated[RunWord, Field(validation_alias="verdict")]
    outcome_reason: Text
    attempt: int
    pull_request_id: Annotated[PullRequestId | None, Field(validation_alias="pull_request")]
    build_result_id: Annotated[BuildResultId | None, Field(validation_alias="build_result")]
    requested_by: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime


class PipelineRunView(PipelineRunSummaryView):
    host_url: str | None
    stages: Annotated[tuple[StageView, ...], Field(validation_alias="phases")]


class LogLineView(View):
    offset: int
    timestamp: str
    stage: Text
    step: Text
    level: str
    text: str


class LogPageView(View):
    """`nextOffset` continues; `complete` says that no line will ever follow."""

    lines: tuple[LogLineView, ...]
    next_offset: int
    complete: bool


class TestCountsView(View):
    __test__ = False

    total: int
    passed: int
    failed: int
    skipped: int


class BuildArtifactView(View):
    name: str
    kind: str
    ref: str
    digest: str
    size: int


class ExitCodeView(View):
    step: str
    code: int | None


class BuildResultView(View):
    build_result_id: Annotated[BuildResultId, Field(validation_alias="id")]
    pipeline_run_id: Annotated[PipelineRunId, Field(validation_alias="pipeline_run")]
    pipeline_id: Annotated[PipelineId, Field(validation_alias="pipeline")]
    repository_id: Annotated[RepositoryId, Field(validation_alias="repository")]
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    branch: str
    commit_sha: str
    build_number: str
    status: PascalStatus
    tests: TestCountsView | None
    coverage: float | None
    artifacts: tuple[BuildArtifactView, ...]
    exit_codes: tuple[ExitCodeView, ...]
    logs_uri: str
    created_at: datetime


class LogsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=1000, description="Lines per page.")] = 500
    offset: Annotated[int, Field(ge=0, description="The `nextOffset` of the page before.")] = 0
    follow: Annotated[bool, Field(description="Wait for new lines where there are none yet.")] = False
    wait: Annotated[float, Field(ge=0, le=20, description="Seconds that `follow` waits at most.")] = 20
