"""Runs that a vendor's CI does: which they are, what its words mean, and what becomes of ours by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.kernel.change import Change
from shared.domain.kernel.ids import child_id
from shared.domain.pipelines.generators.inputs import FOLDERS
from shared.domain.pipelines.lifecycle import Ending, ended, settled
from shared.domain.pipelines.model import (
    RUN,
    TIMED_OUT,
    BuildStatus,
    Phase,
    PipelineDefinition,
    PipelineRun,
    StepRun,
    StepStatus,
    Task,
)
from shared.domain.pipelines.results import Produced
from shared.domain.pipelines.tree import SEVERITY, fold, paths

MAX_STEPS = 500
"""Of all jobs together, as they are shown; the run's document has to stay small."""
_NAME = 200
_FIRST, _LATEST = timedelta(seconds=5), timedelta(seconds=30)
_GROWTH = 1.25


class HostStep(Protocol):
    """A step of a job as a vendor tells of it; `status` is queued, running or completed."""

    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def conclusion(self) -> str | None: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def finished_at(self) -> datetime | None: ...


class HostJob(HostStep, Protocol):
    @property
    def id(self) -> str: ...
    @property
    def steps(self) -> Sequence[HostStep]: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a vendor's word for an end means: of a step or job, of a run, and of its build. `reason` is told
    where the word alone does not say what to do."""

    step: StepStatus
    verb: str
    build: BuildStatus
    reason: str = ""


_SUCCEEDED = Verdict(StepStatus.SUCCEEDED, "succeed", BuildStatus.SUCCEEDED)
_PARTLY = Verdict(StepStatus.SUCCEEDED, "succeed", BuildStatus.PARTIALLY_SUCCEEDED)
_FAILED = Verdict(StepStatus.FAILED, "fail", BuildStatus.FAILED)
_TIMED_OUT = Verdict(StepStatus.FAILED, "fail", BuildStatus.FAILED, TIMED_OUT)
_CANCELLED = Verdict(StepStatus.CANCELLED, "cancel", BuildStatus.CANCELED, "cancelled at its vendor")


def _errored(reason: str, step: StepStatus = StepStatus.ERRORED) -> Verdict:
    return Verdict(step, "error", BuildStatus.FAILED, reason)


VERDICTS: Mapping[str, Verdict] = {
    # GitHub Actions
    "success": _SUCCEEDED,
    "neutral": _SUCCEEDED,
    "failure": _FAILED,
    "cancelled": _CANCELLED,
    "timed_out": _TIMED_OUT,
    "skipped": _errored("its conditions skipped every job, so nothing was built", StepStatus.SKIPPED),
    "action_required": _errored("it waits for an approval at its vendor; approve it there and start a run"),
    "startup_failure": _errored("its vendor could not start it; look at the definition there and mend it"),
    "stale": _errored("its vendor gave it up after two weeks without an end; start another run"),
    # Azure Pipelines
    "succeeded": _SUCCEEDED,
    "partiallySucceeded": _PARTLY,
    "succeededWithIssues": _PARTLY,
    "failed": _FAILED,
    "canceled": _CANCELLED,
    "abandoned": _errored("its vendor lost the agent that did it; start another run"),
}


def runs_at_vendor(pipeline: PipelineDefinition, *, has_definition: bool) -> bool:
    """The rule: a run is the vendor's where its pipeline is written for a vendor and the commit has the file.
    Every other run is done by the platform's own runner."""
    return pipeline.provider in FOLDERS and has_definition


def verdict_of(conclusion: str | None) -> Verdict:
    """What a vendor's word means. One that is not known says nothing about the build, and is quoted."""
    found = VERDICTS.get(conclusion or "")
    return found or _errored(f"it ended as '{(conclusion or '')[:50]}', a word that is not known here")


def next_look(turn: int, *, at_least: float = 0.0) -> timedelta:
    """How long after a look the next one is due: 5 seconds, growing to 30; `at_least` in seconds is what the
    vendor asks for, up to five minutes."""
    grown = min(_FIRST * _GROWTH ** min(turn - 1, 30), _LATEST)
    return max(grown, timedelta(seconds=min(at_least, 300)))


def phases_of(run: str, jobs: Sequence[HostJob]) -> tuple[Phase, ...]:
    """A phase for each job, with its steps as one task. A job that shows no steps is one step itself."""
    left = MAX_STEPS
    phases: list[Phase] = []
    for job in jobs:
        if left == 0:
            break
        shown = tuple(job.steps[:left]) or (job,)
        left -= len(shown)
        steps = tuple(
            StepRun(
                id=child_id(run, "step", job.id, str(number)),
                name=step.name[:_NAME],
                command="",
                status=_status(step),
                started_at=step.started_at,
                finished_at=step.finished_at,
                message=step.conclusion[:_NAME] if _is_bad(step) and step.conclusion else "",
            )
            for number, step in enumerate(shown)
        )
        status = _status(job)
        if status in SEVERITY:
            # A job whose machine was lost has failed, however well its steps went.
            status = max(status, fold(step.status for step in steps if step.status in SEVERITY), key=_rank)
        task = Task(id=child_id(run, "task", job.id), name="steps", status=status, steps=steps)
        phases.append(
            Phase(id=child_id(run, "phase", job.id), name=job.name[:_NAME], status=status, tasks=(task,))
        )
    return tuple(phases)


def adopted(run: PipelineRun, host_run: str, url: str, sha: str, at: datetime) -> Change[PipelineRun]:
    """The vendor has begun it, at the commit that the branch had by then; empty where it does not say yet."""
    begun = replace(
        run,
        status=RUN.next(run.status, "start"),
        attempt=run.attempt + 1,
        commit_sha=sha or run.commit_sha,
        host_run=host_run,
        host_url=url,
        started_at=run.started_at or at,
        updated_at=at,
    )
    return Change(begun, "run.attempt-started")


def mirrored(run: PipelineRun, phases: tuple[Phase, ...], at: datetime) -> PipelineRun:
    """The run as its vendor shows it now; the same one where that is nothing new."""
    return run if phases == run.phases else replace(run, phases=phases, updated_at=at)


def concluded(
    run: PipelineRun,
    conclusion: str | None,
    sha: str,
    phases: tuple[Phase, ...],
    produced: Produced,
    at: datetime,
) -> Ending:
    """What the vendor's end makes of a run that is not over, and of the commit that it has built."""
    verdict = verdict_of(conclusion)
    seen = settled(replace(run, phases=phases, commit_sha=sha or run.commit_sha), StepStatus.ERRORED, at)
    reason = verdict.reason
    if verdict.verb == "fail" and not reason:
        bad = (f"{path}: {step.message}" for path, step in paths(seen) if step.status is StepStatus.FAILED)
        reason = next(bad, "its vendor says that it failed")
    return ended(seen, verdict.verb, verdict.build, reason, produced, at)


def _status(step: HostStep) -> StepStatus:
    if step.status == "completed":
        return verdict_of(step.conclusion).step
    return StepStatus.RUNNING if step.status == "running" else StepStatus.PENDING


def _is_bad(step: HostStep) -> bool:
    return _rank(_status(step)) > _rank(StepStatus.SUCCEEDED)


def _rank(status: StepStatus) -> int:
    return SEVERITY.index(status) if status in SEVERITY else -1
