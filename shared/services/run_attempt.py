"""One attempt at a run: its steps in order, each recorded as it starts and ends, then what they made.

Whatever it reports once the run is over, or taken over, changes nothing; it stops as soon as it notices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Conflict, Invalid, NotFound, Permanent
from shared.domain.pipelines.definition import Definition, StepSpec
from shared.domain.pipelines.errors import InvalidDefinition
from shared.domain.pipelines.lifecycle import (
    INVALID_DEFINITION,
    Ending,
    error,
    finish,
    is_current,
    step_finished,
    step_started,
)
from shared.domain.pipelines.model import TIMED_OUT, PipelineRun, StepRun, StepStatus
from shared.domain.pipelines.results import Produced
from shared.domain.pipelines.tree import fold
from shared.ports.runner import Step, StepOutcome, Workspace
from shared.services.build_results import BuildOutputs
from shared.services.log_files import LogWriter
from shared.services.once import Once
from shared.services.unit import Unit, Units

HOPELESS = (NotFound, Invalid, Conflict, Permanent, OSError)
"""What a host, a runner or the blobs raise where the same call would fail again: the run is errored."""

_STATUS = {
    "succeeded": StepStatus.SUCCEEDED,
    "failed": StepStatus.FAILED,
    "timed_out": StepStatus.FAILED,
    "errored": StepStatus.ERRORED,
    # Asked to stop, the attempt is no longer current and this is ignored; stopped unasked, we cannot tell.
    "cancelled": StepStatus.ERRORED,
}


@dataclass(slots=True)
class Attempt:
    """One attempt. `run` is the record as last read or written."""

    units: Units
    outputs: BuildOutputs
    step_timeout: float
    actor: Actor
    run: PipelineRun
    number: int
    log: LogWriter
    once: Once | None

    @property
    def is_current(self) -> bool:
        return is_current(self.run, self.number)

    async def go(self, definition: Definition, workspace: Workspace) -> PipelineRun:
        """Every step in order until one says no; then gather what they made, and finish."""
        failure = await self._steps(definition, workspace)
        if not self.is_current:
            await self.log.flush()
            return self.run
        is_good = not failure and fold(phase.status for phase in self.run.phases) is StepStatus.SUCCEEDED
        try:
            collected = await self.outputs.collect(
                self.run.tenant, self.run.id, workspace.folder, definition, with_artifacts=is_good
            )
        except HOPELESS as trouble:
            return await self.give_up(f"The results cannot be kept: {words_of(trouble)}")
        for note in collected.notes:
            await self.log.write(note, level="warning")
        for made in collected.produced.artifacts:
            await self.log.write(f"Kept {made.name}: {made.size} bytes, {made.digest}.")
        if collected.missing:
            failure = f"missing_artifact: {', '.join(collected.missing)}"
            await self.log.write(
                f"The steps did not make the artifact {', '.join(collected.missing)} that the definition"
                " declares; make it or remove it from the definition.",
                level="error",
            )
        return await self._end(collected.produced, failure)

    async def refuse(self, refused: InvalidDefinition, path: str) -> PipelineRun:
        """The definition cannot be run: its author gets every problem at once."""
        await self.log.write(f"{path} cannot be run:", level="error")
        for problem in refused.problems:
            await self.log.write(f"{problem.field}: {problem.message}", level="error")
        return await self._end(Produced(), INVALID_DEFINITION)

    async def give_up(self, reason: str) -> PipelineRun:
        """We could not run it; that is nobody's failure."""
        await self.log.write(reason, level="error")
        await self.log.flush()

        def decide(run: PipelineRun, at: datetime) -> Ending | None:
            return error(run, reason, at) if is_current(run, self.number) else None

        return await self._save_ending(decide)

    async def _steps(self, definition: Definition, workspace: Workspace) -> str:
        """Returns why the run failed where no step's exit code says so."""
        rows = [
            (phase.name, step) for phase in self.run.phases for task in phase.tasks for step in task.steps
        ]
        for spec, (stage, step) in zip(definition.steps, rows, strict=True):
            if self._seconds_left() <= 0:
                await self.log.write(f"The run is out of time before {stage}/{spec.name}.", level="error")
                return TIMED_OUT
            await self._report_start(step)
            if not self.is_current:
                return ""
            outcome = await self._run(workspace, spec, stage)
            await self._report_outcome(step, outcome)
            if not self.is_current or outcome.status == "errored":
                return ""
            if outcome.status != "succeeded" and not spec.optional:
                return TIMED_OUT if outcome.status == "timed_out" else ""
        return ""

    async def _run(self, workspace: Workspace, spec: StepSpec, stage: str) -> StepOutcome:
        async def on_output(stream: Literal["stdout", "stderr"], line: str) -> None:
            level = "info" if stream == "stdout" else "warning"
            await self.log.write(line, level=level, stage=stage, step=spec.name)

        async def should_stop() -> bool:
            # Asked twice a second, also of a silent step: the moment to show what it has said so far.
            await self.log.flush()
            self.run = await self.units.get(self.actor, PipelineRun, self.run.id)
            return not self.is_current

        await self.log.write(f"Step {spec.name} starts.", stage=stage, step=spec.name)
        step = Step(
            name=spec.name,
            run=spec.run,
            timeout=min(spec.timeout or self.step_timeout, self._seconds_left()),
            environment={**self._variables(), **spec.environment},
        )
        outcome = await workspace.run(step, on_output=on_output, should_stop=should_stop)
        words = outcome.message or f"Step {spec.name} {outcome.status} in {outcome.duration:.1f} s."
        level = "notice" if outcome.status == "succeeded" else "error"
        await self.log.write(words, level=level, stage=stage, step=spec.name)
        if outcome.truncated:
            cut = "The step wrote more than is kept; the rest of its output is dropped."
            await self.log.write(cut, level="warning", stage=stage, step=spec.name)
        return outcome

    def _variables(self) -> dict[str, str]:
        """What every step may know about its run."""
        run = self.run
        return {
            "SLIPWAY_RUN_ID": f"run-{run.id}",
            "SLIPWAY_BUILD_NUMBER": run.build_number,
            "SLIPWAY_BRANCH": run.branch,
            "SLIPWAY_COMMIT": run.commit_sha,
            "SLIPWAY_MODULE": run.module,
        }

    def _seconds_left(self) -> float:
        return (self.run.deadline_at - self.units.clock.now()).total_seconds()

    async def _report_start(self, step: StepRun) -> None:
        await self._report(lambda run, at: step_started(run, self.number, step.id, at))

    async def _report_outcome(self, step: StepRun, outcome: StepOutcome) -> None:
        status, code, words = _STATUS[outcome.status], outcome.exit_code, outcome.message
        await self._report(
            lambda run, at: step_finished(
                run, self.number, step.id, status, at, exit_code=code, message=words
            )
        )

    async def _report(self, change: Callable[[PipelineRun, datetime], PipelineRun]) -> None:
        """Progress, in a commit of its own. The attempt's start and end are what the audit keeps."""

        async def turn(unit: Unit) -> PipelineRun:
            current = await unit.get(PipelineRun, self.run.id)
            changed = change(current, unit.now)
            return current if changed is current else unit.put(changed)

        root = PipelineRun.__record__.root_of(self.run.id)
        self.run = await self.units.run(self.actor, root, turn)

    async def _end(self, produced: Produced, failure: str) -> PipelineRun:
        await self.log.write("Recording the result.")
        await self.log.flush()

        def decide(run: PipelineRun, at: datetime) -> Ending | None:
            return finish(run, self.number, produced, at, failure=failure)

        return await self._save_ending(decide)

    async def _save_ending(self, decide: Callable[[PipelineRun, datetime], Ending | None]) -> PipelineRun:
        """The run, its result and both events in one batch; nothing where the run is no longer ours."""

        async def turn(unit: Unit) -> PipelineRun:
            current = await unit.get(PipelineRun, self.run.id)
            ending = decide(current, unit.now)
            if ending is None:
                return current
            unit.put(ending.build_result)
            return unit.apply(ending.run)

        root = PipelineRun.__record__.root_of(self.run.id)
        self.run = await self.units.run(self.actor, root, turn, self.once)
        return self.run


def words_of(trouble: Exception) -> str:
    """Without the paths of this machine, which are nobody's business."""
    if isinstance(trouble, OSError):
        return trouble.strerror or type(trouble).__name__
    return str(trouble)
