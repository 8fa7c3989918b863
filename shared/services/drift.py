"""Looks: what runs is compared with what git wants; what differs is told, and healed where the policy says.
A look changes nothing that runs: it asks for the reconciliation that anybody may ask for."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.environments.model import Environment
from shared.domain.environments.policy import EnvironmentPolicy, OnDrift, policy_id
from shared.domain.gitops.drift import (
    Seen,
    compare,
    is_awaited,
    is_news,
    observe,
    recorded_of,
    seen_again,
)
from shared.domain.gitops.model import Finding, SyncState
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import DeliveryError
from shared.services.desired_state import DesiredStates
from shared.services.environments import Environments, Lanes
from shared.services.live_states import LiveStates, revision_of
from shared.services.unit import Unit, Units

LOOKED_AT_ONCE = 18
"""Sync states per turn: a document, an audit entry, two findings and a command each, below 100 in all."""
STALE = timedelta(minutes=10)
"""A look that had to wait for so long is left out: those after it see the same, so that a slow worker does
not work off one after the other."""

_log = logging.getLogger("slipway.gitops")


@dataclass(frozen=True, slots=True)
class _Look:
    state: SyncState
    seen: Seen
    found: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Drifts:
    units: Units
    environments: Environments
    lanes: Lanes
    desired_states: DesiredStates
    live_states: LiveStates

    async def due(self, actor: Actor) -> AsyncIterator[tuple[Environment, str]]:
        """Every turn that a look at all of a tenant's environments takes: where, and after which sync state.
        None where nothing was ever promoted."""
        for rung in self.environments.ladder.rungs:
            environment, after = self.environments.declared(actor, rung.name), ""
            while True:
                states = await self._states(actor, environment, after)
                if states:
                    yield environment, after
                if len(states) < LOOKED_AT_ONCE:
                    break
                after = states[-1].id

    async def check(self, actor: Actor, payload: Mapping[str, object], sent_at: datetime) -> None:
        """For CheckDrift: one turn of a look. Where nothing is new, nothing is written."""
        if self.units.clock.now() - sent_at > STALE:
            return
        environment = self.environments.declared(actor, str(payload.get("environment")))
        states = await self._states(actor, environment, str(payload.get("after", "")))
        head = await self.desired_states.head(actor)
        looks = await asyncio.gather(*(self._look(actor, state, head) for state in states))
        news = [look for look in looks if look is not None]
        if news:
            await self._tell(actor, environment, news)

    async def _look(self, actor: Actor, state: SyncState, head: str | None) -> _Look | None:
        """What there is to say of one component; None where nothing is new. One that cannot be seen now does
        not keep the others from being looked at."""
        now = self.units.clock.now()
        if is_awaited(state, now):
            return None
        try:
            desired = await self.desired_states.at(actor, head, state.path)
            seen = await self.live_states.seen(state)
        except DeliveryError as error:
            _log.warning("%s could not be looked at: %s", state.path, error.message)
            return None
        found = compare(revision_of(desired.content), recorded_of(state), seen, now)
        return _Look(state, seen, found) if is_news(state, found, seen, now) else None

    async def _tell(self, actor: Actor, environment: Environment, news: list[_Look]) -> None:
        """One batch. What moved since it was seen, or is being deployed, is left to the next look."""

        async def turn(unit: Unit) -> None:
            policy = EnvironmentPolicy.__record__.document(policy_id(environment.id))
            states = [SyncState.__record__.document(look.state.id) for look in news]
            await unit.load(policy, *states)
            ruled = await unit.find(EnvironmentPolicy, policy_id(environment.id))
            on_drift = OnDrift.HEAL if ruled is None else ruled.on_drift
            for look in news:
                await self._tell_one(unit, look, on_drift)

        await self.units.run(actor, Environment.__record__.root_of(environment.id), turn)

    async def _tell_one(self, unit: Unit, look: _Look, on_drift: OnDrift) -> None:
        state = await unit.get(SyncState, look.state.id)
        if state.revision != look.state.revision:
            return
        if await self.lanes.is_at_work(unit, state.environment, state.component):
            return
        change = observe(state, look.found, look.seen, on_drift, unit.now)
        if change is not None:
            unit.apply(change)
        elif (later := seen_again(state, look.found, look.seen, unit.now)) is not None:
            unit.put(later)

    async def _states(self, actor: Actor, environment: Environment, after: str) -> list[SyncState]:
        prefix = SyncState.__record__.document("")
        place = self.units.store.open(actor.tenant).partition(Environment.__record__.root_of(environment.id))
        found = await place.scan(prefix, after=prefix + after if after else "", limit=LOOKED_AT_ONCE)
        return [self.units.codec.decode(SyncState, document.body) for document in found]
