"""Infrastructure plans: asked for, previewed at once where that is quick, decided on, cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from shared.domain.approvals.model import Decision
from shared.domain.infrastructure import lifecycle, turns
from shared.domain.infrastructure.errors import ProgramNotRegistered
from shared.domain.infrastructure.events import work_asked
from shared.domain.infrastructure.lifecycle import PlanDraft, StackDraft
from shared.domain.infrastructure.model import (
    InfrastructurePlan,
    Operation,
    PlanStatus,
    Preview,
    Stack,
    plan_id,
    stack_id,
)
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Problem
from shared.domain.pipelines.logs import LogPage
from shared.ports.provisioner import Action, ResourceChange
from shared.ports.store import Query
from shared.services.once import Once
from shared.services.plan_files import PlanFiles
from shared.services.provisioning import Provisioning, Refusal
from shared.services.stacks import StackTurns
from shared.services.trace import current_trace
from shared.services.unit import Page, Unit, Units
from shared.services.views import Total

type StackOf = Callable[[Unit], Awaitable[tuple[Stack, PlanDraft]]]
"""The stack as a turn finds or makes it, and what is wanted of it."""


@dataclass(frozen=True, slots=True)
class InfrastructurePlans:
    """`programs` are the registered names; `preview_within` is how many seconds a caller may have to wait for
    a preview, which then goes on behind its back."""

    units: Units
    provisioning: Provisioning
    turns: StackTurns
    files: PlanFiles
    programs: Collection[str]
    preview_within: float

    async def provision(
        self, actor: Actor, place: StackDraft, draft: PlanDraft, once: Once | None
    ) -> InfrastructurePlan:
        """A plan for a stack, which is made on its first mention.

        It comes back previewed, and being applied where no approval is needed; still previewing where that
        takes long, still requested where others are at work on the stack.
        Raises ProgramNotRegistered, UnknownEnvironment, StackElsewhere, StackQueueFull.
        """
        key = stack_id(actor.tenant, place.program, place.name)
        await self.units.replay(actor, Stack.__record__.root_of(key), once)
        if place.program not in self.programs:
            known = ", ".join(sorted(self.programs)) or "none yet; see SLIPWAY_IAC_PROGRAMS"
            problem = Problem("program", f"Registered programs: {known}.", "program_not_registered")
            raise ProgramNotRegistered("No program of this name is registered.", problem)

        async def stack(unit: Unit) -> tuple[Stack, PlanDraft]:
            found = await unit.find(Stack, key)
            if found is None:
                return unit.apply(lifecycle.declare(place, actor, unit.now)), draft
            lifecycle.check_place(found, place)
            return found, draft

        return await self._open(actor, key, stack, once)

    async def destroy(self, actor: Actor, stack_key: str, once: Once | None) -> InfrastructurePlan:
        """A plan to delete what the stack holds, with the configuration that made it. It waits for an
        approval. NothingToDestroy."""
        await self.units.replay(actor, Stack.__record__.root_of(stack_key), once)

        async def stack(unit: Unit) -> tuple[Stack, PlanDraft]:
            found = await unit.get(Stack, stack_key)
            made_by = await unit.find(InfrastructurePlan, found.current) if found.current else None
            config, secrets = (made_by.config, made_by.secrets) if made_by else ({}, {})
            return found, PlanDraft(operation=Operation.DESTROY, config=config, secrets=secrets)

        return await self._open(actor, stack_key, stack, once)

    async def get(self, actor: Actor, plan: str) -> InfrastructurePlan:
        return await self.units.get(actor, InfrastructurePlan, plan)

    async def list(self, actor: Actor, query: Query) -> Page[InfrastructurePlan]:
        return await self.units.list(actor, InfrastructurePlan, query)

    async def resources(
        self, actor: Actor, plan: str, *, action: Action | None, after: int, limit: int
    ) -> Page[ResourceChange]:
        """What the plan does to each resource, in the order of their dependencies; `after` counts those of
        the pages before."""
        found = await self.files.changes(await self.get(actor, plan))
        wanted = [change for change in found if action is None or change.action == action]
        items, end = tuple(wanted[after : after + limit]), after + limit
        following = (end, items[-1].urn) if end < len(wanted) else None
        return Page(items, following, Total(len(wanted)))

    async def log(
        self, actor: Actor, plan: str, *, offset: int, limit: int, follow: bool, wait: float
    ) -> LogPage:
        return await self.files.log(actor, plan, offset=offset, limit=limit, follow=follow, wait=wait)

    async def decide(
        self,
        actor: Actor,
        plan: str,
        decision: Decision,
        *,
        comment: str,
        digest: str | None,
        once: Once | None,
    ) -> InfrastructurePlan:
        """Approve or reject what was previewed; approved, it is carried out when it is its turn.

        Raises NotAwaitingApproval, SelfApproval, HumanRequired, AnotherDigest, CommentRequired.
        """

        async def turn(unit: Unit) -> InfrastructurePlan:
            found = await unit.get(InfrastructurePlan, plan)
            await self.turns.load(unit, found)
            environment = await self.provisioning.environments.governed(actor, found.environment_name)
            decided = unit.apply(
                lifecycle.decide(
                    found, environment, actor, decision, comment=comment, digest=digest, at=unit.now
                )
            )
            if decided.status is PlanStatus.PREVIEWED:
                stack = turns.enqueue(await unit.get(Stack, found.stack), plan, unit.now)
                await self.turns.advance(unit, unit.put(stack))
            return await unit.get(InfrastructurePlan, plan)

        root = InfrastructurePlan.__record__.root_of(plan)
        return await self.units.run(actor, root, turn, once)

    async def cancel(self, actor: Actor, plan: str, reason: str, once: Once | None) -> InfrastructurePlan:
        """Over at once. One that is at work keeps its stack until a worker has seen the engine end."""

        async def turn(unit: Unit) -> InfrastructurePlan:
            found = await unit.get(InfrastructurePlan, plan)
            cancelled = unit.apply(lifecycle.cancel(found, actor, reason, unit.now))
            stack = await unit.get(Stack, found.stack)
            if stack.lock == plan:
                unit.emit(work_asked(cancelled, stack.token))
            else:
                await self.turns.leave(unit, stack, cancelled)
            return cancelled

        root = InfrastructurePlan.__record__.root_of(plan)
        return await self.units.run(actor, root, turn, once)

    async def _open(
        self, actor: Actor, stack_key: str, stack_of: StackOf, once: Once | None
    ) -> InfrastructurePlan:
        """Record the wish, preview it, record that. Dying between the steps loses nothing: a retry with the
        same key and the worker both go on from there."""
        key = plan_id(stack_key, once.seed if once else self.units.ids.new())

        async def request(unit: Unit) -> tuple[InfrastructurePlan, Stack]:
            if (known := await unit.find(InfrastructurePlan, key)) is not None:
                return known, await unit.get(Stack, known.stack)
            stack, draft = await stack_of(unit)
            trace = current_trace().wire_id
            unit.apply(lifecycle.request(stack, key, draft, actor, trace, unit.now))
            queued = turns.enqueue(lifecycle.mention(stack, key, unit.now), key, unit.now)
            stack = unit.put(queued)
            await self.turns.advance(unit, stack, at_hand=key)
            return await unit.get(InfrastructurePlan, key), await unit.get(Stack, stack.id)

        plan, stack = await self.units.run(actor, Stack.__record__.root_of(stack_key), request)
        is_mine = stack.lock == key and plan.status is PlanStatus.PREVIEWING
        seen = await self._preview(actor, plan) if is_mine else None
        return await self.provisioning.record_preview(actor, plan, stack.token, seen, once)

    async def _preview(self, actor: Actor, plan: InfrastructurePlan) -> Preview | Refusal | None:
        """None where it takes longer than a caller waits."""
        try:
            async with asyncio.timeout(self.preview_within):
                return await self.provisioning.preview(actor, plan)
        except TimeoutError:
            return None
