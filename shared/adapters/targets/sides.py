"""What a place is to look like when requests are split between two versions. Decides on states alone: starts
and stops nothing."""

from datetime import datetime

from shared.adapters.targets.place import KEPT, Running, Side, State
from shared.ports.target import Split, Workload


def is_of(side: Side | None, workload: Workload) -> bool:
    return side is not None and side.workload.revision == workload.revision


def alone(before: State | None, workload: Workload) -> Split:
    """The workload as the only one, in as many instances as run. What stands by stays as it is."""
    if before is None:
        return Split()
    standing = before.other if is_of(before.main, workload) and not before.incoming else None
    return Split(
        instances=max(1, len(before.main.running)),
        others=len(standing.running) if standing else 0,
        fence=before.fence,
    )


def instances(state: State) -> tuple[Running, ...]:
    return tuple(running for side in state.sides for running in side.running)


def side_of(state: State, workload: Workload) -> Side:
    return next(side for side in state.sides if is_of(side, workload))


def with_instances(state: State, workload: Workload, running: tuple[Running, ...]) -> State:
    """The state with these instances of the workload."""
    if is_of(state.main, workload):
        first = running[0] if running else None
        return state.model_copy(update={"running": first, "more": running[1:]})
    assert state.other is not None
    return state.model_copy(update={"other": state.other.model_copy(update={"running": running})})


def after_split(
    before: State | None,
    mine: Side,
    rest: Side | None,
    split: Split,
    fit: tuple[Running, ...],
    kept: tuple[Running, ...],
    at: datetime,
) -> State:
    """The state that the split asks for, yet without the instances that are still to be started."""
    wanted = mine.model_copy(update={"running": fit})
    left = None if rest is None else rest.model_copy(update={"running": kept})
    incoming = split.weight < 100 and left is not None
    main = left if incoming and left is not None else wanted
    beside = wanted if incoming else left
    if not incoming and (beside is None or not beside.running):
        beside = None
    old = before.kept if before else ()
    return State(
        workload=main.workload,
        kept=(*(name for name in old if name != main.release), main.release)[-KEPT:],
        applied_at=at,
        running=main.running[0] if main.running else None,
        more=main.running[1:],
        other=beside,
        incoming=incoming,
        weight=split.weight if incoming else 0,
        router=before.router if before else None,
        fence=split.fence,
    )
