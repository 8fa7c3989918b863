"""What an environment asks of those who come in: its policy, its freeze windows, and its hold."""

from dataclasses import dataclass, replace

from shared.domain.environments.calendar import FreezeWindow
from shared.domain.environments.errors import UnknownEnvironment
from shared.domain.environments.lifecycle import release_hold
from shared.domain.environments.model import Environment, Lane, lane_id
from shared.domain.environments.policy import (
    EnvironmentPolicy,
    PolicyDraft,
    add_freeze,
    first_policy,
    freeze_id,
    policy_id,
    remove_freeze,
    set_policy,
    under,
)
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.services.environments import Environments, Lanes
from shared.services.once import Once
from shared.services.unit import Turn, Unit, Units, missing, require_revision


@dataclass(frozen=True, slots=True)
class EnvironmentRules:
    """An environment with what it asks, and who is on the way into it."""

    environment: Environment
    policy: EnvironmentPolicy
    lane: Lane


@dataclass(frozen=True, slots=True)
class FreezeWindows:
    units: Units
    environments: Environments
    lanes: Lanes

    async def rules(self, actor: Actor, environment: str) -> EnvironmentRules:
        """Of an environment by its name or stage. NotFound where there is none."""
        where = self._where(actor, environment)

        async def turn(unit: Unit) -> EnvironmentRules:
            await self._load(unit, where)
            policy = await unit.find(EnvironmentPolicy, policy_id(where.id))
            lane = await self.lanes.lane(unit, where)
            known = policy or first_policy(where, where.created_at)
            return EnvironmentRules(under(where, policy), known, lane)

        return await self.units.run(actor, Environment.__record__.root_of(where.id), turn)

    async def list(self, actor: Actor, environment: str) -> tuple[FreezeWindow, ...]:
        return (await self.rules(actor, environment)).policy.freezes

    async def set_policy(
        self, actor: Actor, environment: str, draft: PolicyDraft, revision: int | None, once: Once | None
    ) -> EnvironmentPolicy:
        """Raises Invalid, PersonRequired, StaleRevision."""

        async def turn(unit: Unit) -> EnvironmentPolicy:
            policy = await self._open(unit, environment, revision)
            declared = self._where(actor, environment)
            return await self._keep(unit, environment, set_policy(policy, draft, declared, actor, unit.now))

        return await self._run(actor, environment, turn, once)

    async def add(
        self, actor: Actor, environment: str, window: FreezeWindow, once: Once | None
    ) -> FreezeWindow:
        """`window` without its id. Raises BadFreezeWindow, TooManyFreezeWindows."""

        async def turn(unit: Unit) -> FreezeWindow:
            policy = await self._open(unit, environment)
            made = replace(
                window,
                id=freeze_id(policy.environment, unit.new_id("freeze-window")),
                created_by=actor.subject,
                created_at=unit.now,
            )
            await self._keep(unit, environment, add_freeze(policy, made, actor, unit.now))
            return made

        return await self._run(actor, environment, turn, once)

    async def remove(self, actor: Actor, environment: str, window_id: str, once: Once | None) -> None:
        """NotFound where there is none of that id."""

        async def turn(unit: Unit) -> None:
            policy = await self._open(unit, environment)
            await self._keep(unit, environment, remove_freeze(policy, window_id, actor, unit.now))

        await self._run(actor, environment, turn, once)

    async def release_hold(
        self, actor: Actor, environment: str, reason: str, once: Once | None
    ) -> EnvironmentRules:
        """Let releases in again after a rollback. Raises PersonRequired, NoHold."""

        async def turn(unit: Unit) -> EnvironmentRules:
            policy = await self._open(unit, environment)
            where = await self.environments.ensure(unit, self.environments.resolve(environment).name)
            lane = await self.lanes.lane(unit, where)
            return EnvironmentRules(where, policy, unit.apply(release_hold(lane, where, actor, reason)))

        return await self._run(actor, environment, turn, once)

    async def _run[R](self, actor: Actor, environment: str, turn: Turn[R], once: Once | None) -> R:
        where = self._where(actor, environment)
        return await self.units.run(actor, Environment.__record__.root_of(where.id), turn, once)

    def _where(self, actor: Actor, environment: str) -> Environment:
        """The environment that is the subject of the call."""
        try:
            return self.environments.declared(actor, environment)
        except UnknownEnvironment:
            raise missing(Environment) from None

    async def _load(self, unit: Unit, where: Environment) -> None:
        await unit.load(
            Environment.__record__.document(where.id),
            Lane.__record__.document(lane_id(where.id)),
            EnvironmentPolicy.__record__.document(policy_id(where.id)),
        )

    async def _open(self, unit: Unit, environment: str, revision: int | None = None) -> EnvironmentPolicy:
        where = self._where(unit.actor, environment)
        await self._load(unit, where)
        policy = await self.lanes.policy(unit, where)
        require_revision(policy, revision)
        return policy

    async def _keep(
        self, unit: Unit, environment: str, change: Change[EnvironmentPolicy]
    ) -> EnvironmentPolicy:
        """Save what changed, and touch the lane: a start that was decided by the rules before loses the
        race."""
        kept = unit.apply(change)
        where = await self.environments.ensure(unit, self.environments.resolve(environment).name)
        unit.put(await self.lanes.lane(unit, where))
        return kept
