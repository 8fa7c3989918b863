"""Reconciliation: what runs is brought to what git wants. Git wins: what the head of the tenant's GitOps
repository says is what is applied, whoever committed it, as long as a promotion once brought it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.components.model import component_id
from shared.domain.environments.model import Environment
from shared.domain.gitops.drift import compare
from shared.domain.gitops.errors import NothingToReconcile
from shared.domain.gitops.lifecycle import asked, begin_sync, degrade, desire, reconcile, settle
from shared.domain.gitops.model import SyncState, placed_at, sync_state_id
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.events import id_in
from shared.ports.store import Query
from shared.services.desired_state import Desired, DesiredStates
from shared.services.environments import Environments
from shared.services.live_states import LiveStates, require_promoted, revision_of
from shared.services.once import Once
from shared.services.rollouts import Rollouts
from shared.services.unit import Page, Unit, Units

_STATES_AT_ONCE = 30
"""Sync states per batch: a document, an audit entry and an outbox entry each, below the limit of 100."""


@dataclass(frozen=True, slots=True)
class GitOps:
    units: Units
    environments: Environments
    desired_states: DesiredStates
    live_states: LiveStates
    rollouts: Rollouts

    async def state(self, actor: Actor, sync_state: str) -> SyncState:
        return await self.units.get(actor, SyncState, sync_state)

    async def states(self, actor: Actor, query: Query) -> Page[SyncState]:
        return await self.units.list(actor, SyncState, query)

    async def reconcile(
        self, actor: Actor, environment: str, module: str | None, once: Once | None
    ) -> tuple[SyncState, ...]:
        """Ask for reconciliation of an environment, or of one module in it. NothingToReconcile where no
        release was ever promoted."""
        where = self.environments.declared(actor, environment)
        root = Environment.__record__.root_of(where.id)
        part = _Part(where.name, module)
        while True:
            try:
                # Nearly always everything fits into one batch, and that one carries the answer.
                return await self.units.run(actor, root, part.ask_last, once)
            except _MoreFollow:
                part = await self.units.run(actor, root, part.ask)

    async def sync(self, actor: Actor, payload: Mapping[str, object], once: Once | None = None) -> None:
        """For ReconcileRequested: bring one component to what git wants, for a deployment or on its own.

        On its own it keeps out of the way of a deployment that is at work, and comes back after it.
        """
        if "deploymentId" in payload:
            await self.rollouts.carry_out(actor, id_in(payload, "deploymentId", "dep"))
            return
        environment = self.environments.declared(actor, str(payload.get("environment")))
        await self.units.replay(actor, Environment.__record__.root_of(environment.id), once)
        component = id_in(payload, "componentId", "comp")
        state = await self._free(actor, sync_state_id(environment.id, component))
        if state is None:
            return
        desired = await self.desired_states.read(actor, state.path)
        before = await self.live_states.seen(state)
        try:
            await require_promoted(self.units, actor, state, desired.content)
            live = await self.live_states.apply(state, desired.content)
        except Permanent as failure:
            await self._degraded(actor, state, desired, failure.message, once)
        else:
            wanted = revision_of(desired.content)
            found = compare(wanted, wanted, before, self.units.clock.now())
            drifted = bool(found) or bool(state.drift)
            await self._synced(actor, state, desired, live.url, once, drifted=drifted)

    async def on_committed(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For DesiredStateCommitted: what the commit changed is desired as it is by now, and reconciled,
        whoever made it. What a deployment has committed is recorded already."""
        head = await self.desired_states.head(actor)
        wanted: dict[str, list[tuple[str, Desired]]] = {}
        for path in await self.desired_states.changed(actor, str(payload.get("sha"))):
            place = placed_at(path)
            if place is None or not self.environments.knows(place[0]):
                continue
            environment = self.environments.declared(actor, place[0]).id
            state_id = sync_state_id(environment, component_id(actor.tenant, *place[1:]))
            desired = await self.desired_states.at(actor, head, path)
            wanted.setdefault(environment, []).append((state_id, desired))
        for wishes in wanted.values():
            for start in range(0, len(wishes), _STATES_AT_ONCE):
                await self._follow(actor, wishes[start : start + _STATES_AT_ONCE])

    async def _follow(self, actor: Actor, wishes: Sequence[tuple[str, Desired]]) -> None:
        """Record what git wants and ask for reconciliation, where it is not what is recorded."""

        async def turn(unit: Unit) -> None:
            await unit.load(*(SyncState.__record__.document(state_id) for state_id, _ in wishes))
            for state_id, desired in wishes:
                state = await unit.find(SyncState, state_id)
                if state is None or state.content_hash == desired.content_hash:
                    continue
                if not await self._waits(unit, state):
                    unit.apply(desire(state, desired.revision, desired.content_hash, unit.now))
                    unit.emit(reconcile(state.environment_name, state.component))

        await self.units.run(actor, SyncState.__record__.root_of(wishes[0][0]), turn)

    async def _synced(
        self,
        actor: Actor,
        state: SyncState,
        desired: Desired,
        url: str | None,
        once: Once | None,
        *,
        drifted: bool,
    ) -> None:
        async def turn(unit: Unit) -> None:
            if await self._is_unmoved(unit, state):
                syncing = await _syncing(unit, state.id, desired)
                unit.apply(settle(syncing, url, unit.now, drifted=drifted))

        await self.units.run(actor, SyncState.__record__.root_of(state.id), turn, once)

    async def _degraded(
        self, actor: Actor, state: SyncState, desired: Desired, cause: str, once: Once | None
    ) -> None:
        async def turn(unit: Unit) -> None:
            if await self._is_unmoved(unit, state):
                syncing = await _syncing(unit, state.id, desired)
                unit.apply(degrade(syncing, cause, unit.now))

        await self.units.run(actor, SyncState.__record__.root_of(state.id), turn, once)

    async def _free(self, actor: Actor, state_id: str) -> SyncState | None:
        """The sync state; None while a deployment of its component is at work, which brings it back."""

        async def turn(unit: Unit) -> SyncState | None:
            state = await unit.get(SyncState, state_id)
            return None if await self._waits(unit, state) else state

        return await self.units.run(actor, SyncState.__record__.root_of(state_id), turn)

    async def _is_unmoved(self, unit: Unit, seen: SyncState) -> bool:
        """Whether what was seen is still what there is to say about. Where a deployment came between, that
        knows better, and git is asked once more after it."""
        state = await unit.get(SyncState, seen.id)
        if await self._waits(unit, state):
            return False
        if state.revision != seen.revision:
            unit.emit(reconcile(state.environment_name, state.component))
            return False
        return True

    async def _waits(self, unit: Unit, state: SyncState) -> bool:
        if not await self.rollouts.lanes.is_at_work(unit, state.environment, state.component):
            return False
        if not state.asked_again:
            unit.put(replace(state, asked_again=True))
        return True


class _MoreFollow(Exception):
    """There are more sync states than one batch can mark."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The sync states of an environment, or of one module in it, that lie after those already `asked`."""

    environment: str
    module: str | None
    after: str = ""
    asked: tuple[SyncState, ...] = ()

    async def ask(self, unit: Unit) -> "_Part":
        """Mark one batch of them and ask for their reconciliation; what is left then."""
        found = await unit.children(SyncState, after=self.after, limit=_STATES_AT_ONCE)
        return replace(self, after=found[-1].id, asked=self._marked(unit, found))

    async def ask_last(self, unit: Unit) -> tuple[SyncState, ...]:
        """The same where one batch is enough; all that were asked. Raises _MoreFollow where it is not."""
        found = await unit.children(SyncState, after=self.after, limit=_STATES_AT_ONCE + 1)
        if len(found) > _STATES_AT_ONCE:
            raise _MoreFollow
        asked = self._marked(unit, found)
        if not asked:
            raise NothingToReconcile(
                f"Nothing of it is desired in {self.environment} yet; promote a release into it first."
            )
        return asked

    def _marked(self, unit: Unit, found: Sequence[SyncState]) -> tuple[SyncState, ...]:
        wanted = [state for state in found if self.module in (None, state.module)]
        states = [unit.apply(begin_sync(asked(state), unit.now)) for state in wanted]
        for state in states:
            unit.emit(reconcile(self.environment, state.component))
        return (*self.asked, *states)


async def _syncing(unit: Unit, state_id: str, desired: Desired) -> SyncState:
    """The sync state on its way to `desired`. The revision is the commit at which this content was first
    seen; a later commit that does not touch the file does not change it."""
    state = await unit.get(SyncState, state_id)
    if state.content_hash != desired.content_hash:
        state = unit.apply(desire(state, desired.revision, desired.content_hash, unit.now))
    return unit.apply(begin_sync(state, unit.now))
