"""One deployment carried out at its target, to an outcome that one batch records.

Every step can be repeated. A failure is stored before anything is cleaned up after it.
"""

import logging
from dataclasses import dataclass

from shared.domain.deployments import lifecycle
from shared.domain.deployments.model import Deployment, DeploymentStep
from shared.domain.environments.lifecycle import arrive, take_over
from shared.domain.environments.model import Arrival, Current, Environment, arrival_id, current_id
from shared.domain.gitops.lifecycle import begin_sync, restore, settle
from shared.domain.gitops.model import Manifest, SyncState, SyncStatus, sync_state_id
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Permanent
from shared.domain.promotions import lifecycle as promotions
from shared.domain.promotions.model import Promotion, PromotionStep
from shared.domain.releases.model import Release
from shared.ports.target import DeployFailed, LiveState
from shared.services.desired_state import Desired, DesiredStates
from shared.services.environments import Lanes
from shared.services.live_states import LiveStates, require_promoted, revision_of
from shared.services.unit import Turn, Unit, Units

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rollouts:
    units: Units
    lanes: Lanes
    desired_states: DesiredStates
    live_states: LiveStates

    async def carry_out(self, actor: Actor, deployment_id: str) -> None:
        """Roll out what the deployment put into git. Late and repeated calls change nothing."""
        deployment = await self._begin(actor, deployment_id)
        if deployment is None:
            _log.info("deployment %s is over or was overtaken; nothing is done", deployment_id)
            return
        if deployment.cause is None:
            try:
                live = await self._roll_out(actor, deployment)
            except Permanent as failure:
                deployment = await self._condemn(actor, deployment, failure.message)
            else:
                await self._succeed(actor, deployment, live)
                return
        await self._clean_up(actor, deployment)

    async def _roll_out(self, actor: Actor, deployment: Deployment) -> LiveState:
        """Apply the deployment's own manifest and look at what runs then."""
        state = await self._state(actor, deployment)
        desired = await self.desired_states.read(actor, state.path)
        manifest = await self._manifest(actor, deployment)
        if desired.content_hash != manifest.content_hash:
            raise DeployFailed(
                "The desired state was changed in git while it was deployed; promote the release again."
            )
        await self.live_states.apply(state, desired.content)
        await self._verify(actor, deployment)
        live = await self.live_states.observe(state)
        if live.revision != revision_of(desired.content) or live.health == "unhealthy":
            raise DeployFailed(f"It did not stay healthy after the switch. {live.message}".strip())
        return live

    async def _begin(self, actor: Actor, deployment_id: str) -> Deployment | None:
        deployment = await self.units.get(actor, Deployment, deployment_id)

        async def turn(unit: Unit) -> Deployment | None:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None:
                return None
            await self._syncing(unit, deployment)
            return found[0]

        return await self._run(actor, deployment, turn)

    async def _verify(self, actor: Actor, deployment: Deployment) -> None:
        async def turn(unit: Unit) -> None:
            found = await self.lanes.in_hand(unit, deployment)
            if found is not None and found[0].step is not DeploymentStep.HEALTH_GATING:
                mine, promotion, _ = found
                unit.apply(lifecycle.applied(mine, unit.now))
                unit.put(promotions.step_to(promotion, PromotionStep.VERIFYING, unit.now))

        await self._run(actor, deployment, turn)

    async def _condemn(self, actor: Actor, deployment: Deployment, cause: str) -> Deployment:
        async def turn(unit: Unit) -> Deployment:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None or found[0].cause is not None:
                return await unit.get(Deployment, deployment.id)
            return unit.apply(lifecycle.condemn(found[0], cause, unit.now))

        return await self._run(actor, deployment, turn)

    async def _succeed(self, actor: Actor, deployment: Deployment, live: LiveState) -> None:
        """It runs: the outcome, what is current, the arrival and the next start, in one batch."""
        release = await self.units.get(actor, Release, deployment.release)

        async def turn(unit: Unit) -> None:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None or found[0].cause is not None:
                return
            mine, promotion, environment = found
            unit.apply(settle(await self._syncing(unit, mine), live.url, unit.now))
            done = unit.apply(lifecycle.succeed(mine, live.url, unit.now))
            revision = mine.gitops_commit or ""
            unit.apply(promotions.complete(promotion, revision, release.images, live.url, unit.now))
            await _become_current(unit, environment, done, release)
            await self.lanes.leave(unit, environment, promotion)

        await self._run(actor, deployment, turn)

    async def _clean_up(self, actor: Actor, deployment: Deployment) -> None:
        """After a failure: git wants again what it wanted before, and the lane is free."""
        desired = await self._restore(actor, deployment)
        runs, url = await self._returned(actor, await self._state(actor, deployment), desired)

        async def turn(unit: Unit) -> None:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None:
                return
            mine, promotion, environment = found
            cause, hashed, at = mine.cause or "", desired.content_hash, unit.now
            state = await self._syncing(unit, mine)
            unit.apply(restore(state, desired.revision, hashed, cause, url, at, runs=runs))
            unit.apply(lifecycle.fail(mine, at))
            unit.apply(promotions.fail(promotion, cause, at))
            await self.lanes.leave(unit, environment, promotion)

        await self._run(actor, deployment, turn)

    async def _returned(self, actor: Actor, state: SyncState, desired: Desired) -> tuple[bool, str | None]:
        """Whether what ran before runs again, and its URL. The target keeps the version before when it says
        no; what it had switched to already is switched back here."""
        wanted = revision_of(desired.content)
        try:
            live = await self.live_states.observe(state)
            if live.revision != wanted:
                await require_promoted(self.units, actor, state, desired.content)
                live = await self.live_states.apply(state, desired.content)
        except Permanent as failure:
            _log.warning("%s does not run as before: %s", state.path, failure.message)
            return False, None
        return live.revision == wanted and live.health != "unhealthy", live.url

    async def _restore(self, actor: Actor, deployment: Deployment) -> Desired:
        """The desired state without what the deployment wrote; someone else's later word stays."""
        state = await self._state(actor, deployment)
        manifest = await self._manifest(actor, deployment)
        desired = await self.desired_states.read(actor, state.path)
        if desired.content_hash != manifest.content_hash or deployment.gitops_commit is None:
            return desired
        before = await self.desired_states.before(actor, state.path, deployment.gitops_commit)
        revision = await self.desired_states.write(
            actor,
            state.path,
            before,
            message=f"restore: {state.module} in {state.environment_name} after a failed deployment",
            promotion=deployment.promotion,
            key=f"{deployment.promotion}-{deployment.token}-restore",
        )
        return Desired(before, revision)

    async def _syncing(self, unit: Unit, deployment: Deployment) -> SyncState:
        state_id = sync_state_id(deployment.environment, deployment.component)
        state = await unit.get(SyncState, state_id)
        return state if state.status is SyncStatus.SYNCING else unit.apply(begin_sync(state, unit.now))

    async def _state(self, actor: Actor, deployment: Deployment) -> SyncState:
        state_id = sync_state_id(deployment.environment, deployment.component)
        return await self.units.get(actor, SyncState, state_id)

    async def _manifest(self, actor: Actor, deployment: Deployment) -> Manifest:
        return await self.units.get(actor, Manifest, deployment.manifest or "")

    async def _run[R](self, actor: Actor, deployment: Deployment, turn: Turn[R]) -> R:
        return await self.units.run(actor, Deployment.__record__.root_of(deployment.id), turn)


async def _become_current(
    unit: Unit, environment: Environment, deployment: Deployment, release: Release
) -> None:
    """The release is what runs of its component from now on, and the one before is superseded."""
    before = await unit.find(Current, current_id(environment.id, release.component))
    if before is not None:
        old = await unit.get(Deployment, before.deployment)
        unit.apply(lifecycle.supersede(old, deployment.id, unit.now))
        replaced = await unit.get(Promotion, before.promotion)
        unit.apply(promotions.supersede(replaced, deployment.promotion, unit.now))
    unit.apply(take_over(environment, before, deployment, release, url=deployment.url, at=unit.now))
    if await unit.find(Arrival, arrival_id(environment.id, release.release_digest)) is None:
        unit.put(arrive(environment, deployment, release, unit.now))
