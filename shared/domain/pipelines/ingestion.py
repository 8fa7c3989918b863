"""A build that a CI system reports: what a report has to say, and what it makes of the run that it is of.

A result is written once per attempt of a run. A run that a worker of ours has taken up takes no report; one
that a vendor does takes it from whoever tells first. A run that only a CI system knows is named by its
pipeline and build number, and shows its latest attempt.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Conflict, Invalid, Problem, RuleBroken
from shared.domain.pipelines.events import build_events, run_completed
from shared.domain.pipelines.model import (
    RUN,
    BuildArtifact,
    BuildResult,
    BuildStatus,
    PipelineDefinition,
    PipelineRun,
    RunStatus,
    TestCounts,
    run_id,
)
from shared.domain.pipelines.results import Produced, result_of

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
EXTERNAL = "external"
"""The reason of a run that a CI system did."""

_VERBS = {
    BuildStatus.SUCCEEDED: "succeed",
    BuildStatus.PARTIALLY_SUCCEEDED: "succeed",
    BuildStatus.FAILED: "fail",
    BuildStatus.CANCELED: "cancel",
}


class ReportMismatch(RuleBroken):
    """The report names another module than the run or pipeline that it is of."""

    code = "report_mismatch"


class ResultExists(Conflict):
    """This attempt has a result already, and it is another one."""

    code = "build_result_exists"


class RunInHand(Conflict):
    """A worker of the platform does this run, or has done it: the result comes from there."""

    code = "run_in_hand"


class BuildNumberTaken(Conflict):
    """The pipeline had a build of this number, of another commit or branch."""

    code = "build_number_taken"


@dataclass(frozen=True, slots=True)
class OfRun:
    """The report is of a run that is known here."""

    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfPipeline:
    """The report is of a run that only the CI system knows, under its own build number."""

    pipeline: str
    commit_sha: str
    branch: str
    build_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """`coverage` is a share, 0 to 1. `attempt` counts from 1."""

    origin: OfRun | OfPipeline
    module: str
    status: BuildStatus
    tests: TestCounts | None
    coverage: float | None
    artifacts: tuple[BuildArtifact, ...]
    logs_uri: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Reported:
    """What a report changes, in one batch. `run` is None where a later attempt is what the run shows."""

    result: Change[BuildResult]
    run: Change[PipelineRun] | None


def check_report(report: BuildReport) -> None:
    """Invalid with every contradiction in the report itself."""
    problems: list[Problem] = []
    tests = report.tests
    if tests is not None and tests.total != tests.passed + tests.failed + tests.skipped:
        counted = f"{tests.passed} + {tests.failed} + {tests.skipped}"
        problems.append(
            Problem("tests.total", f"Must be passed + failed + skipped, and {tests.total} is not {counted}.")
        )
    names: set[str] = set()
    for at, artifact in enumerate(report.artifacts):
        place = f"artifacts[{at}]"
        if DIGEST.fullmatch(artifact.digest) is None:
            problems.append(Problem(f"{place}.digest", "Must be `sha256:` and 64 lower-case hex digits."))
        if artifact.name in names:
            problems.append(Problem(f"{place}.name", "Another artifact has this name; give each its own."))
        names.add(artifact.name)
    if problems:
        raise Invalid("The report contradicts itself; mend it and send it again.", *problems)


def external_run_id(tenant: str, pipeline: str, build_number: str) -> str:
    return run_id(tenant, pipeline, f"{EXTERNAL}\x1f{build_number}")


def is_external(run: PipelineRun) -> bool:
    """Whether a CI system does this run, and not a worker of the platform."""
    return run.id == external_run_id(run.tenant, run.pipeline, run.build_number)


def external_run(pipeline: PipelineDefinition, origin: OfPipeline, by: str, at: datetime) -> PipelineRun:
    """The run of a first report, not yet over."""
    return PipelineRun(
        id=external_run_id(pipeline.tenant, pipeline.id, origin.build_number),
        tenant=pipeline.tenant,
        project=pipeline.project,
        module=pipeline.module,
        repository=pipeline.repository,
        pipeline=pipeline.id,
        branch=origin.branch,
        commit_sha=origin.commit_sha,
        reason=EXTERNAL,
        build_number=origin.build_number,
        pull_request=None,
        requested_by=by,
        started_at=at,
        deadline_at=at,
        created_at=at,
        updated_at=at,
    )


def take_report(
    run: PipelineRun, known: BuildResult | None, report: BuildReport, at: datetime
) -> Reported | BuildResult:
    """What the report changes, or the result that said the same before.

    Raises ReportMismatch, BuildNumberTaken, ResultExists, RunInHand.
    """
    _check_same_build(run, report)
    produced = Produced(report.tests, report.coverage, report.artifacts)
    result = result_of(run, report.attempt, report.status, produced, at, logs_uri=report.logs_uri)
    if known is not None:
        same = replace(result, created_at=known.created_at, revision=known.revision) == known
        if same or (run.host_run is not None and _agrees(report, known)):
            return known
        raise ResultExists(
            f"Attempt {report.attempt} of this run has another result already, and a result is written once;"
            " report a new attempt.",
            buildResultId=f"build-{known.id}",
        )
    is_ours = run.attempt > 0 and run.host_run is None
    if not is_external(run) and (is_ours or run.is_terminal):
        raise RunInHand(
            "A worker of the platform has taken this run up, so its result comes from there;"
            " report builds of your CI system with pipelineId and buildNumber.",
            status=str(run.status),
        )
    completed = Change(result, "build-result.reported", build_events(run, result))
    if run.is_terminal and report.attempt <= run.attempt:
        return Reported(completed, None)
    ended = replace(
        run,
        # A later attempt of a CI system begins the run anew, whatever the one before came to.
        status=RUN.next(RUN.next(RunStatus.PENDING, "start"), _VERBS[report.status]),
        outcome_reason="" if _VERBS[report.status] == "succeed" else f"reported as {report.status}",
        attempt=report.attempt,
        build_result=result.id,
        finished_at=at,
        updated_at=at,
    )
    return Reported(completed, Change(ended, f"run.{ended.status}", (run_completed(ended),)))


def _check_same_build(run: PipelineRun, report: BuildReport) -> None:
    if run.module != report.module:
        raise ReportMismatch(
            f"The run is of the module {run.module} and the report of {report.module};"
            " name the run's own module.",
            module=run.module,
        )
    origin = report.origin
    if isinstance(origin, OfPipeline) and (run.commit_sha, run.branch) != (origin.commit_sha, origin.branch):
        raise BuildNumberTaken(
            f"Build {origin.build_number} of this pipeline was of {run.branch} at {run.commit_sha};"
            " give another build its own number.",
            pipelineRunId=f"run-{run.id}",
        )


def _agrees(report: BuildReport, known: BuildResult) -> bool:
    """Whether the report says nothing else than what was found at the vendor, where it says anything."""
    digests = {artifact.digest for artifact in report.artifacts}
    return (
        report.status is known.status
        and report.tests in (None, known.tests)
        and report.coverage in (None, known.coverage)
        and digests <= {artifact.digest for artifact in known.artifacts}
    )
