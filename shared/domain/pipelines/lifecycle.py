"""Decisions on pipelines and runs: pure, total, and deaf to late results.

A report from an attempt that is no longer the latest, or for a finished run, changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.kernel.change import Change
from shared.domain.pipelines.errors import RunLimitReached
from shared.domain.pipelines.events import (
    build_events,
    cancel_host_run,
    pipeline_generated,
    run_completed,
    run_started,
)
from shared.domain.pipelines.model import (
    PIPELINE,
    RUN,
    BuildCounter,
    BuildResult,
    BuildStatus,
    ExitCode,
    Phase,
    PipelineDefinition,
    PipelineRun,
    PipelineStatus,
    PipelineVersion,
    RunSlots,
    Slot,
    StepRun,
    StepStatus,
    version_id,
)
from shared.domain.pipelines.results import Produced, result_of
from shared.domain.pipelines.tree import SEVERITY, counted, fold, paths, refolded, steps_of

INVALID_DEFINITION = "invalid_definition"

_ENDING = {
    StepStatus.FAILED: ("fail", BuildStatus.FAILED),
    StepStatus.CANCELLED: ("cancel", BuildStatus.CANCELED),
    StepStatus.ERRORED: ("error", BuildStatus.FAILED),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """A run that is over, and its result; both are saved in one batch."""

    run: Change[PipelineRun]
    build_result: BuildResult


def generated(pipeline: PipelineDefinition) -> Change[PipelineDefinition]:
    """A definition was written, first or anew; or it was not, because it would not have been accepted."""
    if pipeline.problems:
        return Change(pipeline, "pipeline.invalid")
    return Change(pipeline, "pipeline.generated", (pipeline_generated(pipeline),))


def regenerated(
    pipeline: PipelineDefinition, wanted: PipelineDefinition, *, is_new_commit: bool
) -> Change[PipelineDefinition] | None:
    """`pipeline` with the text of `wanted`; None where it has it. Only another text is a new version. An
    invalid one is not committed: what the branch has stays in force."""
    is_same_text = pipeline.content_hash == wanted.content_hash
    is_known_commit = is_same_text and not is_new_commit and pipeline.branch == wanted.branch
    version = pipeline.version + (0 if is_same_text else 1)
    status = PIPELINE.next(pipeline.status, "regenerate")
    again = replace(
        wanted,
        status=PIPELINE.next(status, "invalidate") if wanted.problems else status,
        version=version,
        in_force=pipeline.in_force if wanted.problems else version,
        committed=wanted.committed or pipeline.committed,
        commit_sha=(pipeline.commit_sha if is_known_commit else None)
        or wanted.commit_sha
        or pipeline.commit_sha,
        created_by=pipeline.created_by,
        created_at=pipeline.created_at,
        revision=pipeline.revision,
    )
    return None if replace(again, updated_at=pipeline.updated_at) == pipeline else generated(again)


def version_of(pipeline: PipelineDefinition, text: bytes, by: str) -> PipelineVersion:
    """The latest version of a pipeline, made by `by`."""
    return PipelineVersion(
        id=version_id(pipeline.id, pipeline.version),
        tenant=pipeline.tenant,
        pipeline=pipeline.id,
        number=pipeline.version,
        status=pipeline.status,
        module_type=pipeline.module_type,
        toolchain=pipeline.toolchain,
        target_feed=pipeline.target_feed,
        provider=pipeline.provider,
        definition_path=pipeline.definition_path,
        branch=pipeline.branch,
        commit_sha=None if pipeline.problems else pipeline.commit_sha,
        template_version=pipeline.template_version,
        content_hash=pipeline.content_hash,
        text=text.decode(),
        problems=pipeline.problems,
        created_by=by,
        created_at=pipeline.updated_at,
        updated_at=pipeline.updated_at,
    )


def retired(version: PipelineVersion, at: datetime) -> PipelineVersion:
    """Another text is in force now."""
    return replace(version, status=PIPELINE.next(version.status, "supersede"), updated_at=at)


def restored(known: PipelineVersion, again: PipelineVersion) -> PipelineVersion:
    """The version that was there, in force again, at the commit that has its text now."""
    return replace(known, status=again.status, commit_sha=again.commit_sha, updated_at=again.updated_at)


def superseded(pipeline: PipelineDefinition, at: datetime) -> Change[PipelineDefinition]:
    """Another module's definition took its path."""
    status = PIPELINE.next(pipeline.status, "supersede")
    return Change(replace(pipeline, status=status, updated_at=at), "pipeline.superseded")


def linted(
    pipeline: PipelineDefinition, *, branch: str, is_valid: bool, at: datetime
) -> Change[PipelineDefinition] | None:
    """What a run found out about the definition on its own branch; None where that is nothing new."""
    if branch != pipeline.branch or pipeline.status is PipelineStatus.SUPERSEDED:
        return None
    status = PIPELINE.next(pipeline.status, "validate" if is_valid else "invalidate")
    if status is pipeline.status:
        return None
    return Change(replace(pipeline, status=status, updated_at=at), f"pipeline.{status}")


def take_slot(slots: RunSlots, slot: Slot, limit: int) -> RunSlots:
    """RunLimitReached where the repository has `limit` active runs already."""
    if len(slots.active) >= limit:
        raise RunLimitReached(
            f"This repository has {len(slots.active)} active runs and may have {limit};"
            " wait for one to finish or cancel one.",
            limit=limit,
            active=len(slots.active),
        )
    return replace(slots, active=(*slots.active, slot))


def free_slot(slots: RunSlots, run: str) -> RunSlots:
    return replace(slots, active=tuple(slot for slot in slots.active if slot.run != run))


def next_build(counter: BuildCounter) -> tuple[BuildCounter, str]:
    """The counter moved on, and the number that it gave: `yyyymmdd.n`."""
    moved = replace(counter, last=counter.last + 1)
    return moved, f"{counter.day}.{moved.last}"


def created(run: PipelineRun) -> Change[PipelineRun]:
    return Change(run, "run.created", (run_started(run),))


def begin(run: PipelineRun, phases: tuple[Phase, ...], at: datetime) -> Change[PipelineRun]:
    """A worker takes it up: a new attempt with a fresh tree. The attempt before may only stop."""
    begun = replace(
        run,
        status=RUN.next(run.status, "start"),
        attempt=run.attempt + 1,
        phases=phases,
        started_at=run.started_at or at,
        updated_at=at,
    )
    return Change(begun, "run.attempt-started")


def is_current(run: PipelineRun, attempt: int) -> bool:
    """Whether that attempt may still report."""
    return not run.is_terminal and run.attempt == attempt


def step_started(run: PipelineRun, attempt: int, step: str, at: datetime) -> PipelineRun:
    def start(found: StepRun) -> StepRun:
        if found.id != step or found.status is not StepStatus.PENDING:
            return found
        return replace(found, status=StepStatus.RUNNING, started_at=at)

    return _reported(run, attempt, at, start)


def step_finished(
    run: PipelineRun,
    attempt: int,
    step: str,
    status: StepStatus,
    at: datetime,
    *,
    exit_code: int | None = None,
    message: str = "",
) -> PipelineRun:
    """Record the outcome of a running step. A bad one skips everything that has not started."""
    found = next((found for found in steps_of(run) if found.id == step), None)
    if found is None or found.status is not StepStatus.RUNNING or status not in SEVERITY:
        return run
    stops = counted(replace(found, status=status)) not in (StepStatus.SUCCEEDED, StepStatus.SKIPPED)

    def end(each: StepRun) -> StepRun:
        if each.id == step:
            return replace(each, status=status, exit_code=exit_code, finished_at=at, message=message)
        if stops and each.status is StepStatus.PENDING:
            return replace(each, status=StepStatus.SKIPPED)
        return each

    return _reported(run, attempt, at, end)


def finish(
    run: PipelineRun, attempt: int, produced: Produced, at: datetime, *, failure: str = ""
) -> Ending | None:
    """The attempt is through: the run is as bad as its worst step, and failed where `failure` says why.

    None for an attempt that may not report. A step still running is one we cannot know the end of.
    """
    if not is_current(run, attempt):
        return None
    run = settled(run, StepStatus.ERRORED, at)
    worst = fold(phase.status for phase in run.phases)
    if failure:
        worst = max(worst, StepStatus.FAILED, key=SEVERITY.index)
    verb, result = _ENDING.get(worst, ("succeed", BuildStatus.SUCCEEDED))
    bad = [step for step in steps_of(run) if step.status in _ENDING]
    if verb == "succeed" and bad:
        result = BuildStatus.PARTIALLY_SUCCEEDED
    reason = failure
    if not reason and verb != "succeed":
        reason = next((_words(run, step) for step in bad if counted(step) is step.status), "")
    return ended(run, verb, result, reason, produced, at)


def cancel(run: PipelineRun, by: str, at: datetime) -> Ending:
    """Stop it, wherever it is. IllegalTransition once it is over."""
    RUN.next(run.status, "cancel")
    run = settled(run, StepStatus.CANCELLED, at)
    return _stopped(ended(run, "cancel", BuildStatus.CANCELED, f"cancelled by {by}", Produced(), at))


def error(run: PipelineRun, reason: str, at: datetime) -> Ending | None:
    """It could not be run, or nobody reported. None where it is over already."""
    if run.is_terminal:
        return None
    run = settled(run, StepStatus.ERRORED, at)
    return _stopped(ended(run, "error", BuildStatus.FAILED, reason, Produced(), at))


def _stopped(ending: Ending) -> Ending:
    """We end it before its vendor does: the vendor is asked to stop, by a worker that does not give up. Also
    where no worker has told of it: one may have died once it had begun there."""
    run = ending.run.entity
    if run.host_run is None and run.attempt:
        return ending
    stop = cancel_host_run(run, run.host_run)
    return replace(ending, run=replace(ending.run, events=(*ending.run.events, stop)))


def _reported(
    run: PipelineRun, attempt: int, at: datetime, change: Callable[[StepRun], StepRun]
) -> PipelineRun:
    if not is_current(run, attempt):
        return run
    phases = refolded(run.phases, change)
    return run if phases == run.phases else replace(run, phases=phases, updated_at=at)


def settled(run: PipelineRun, running_becomes: StepStatus, at: datetime) -> PipelineRun:
    """No step left open: what runs ends as told, what has not started is skipped."""

    def settle(step: StepRun) -> StepRun:
        if step.status is StepStatus.RUNNING:
            return replace(step, status=running_becomes, finished_at=at)
        return replace(step, status=StepStatus.SKIPPED) if step.status is StepStatus.PENDING else step

    return replace(run, phases=refolded(run.phases, settle))


def _words(run: PipelineRun, step: StepRun) -> str:
    """`test/unit/pytest: exit code 1`."""
    path = next(path for path, found in paths(run) if found.id == step.id)
    return f"{path}: {step.message or f'exit code {step.exit_code}'}"


def ended(
    run: PipelineRun, verb: str, status: BuildStatus, reason: str, produced: Produced, at: datetime
) -> Ending:
    """A run that is over by `verb`, with its result and the facts of both."""
    codes = tuple(ExitCode(path, step.exit_code) for path, step in paths(run) if step.finished_at is not None)
    result = result_of(run, run.attempt, status, produced, at, exit_codes=codes)
    over = replace(
        run,
        status=RUN.next(run.status, verb),
        outcome_reason=reason[:500],
        build_result=result.id,
        finished_at=at,
        updated_at=at,
    )
    events = (*build_events(over, result), run_completed(over))
    return Ending(Change(over, f"run.{over.status}", events), result)
