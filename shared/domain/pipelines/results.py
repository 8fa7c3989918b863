"""The result of a run, made in one place: whoever did the run, and whoever tells of it."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.pipelines.model import (
    BuildArtifact,
    BuildResult,
    BuildStatus,
    ExitCode,
    PipelineRun,
    TestCounts,
    build_result_id,
)


@dataclass(frozen=True, slots=True)
class Produced:
    """What an attempt left behind. `coverage` is a share, 0 to 1."""

    tests: TestCounts | None = None
    coverage: float | None = None
    artifacts: tuple[BuildArtifact, ...] = ()


def result_of(
    run: PipelineRun,
    attempt: int,
    status: BuildStatus,
    produced: Produced,
    at: datetime,
    *,
    exit_codes: tuple[ExitCode, ...] = (),
    logs_uri: str | None = None,
) -> BuildResult:
    """The result of one attempt. `logs_uri` None is the log that the platform keeps."""
    return BuildResult(
        id=build_result_id(run.id, attempt),
        tenant=run.tenant,
        project=run.project,
        module=run.module,
        repository=run.repository,
        pipeline=run.pipeline,
        pipeline_run=run.id,
        branch=run.branch,
        commit_sha=run.commit_sha,
        build_number=run.build_number,
        status=status,
        tests=produced.tests,
        coverage=produced.coverage,
        artifacts=produced.artifacts,
        exit_codes=exit_codes,
        logs_uri=run.logs_path if logs_uri is None else logs_uri,
        created_at=at,
    )
