"""What people do to a deployment under way or to what runs: go on, abort, roll back. Decides and records; the
worker does it."""

from dataclasses import dataclass

from shared.domain.deployments import lifecycle, rollout
from shared.domain.deployments.errors import NotCurrent, NotDeploying, NothingToReturnTo
from shared.domain.deployments.model import Deployment, deployment_id
from shared.domain.deployments.rollout import ProgressiveRollout, rollout_id
from shared.domain.environments.lifecycle import hold, lock
from shared.domain.environments.model import Current, Environment, current_id
from shared.domain.gitops.lifecycle import reconcile
from shared.domain.kernel.actor import Actor
from shared.domain.promotions import lifecycle as promotions
from shared.domain.promotions.model import Promotion, PromotionStatus
from shared.domain.releases.model import Release, ReleaseTrack, release_track_id
from shared.services.environments import Lanes
from shared.services.once import Once
from shared.services.promotions import one_of
from shared.services.rollouts import condemn
from shared.services.unit import Unit, Units


@dataclass(frozen=True, slots=True)
class RolloutControls:
    units: Units
    lanes: Lanes

    async def get(self, actor: Actor, promotion_id: str) -> ProgressiveRollout:
        """The rollout of a promotion's deployment. NotFound before it has begun."""
        promotion = await self.units.get(actor, Promotion, promotion_id)
        return await self.units.get(
            actor, ProgressiveRollout, rollout_id(promotion.deployment or promotion.id)
        )

    async def advance(
        self, actor: Actor, promotion_id: str, reason: str, once: Once | None
    ) -> ProgressiveRollout:
        """End the pause of a rollout. Raises NotDeploying, NothingToAdvance."""

        async def turn(unit: Unit) -> ProgressiveRollout:
            deployment, _, _ = await self._under_way(unit, promotion_id)
            known = await unit.find(ProgressiveRollout, rollout_id(deployment.id))
            if known is None or deployment.cause is not None:
                raise NotDeploying("Its rollout has not begun, or is being taken back; look again shortly.")
            return unit.apply(rollout.advance(known, actor.subject, reason, unit.now))

        return await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn, once)

    async def abort(self, actor: Actor, promotion_id: str, reason: str, once: Once | None) -> Promotion:
        """Stop a deployment and bring back what ran before. Repeating it changes nothing. Raises
        NotDeploying."""

        async def turn(unit: Unit) -> Promotion:
            deployment, promotion, environment = await self._under_way(unit, promotion_id)
            if deployment.cause is None:
                await self._abort(unit, deployment, promotion, environment, reason)
            return await unit.get(Promotion, promotion.id)

        return await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn, once)

    async def roll_back(
        self, actor: Actor, release_id: str, environment: str | None, reason: str, once: Once | None
    ) -> Deployment:
        """Bring back what ran before a release, as a new deployment. It waits for nobody's window or vote,
        and holds the environment until a person releases it.

        Raises NotCurrent, NothingToReturnTo, LaneTaken, EnvironmentRequired.
        """
        promotion_id = await self._running(actor, release_id, environment, once)

        async def turn(unit: Unit) -> Deployment:
            promotion = await unit.get(Promotion, promotion_id)
            load = {"component": promotion.component}
            await self.lanes.load(unit, promotion.environment, promotion.id, **load)
            where = await unit.get(Environment, promotion.environment)
            current = await unit.find(Current, current_id(where.id, promotion.component))
            if current is None or current.promotion != promotion.id:
                raise _not_current(promotion.environment_name)
            if current.previous_deployment is None:
                raise NothingToReturnTo(
                    f"Nothing ran in {where.name} before this release; promote another one instead."
                )
            earlier = await unit.get(Deployment, current.previous_deployment)
            lane = lock(await self.lanes.lane(unit, where), promotion.id)
            change = lifecycle.begin_rollback(promotion, earlier, lane.token, reason, unit.now)
            unit.put(hold(lane, reason, actor.subject, change.entity.id, unit.now))
            return unit.apply(change)

        return await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn, once)

    async def _abort(
        self, unit: Unit, deployment: Deployment, promotion: Promotion, where: Environment, reason: str
    ) -> None:
        by = f"Aborted by {unit.actor.subject}"
        cause = f"{by}: {reason}" if reason else f"{by}."
        condemned = await condemn(unit, deployment, cause)
        if condemned.manifest is None:
            # Nothing of it has left the store: it ends here.
            unit.apply(lifecycle.fail(condemned, unit.now))
            if promotion.status is PromotionStatus.DEPLOYING:
                unit.apply(promotions.fail(promotion, cause, unit.now))
            await self.lanes.leave(unit, where, promotion)
        elif condemned.gitops_commit is None:
            unit.emit(lifecycle.command(condemned))
        else:
            ask = reconcile(where.name, promotion.component, deployment=condemned.id, token=condemned.token)
            unit.emit(ask)

    async def _under_way(self, unit: Unit, promotion_id: str) -> tuple[Deployment, Promotion, Environment]:
        """The deployment that holds its lane for a promotion."""
        promotion = await unit.get(Promotion, promotion_id)
        load = {"release": promotion.release, "component": promotion.component}
        await self.lanes.load(unit, promotion.environment, promotion_id, **load)
        where = await unit.get(Environment, promotion.environment)
        lane = await self.lanes.lane(unit, where)
        if lane.lock != promotion.id:
            raise NotDeploying(
                f"This promotion is {promotion.status.replace('_', ' ')}; nothing of it is being deployed.",
                status=str(promotion.status),
            )
        return await unit.get(Deployment, deployment_id(promotion.id, lane.token)), promotion, where

    async def _running(
        self, actor: Actor, release_id: str, environment: str | None, once: Once | None
    ) -> str:
        """The promotion by which a release runs in an environment."""
        await self.units.get(actor, Release, release_id)
        track = await self.units.find(actor, ReleaseTrack, release_track_id(release_id))
        hops = track.hops if track else ()
        found = [await self.units.find(actor, Promotion, hop.promotion) for hop in hops]
        known = [promotion for promotion in found if promotion is not None]
        # A retry must find its answer where it was given, whatever runs there since.
        for root in {Promotion.__record__.root_of(promotion.id) for promotion in known}:
            await self.units.replay(actor, root, once)
        name = self.lanes.environments.resolve(environment).name if environment else None
        running = [
            promotion
            for promotion in known
            if promotion.status is PromotionStatus.DEPLOYED
            and promotion.superseded_by is None
            and name in (None, promotion.environment_name)
        ]
        if not running:
            raise _not_current(name or "any environment")
        return one_of(running).id


def _not_current(where: str) -> NotCurrent:
    return NotCurrent(f"The release is not what runs in {where}; only what runs can be rolled back.")
