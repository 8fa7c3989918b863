"""Environments, and the lanes into them: who waits, who is next, who is being deployed.

Everything here that takes a `unit` works inside a turn of the environment's own root.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.approvals.model import Approval
from shared.domain.deployments.lifecycle import begin, is_over
from shared.domain.deployments.model import Deployment
from shared.domain.environments.lifecycle import (
    Ladder,
    declare,
    enqueue,
    enter,
    first_lane,
    follow,
    holds,
    leave,
    lock,
    vacate,
)
from shared.domain.environments.model import (
    Arrival,
    Current,
    Entry,
    Environment,
    Lane,
    Rung,
    arrival_id,
    current_id,
    entry_id,
    environment_id,
    lane_id,
)
from shared.domain.environments.policy import EnvironmentPolicy, first_policy, policy_id, under
from shared.domain.gitops.lifecycle import reconcile
from shared.domain.gitops.model import SyncState, SyncStatus, sync_state_id
from shared.domain.images.lifecycle import awaited, objections
from shared.domain.images.model import BuildImages, build_images_id
from shared.domain.kernel.actor import Actor
from shared.domain.promotions.gates import Evaluation, Facts, evaluate
from shared.domain.promotions.lifecycle import record_of, settle, start, tightened
from shared.domain.promotions.model import Promotion, PromotionStatus
from shared.domain.releases.model import Release
from shared.services.unit import Unit, Units

_CURRENTS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """An environment and what runs in it."""

    environment: Environment
    current: tuple[Current, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a release fares in the environment before: when it arrived there (None: never), why it was rolled
    back since, and whether what runs there is not as it should be."""

    arrived_at: datetime | None
    withdrawn: str | None = None
    is_sick: bool = False


@dataclass(frozen=True, slots=True)
class Environments:
    """The environments of a tenant: those of the policy table as it is now, stored from their first use on.

    What was requested under an earlier policy keeps the approvals it was requested with; what is raised since
    is asked of it too, for as long as it takes votes.
    """

    units: Units
    ladder: Ladder

    def resolve(self, text: str, *, field: str = "environment") -> Rung:
        """The environment meant by a name or a stage; UnknownEnvironment lists the known ones."""
        return self.ladder.resolve(text, field=field)

    def knows(self, name: str) -> bool:
        """Whether there is an environment of exactly that name."""
        return any(rung.name == name for rung in self.ladder.rungs)

    def named(self, text: str | None) -> dict[str, str]:
        """What a list of one environment's things binds; nothing where none is named."""
        return {} if text is None else {"environment_name": self.resolve(text).name}

    def declared(self, actor: Actor, name: str) -> Environment:
        """The environment of that name or stage as the settings declare it, stored or not. Asks nobody: what
        its own policy requires of approvals is told by `governed`."""
        return declare(actor.tenant, self.resolve(name), self.units.clock.now()).entity

    async def governed(self, actor: Actor, name: str) -> Environment:
        """The environment of that name or stage under its policy: one read."""
        environment = self.declared(actor, name)
        policy = await self.units.find(actor, EnvironmentPolicy, policy_id(environment.id))
        return under(environment, policy)

    async def list(self, actor: Actor) -> tuple[EnvironmentState, ...]:
        """Every environment in the order of promotion, with what runs in it."""
        return tuple([await self._state(actor, rung) for rung in self.ladder.rungs])

    async def _state(self, actor: Actor, rung: Rung) -> EnvironmentState:
        environment = self.declared(actor, rung.name)

        async def turn(unit: Unit) -> EnvironmentState:
            policy = await unit.find(EnvironmentPolicy, policy_id(environment.id))
            current = await unit.children(Current, limit=_CURRENTS_SHOWN)
            return EnvironmentState(under(environment, policy), tuple(current))

        return await self.units.run(actor, Environment.__record__.root_of(environment.id), turn)

    async def arrived(self, actor: Actor, release: Release, name: str) -> bool:
        """Whether this content was ever deployed in the environment of that name."""
        environment = environment_id(actor.tenant, name)
        return (
            await self.units.find(actor, Arrival, arrival_id(environment, release.release_digest)) is not None
        )

    async def standing(self, actor: Actor, release: Release, name: str) -> Standing:
        """How the release fares in the environment of that name, in one read."""
        environment = environment_id(actor.tenant, name)
        arrival = Arrival.__record__.document(arrival_id(environment, release.release_digest))
        state = SyncState.__record__.document(sync_state_id(environment, release.component))
        place = self.units.store.open(actor.tenant).partition(Arrival.__record__.root_of(environment))
        found = await place.read([arrival, state])
        if arrival not in found:
            return Standing(None)
        arrived = self.units.codec.decode(Arrival, found[arrival].body)
        synced = self.units.codec.decode(SyncState, found[state].body) if state in found else None
        is_sick = synced is not None and synced.status is SyncStatus.DEGRADED
        return Standing(arrived.at, arrived.withdrawn, is_sick)

    async def furthest(self, actor: Actor, release: Release) -> str | None:
        """The last environment, in the order of promotion, where this content was ever deployed."""
        for rung in reversed(self.ladder.rungs):
            if await self.arrived(actor, release, rung.name):
                return rung.name
        return None

    async def ensure(self, unit: Unit, name: str) -> Environment:
        """The stored environment of exactly that name, made on its first use."""
        born = declare(unit.actor.tenant, self.resolve(name), unit.now)
        policy = await unit.find(EnvironmentPolicy, policy_id(born.entity.id))
        wanted = under(born.entity, policy)
        stored = await unit.find(Environment, wanted.id)
        if stored is None:
            return unit.apply(replace(born, entity=wanted))
        changed = follow(stored, wanted, unit.now)
        return stored if changed is None else unit.apply(changed)


@dataclass(frozen=True, slots=True)
class Lanes:
    """Lets the approved promotions of an environment in, one at a time, in the order of their decisions."""

    units: Units
    environments: Environments

    async def load(
        self,
        unit: Unit,
        environment: str,
        promotion: str,
        *,
        deployment: str | None = None,
        release: str | None = None,
        component: str | None = None,
    ) -> None:
        """Fetch what a turn on a promotion reads, as far as it is known, in one operation."""
        wanted = [
            Environment.__record__.document(environment),
            Lane.__record__.document(lane_id(environment)),
            EnvironmentPolicy.__record__.document(policy_id(environment)),
            Promotion.__record__.document(promotion),
        ]
        if deployment is not None:
            wanted.append(Deployment.__record__.document(deployment))
        if release is not None:
            wanted.append(Entry.__record__.document(entry_id(environment, release)))
        if component is not None:
            wanted.append(Current.__record__.document(current_id(environment, component)))
        await unit.load(*wanted)

    async def lane(self, unit: Unit, environment: Environment) -> Lane:
        return await unit.find(Lane, lane_id(environment.id)) or first_lane(environment)

    async def policy(self, unit: Unit, environment: Environment) -> EnvironmentPolicy:
        """What the environment asks of those who come in."""
        known = await unit.find(EnvironmentPolicy, policy_id(environment.id))
        return known or first_policy(environment, unit.now)

    async def preview(self, actor: Actor, promotion: Promotion, release: Release) -> Evaluation:
        """What the gates would say now, by the very function that lets it in. Changes nothing."""

        async def turn(unit: Unit) -> Evaluation:
            load = {"release": release.id, "component": release.component}
            await self.load(unit, promotion.environment, promotion.id, **load)
            declared = self.environments.declared(actor, promotion.environment_name)
            environment = under(declared, await self.policy(unit, declared))
            known = tightened(await unit.find(Promotion, promotion.id) or promotion, environment)
            facts = await self._facts(unit, environment, known, release)
            return evaluate(known, facts, unit.now)

        return await self.units.run(actor, Promotion.__record__.root_of(promotion.id), turn)

    async def enter(self, unit: Unit, environment: Environment, promotion: Promotion) -> None:
        """A new promotion is under way."""
        entry = await unit.find(Entry, entry_id(environment.id, promotion.release))
        entered = enter(entry, environment, promotion.release, promotion.id)
        if entered != entry:
            unit.put(entered)

    async def leave(self, unit: Unit, environment: Environment, promotion: Promotion) -> None:
        """A promotion has ended; whoever is next is let in, in the same batch. A reconciliation that was
        asked for while it was at work follows."""
        if (await self.lane(unit, environment)).lock == promotion.id:
            state = await unit.find(SyncState, sync_state_id(environment.id, promotion.component))
            if state is not None and state.asked_again:
                unit.put(replace(state, asked_again=False))
                unit.emit(reconcile(environment.name, promotion.component))
        await self._clear(unit, environment, promotion)
        await self.advance(unit, environment)

    async def reconsider(
        self, unit: Unit, environment: Environment, promotion: Promotion, release: Release | None = None
    ) -> Promotion:
        """Ask the gates again and let in whoever may go. What is deploying or has ended stays as it is.
        `release` is the promotion's, where the caller has just read it."""
        if promotion.is_open and promotion.status is not PromotionStatus.DEPLOYING:
            settled = await self._settle(unit, environment, promotion, release)
            await self.advance(unit, environment, settled)
        return await unit.get(Promotion, promotion.id)

    async def advance(self, unit: Unit, environment: Environment, settled: Promotion | None = None) -> None:
        """Start the head of the queue when the lane is free. A head that has to wait holds up the rest.
        The gates have just been asked about `settled`, in this very turn."""
        while (lane := await self.lane(unit, environment)).lock is None and lane.queue:
            if settled is not None and settled.id == lane.queue[0]:
                head = settled
            else:
                head = await self._settle(unit, environment, await unit.get(Promotion, lane.queue[0]))
            if head.status is not PromotionStatus.APPROVED:
                continue
            if not head.is_cleared:
                return
            await self._start(unit, environment, head)

    async def in_hand(
        self, unit: Unit, deployment: Deployment
    ) -> tuple[Deployment, Promotion, Environment] | None:
        """The deployment as it is now, if it still holds its lane: None for late and repeated work."""
        load = {"deployment": deployment.id, "release": deployment.release}
        await self.load(unit, deployment.environment, deployment.promotion, **load)
        mine = await unit.get(Deployment, deployment.id)
        environment = await unit.get(Environment, deployment.environment)
        if is_over(mine) or not holds(await self.lane(unit, environment), mine.promotion, mine.token):
            return None
        return mine, await unit.get(Promotion, mine.promotion), environment

    async def is_at_work(self, unit: Unit, environment: str, component: str) -> bool:
        """Whether a deployment of the component holds the lane into the environment of that id."""
        lane = await unit.find(Lane, lane_id(environment))
        if lane is None or lane.lock is None:
            return False
        return (await unit.get(Promotion, lane.lock)).component == component

    async def approvals(self, unit: Unit, promotion: Promotion) -> tuple[Approval, ...]:
        """The votes cast on a promotion, in the order they came."""
        await unit.load(*(Approval.__record__.document(approval) for approval in promotion.approvals))
        return tuple([await unit.get(Approval, approval) for approval in promotion.approvals])

    async def _start(self, unit: Unit, environment: Environment, promotion: Promotion) -> None:
        lane = unit.put(lock(await self.lane(unit, environment), promotion.id))
        current = await unit.find(Current, current_id(environment.id, promotion.component))
        previous = (current.release, current.deployment) if current else None
        deployment = unit.apply(begin(promotion, lane.token, previous, unit.now))
        unit.apply(start(promotion, deployment.id, unit.now))

    async def _settle(
        self, unit: Unit, environment: Environment, promotion: Promotion, release: Release | None = None
    ) -> Promotion:
        asked = tightened(promotion, environment)
        facts = await self._facts(unit, environment, asked, release)
        evaluation = evaluate(asked, facts, unit.now)
        change = settle(asked, evaluation, unit.now)
        if change is None:
            return promotion if asked == promotion else unit.put(asked)
        settled = unit.apply(change)
        unit.put(record_of(settled, evaluation, unit.now))
        if settled.status is PromotionStatus.APPROVED:
            unit.put(enqueue(await self.lane(unit, environment), settled.id))
        elif not settled.is_open:
            await self._clear(unit, environment, settled)
        return settled

    async def _clear(self, unit: Unit, environment: Environment, promotion: Promotion) -> None:
        """The promotion has ended: it is in nobody's way."""
        lane = await self.lane(unit, environment)
        if (left := leave(lane, promotion.id)) != lane:
            unit.put(left)
        entry = await unit.find(Entry, entry_id(environment.id, promotion.release))
        if entry is not None and entry.promotion == promotion.id:
            unit.put(vacate(entry, promotion.id))

    async def _facts(
        self, unit: Unit, environment: Environment, promotion: Promotion, release: Release | None
    ) -> Facts:
        # Of other roots what is read may have changed by the commit: it is asked again at the start.
        release = release or await self.units.get(unit.actor, Release, promotion.release)
        before = environment.previous
        current = await unit.find(Current, current_id(environment.id, promotion.component))
        entry = await unit.find(Entry, entry_id(environment.id, promotion.release))
        lane, policy = await self.lane(unit, environment), await self.policy(unit, environment)
        standing = await self.environments.standing(unit.actor, release, before) if before else None
        build_images = build_images_id(release.source.build_result)
        images = await self.units.find(unit.actor, BuildImages, build_images)
        return Facts(
            release_status=release.status,
            release_digest=release.release_digest,
            arrived_before=standing is None or standing.arrived_at is not None,
            arrived_at=standing.arrived_at if standing else None,
            withdrawn_before=standing.withdrawn if standing else None,
            sick_before=standing.is_sick if standing else False,
            current_release=current.release if current else None,
            others_open=entry is not None and entry.promotion not in (None, promotion.id),
            human_required=promotion.human_required,
            approvals=await self.approvals(unit, promotion),
            image_objections=objections(images),
            images_awaited=awaited(images),
            hold=lane.hold.reason if lane.hold else None,
            freezes=policy.freezes,
            soak_seconds=policy.soak_seconds,
            allowed_strategies=policy.allowed_strategies,
        )
