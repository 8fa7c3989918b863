"""Reconciliation: what runs is brought to what git wants. Git wins: what the head of the tenant's GitOps
repository says is what is applied, whoever committed it, as long as a promotion once brought it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched

from shared.domain.environments.model import Environment
from shared.domain.gitops.errors import NothingToReconcile
from shared.domain.gitops.lifecycle import begin_sync, degrade, desire, reconcile, settle
from shared.domain.gitops.model import SyncState, sync_state_id
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
_PAGE = 100


@dataclass(frozen=True, slots=True)
class GitOps:
    units: Units
    environments: Environments
    desired_states: DesiredStates
    live_states: LiveStates
    rollouts: Rollouts

    async def states(self, actor: Actor, query: Query) -> Page[SyncState]:
        return await self.units.list(actor, SyncState, query)

    async def reconcile(
        self, actor: Actor, environment: str, module: str | None, once: Once | None
    ) -> tuple[SyncState, ...]:
        """Ask for reconciliation of an environment, or of one module in it. NothingToReconcile where no
        release was ever promoted."""
        where = await self.environments.get(actor, environment)
        root = Environment.__record__.root_of(where.id)
        await self.units.replay(actor, root, once)
        wanted = await self._wanted(actor, where, module)
        if not wanted:
            raise NothingToReconcile(
                f"Nothing of it is desired in {where.name} yet; promote a release into it first."
            )
        asked: tuple[SyncState, ...] = ()
        for part in batched(wanted, _STATES_AT_ONCE, strict=False):
            last = part[-1] is wanted[-1]
            turn = partial(self._ask, where=where, asked=asked, part=part)
            asked = await self.units.run(actor, root, turn, once if last else None)
        return asked

    async def _wanted(self, actor: Actor, where: Environment, module: str | None) -> list[str]:
        """The sync states of an environment, or of one module in it."""
        query = Query("sync-state", {"environment": where.id}, "updated_at", limit=_PAGE)
        found: list[str] = []
        while True:
            page = await self.units.list(actor, SyncState, query)
            found += [state.id for state in page.items if module in (None, state.module)]
            if page.next is None:
                return found
            query = replace(query, after=page.next)

    async def _ask(
        self, unit: Unit, *, where: Environment, asked: tuple[SyncState, ...], part: tuple[str, ...]
    ) -> tuple[SyncState, ...]:
        """Mark some sync states and ask for their reconciliation; they follow those `asked` before."""
        await unit.load(*(SyncState.__record__.document(state) for state in part))
        states = [unit.apply(begin_sync(await unit.get(SyncState, state), unit.now)) for state in part]
        for state in states:
            unit.emit(reconcile(where.name, state.component))
        return (*asked, *states)

    async def sync(self, actor: Actor, payload: Mapping[str, object], once: Once | None = None) -> None:
        """For ReconcileRequested: bring one component to what git wants, for a deployment or on its own."""
        if "deploymentId" in payload:
            await self.rollouts.carry_out(actor, id_in(payload, "deploymentId", "dep"))
            return
        environment = await self.environments.get(actor, str(payload.get("environment")))
        await self.units.replay(actor, Environment.__record__.root_of(environment.id), once)
        component = id_in(payload, "componentId", "comp")
        state = await self.units.get(actor, SyncState, sync_state_id(environment.id, component))
        desired = await self.desired_states.read(actor, state.path)
        before = await self.live_states.observe(state)
        try:
            await require_promoted(self.units, actor, state, desired.content)
            live = await self.live_states.apply(state, desired.content)
        except Permanent as failure:
            await self._degraded(actor, state, desired, failure.message, once)
        else:
            drifted = before.revision != revision_of(desired.content) or before.health == "unhealthy"
            await self._synced(actor, state, desired, live.url, once, drifted=drifted)

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
            syncing = await _syncing(unit, state.id, desired)
            unit.apply(settle(syncing, url, unit.now, drifted=drifted))

        await self.units.run(actor, SyncState.__record__.root_of(state.id), turn, once)

    async def _degraded(
        self, actor: Actor, state: SyncState, desired: Desired, cause: str, once: Once | None
    ) -> None:
        async def turn(unit: Unit) -> None:
            syncing = await _syncing(unit, state.id, desired)
            unit.apply(degrade(syncing, cause, unit.now))

        await self.units.run(actor, SyncState.__record__.root_of(state.id), turn, once)


async def _syncing(unit: Unit, state_id: str, desired: Desired) -> SyncState:
    """The sync state on its way to `desired`. The revision is the commit at which this content was first
    seen; a later commit that does not touch the file does not change it."""
    state = await unit.get(SyncState, state_id)
    if state.content_hash != desired.content_hash:
        state = unit.apply(desire(state, desired.revision, desired.content_hash, unit.now))
    return unit.apply(begin_sync(state, unit.now))
