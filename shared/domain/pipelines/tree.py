"""A run's phases, tasks and steps as a tree: how it grows from a definition and how statuses fold."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from shared.domain.kernel.ids import child_id
from shared.domain.pipelines.definition import Definition
from shared.domain.pipelines.model import Phase, PipelineRun, StepRun, StepStatus, Task

# From best to worst; a group is as bad as its worst member.
SEVERITY = (
    StepStatus.SKIPPED,
    StepStatus.SUCCEEDED,
    StepStatus.FAILED,
    StepStatus.CANCELLED,
    StepStatus.ERRORED,
)


def materialise(run: str, definition: Definition) -> tuple[Phase, ...]:
    """The tree of a run that has not begun."""
    pending = StepStatus.PENDING

    def step_of(*names: str) -> str:
        return child_id(run, "step", *names)

    return tuple(
        Phase(
            id=child_id(run, "phase", stage.name),
            name=stage.name,
            status=pending,
            tasks=tuple(
                Task(
                    id=child_id(run, "task", stage.name, task.name),
                    name=task.name,
                    status=pending,
                    steps=tuple(
                        StepRun(
                            id=step_of(stage.name, task.name, step.name),
                            name=step.name,
                            command=step.run,
                            optional=step.optional,
                        )
                        for step in task.steps
                    ),
                )
                for task in stage.tasks
            ),
        )
        for stage in definition.stages
    )


def fold(statuses: Iterable[StepStatus]) -> StepStatus:
    """The status of a group: running while any member is under way, otherwise its worst member's."""
    seen = set(statuses)
    under_way = seen & {StepStatus.PENDING, StepStatus.RUNNING}
    if seen == {StepStatus.PENDING}:
        return StepStatus.PENDING
    if under_way:
        return StepStatus.RUNNING
    return max(seen, key=SEVERITY.index, default=StepStatus.SUCCEEDED)


def steps_of(run: PipelineRun) -> tuple[StepRun, ...]:
    """Every step, in the order of execution."""
    return tuple(step for phase in run.phases for task in phase.tasks for step in task.steps)


def paths(run: PipelineRun) -> Iterable[tuple[str, StepRun]]:
    for phase in run.phases:
        for task in phase.tasks:
            for step in task.steps:
                yield f"{phase.name}/{task.name}/{step.name}", step


def counted(step: StepRun) -> StepStatus:
    """What a step counts as in its group: an optional step's failure does not fail it."""
    return StepStatus.SUCCEEDED if step.optional and step.status is StepStatus.FAILED else step.status


def refolded(phases: tuple[Phase, ...], change: Callable[[StepRun], StepRun]) -> tuple[Phase, ...]:
    def task_of(task: Task) -> Task:
        steps = tuple(change(step) for step in task.steps)
        if steps == task.steps:
            return task  # its status may be a vendor's word, which its steps do not show
        return replace(task, steps=steps, status=fold(counted(step) for step in steps))

    def phase_of(phase: Phase) -> Phase:
        tasks = tuple(task_of(task) for task in phase.tasks)
        if tasks == phase.tasks:
            return phase
        return replace(phase, tasks=tasks, status=fold(task.status for task in tasks))

    return tuple(phase_of(phase) for phase in phases)
