"""Stacks: what was applied last, who is at work on one, and who is next.

Everything here that takes a `unit` works inside a turn of the stack's own root.
"""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.infrastructure import lifecycle, turns
from shared.domain.infrastructure.events import overdue, work_ordered
from shared.domain.infrastructure.model import InfrastructurePlan, Operation, Outcome, PlanStatus, Stack
from shared.domain.kernel.actor import Actor
from shared.ports.provisioner import Value
from shared.ports.store import Query
from shared.services.plan_files import PlanFiles
from shared.services.unit import Page, Unit, Units


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack with what its program gave out."""

    stack: Stack
    outputs: dict[str, Value]

    @property
    def revision(self) -> int:
        return self.stack.revision


@dataclass(frozen=True, slots=True)
class Stacks:
    units: Units
    files: PlanFiles

    async def get(self, actor: Actor, stack_id: str) -> StackState:
        stack = await self.units.get(actor, Stack, stack_id)
        return StackState(stack, await self.files.outputs(actor.tenant, stack.outputs))

    async def list(self, actor: Actor, query: Query) -> Page[Stack]:
        return await self.units.list(actor, Stack, query)


@dataclass(frozen=True, slots=True)
class StackTurns:
    """Lets the plans of a stack in, one at a time. `within` is how long one may take."""

    within: timedelta

    async def load(self, unit: Unit, plan: InfrastructurePlan) -> None:
        """Fetch what a turn on a plan reads, in one operation."""
        await unit.load(
            Stack.__record__.document(plan.stack), InfrastructurePlan.__record__.document(plan.id)
        )

    async def in_hand(
        self, unit: Unit, plan: InfrastructurePlan, token: int
    ) -> tuple[Stack, InfrastructurePlan] | None:
        """Both as they are now, if the plan still holds its stack: None for late and repeated work."""
        await self.load(unit, plan)
        stack = await unit.get(Stack, plan.stack)
        if not turns.holds(stack, plan.id, token):
            return None
        return stack, await unit.get(InfrastructurePlan, plan.id)

    async def advance(self, unit: Unit, stack: Stack, *, at_hand: str = "") -> None:
        """Let the next one in when nobody is at work. What becomes of the plan `at_hand` its caller sees to,
        unless it dies."""
        if stack.lock is not None or not stack.queue:
            return
        stack = unit.put(turns.let_in(stack, unit.now))
        plan = await unit.get(InfrastructurePlan, stack.lock or "")
        unit.emit(overdue(plan, stack.token, unit.now + self.within))
        await self.begin(unit, stack, plan, at_hand=at_hand == plan.id)

    async def begin(
        self, unit: Unit, stack: Stack, plan: InfrastructurePlan, *, at_hand: bool = False
    ) -> None:
        """The plan holds the stack: do what is next for it."""
        begun = unit.apply(lifecycle.begin(plan, unit.now))
        if begun.status is PlanStatus.DESTROYING and (current := await self._current(unit, stack)):
            unit.apply(lifecycle.condemn(current, begun.id, unit.now))
        unit.emit(*work_ordered(begun, stack.token, unit.now, at_hand=at_hand))

    async def leave(self, unit: Unit, stack: Stack, plan: InfrastructurePlan) -> None:
        """The plan is done with the stack; whoever is next is let in, in the same batch."""
        left = turns.leave(stack, plan.id, unit.now)
        if left != stack:
            left = unit.put(left)
        await self.advance(unit, left)

    async def take_effect(
        self, unit: Unit, stack: Stack, plan: InfrastructurePlan, outcome: Outcome
    ) -> Stack:
        """The stack is what the plan says; what was current before is history."""
        current = await self._current(unit, stack)
        if current is not None and plan.operation is Operation.UP:
            unit.apply(lifecycle.supersede(current, plan.id, unit.now))
        elif current is not None:
            if current.status is PlanStatus.APPLIED:  # let go of since, and gone all the same
                current = unit.apply(lifecycle.condemn(current, plan.id, unit.now))
            unit.apply(lifecycle.end(current, unit.now))
        return unit.apply(lifecycle.take_effect(stack, plan, outcome.outputs, unit.now))

    async def spare(self, unit: Unit, stack: Stack, plan: InfrastructurePlan) -> None:
        """The plan was to destroy what is current, and has not."""
        if plan.operation is Operation.DESTROY:
            current = await self._current(unit, stack)
            if current is not None and current.status is PlanStatus.DESTROYING:
                unit.apply(lifecycle.keep(current, unit.now))

    async def _current(self, unit: Unit, stack: Stack) -> InfrastructurePlan | None:
        """What led to what is there, where that plan says so itself: one that was cancelled too late does
        not."""
        if stack.current is None:
            return None
        current = await unit.get(InfrastructurePlan, stack.current)
        return current if current.status in (PlanStatus.APPLIED, PlanStatus.DESTROYING) else None
