"""One deployment carried out at its target, step by step, to an outcome that one batch records.

A call is one turn: what is due is done, and the next turn is a message. Every step can be repeated. A failure
is stored before anything is cleaned up after it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.deployments import lifecycle, rollout
from shared.domain.deployments.model import Deployment, DeploymentKind, DeploymentStatus, DeploymentStep
from shared.domain.deployments.rollout import ProgressiveRollout, RolloutStatus, rollout_id
from shared.domain.environments.lifecycle import arrive, hold, take_over, withdraw
from shared.domain.environments.model import Arrival, Current, Environment, arrival_id, current_id
from shared.domain.gitops.lifecycle import begin_sync, restore, settle
from shared.domain.gitops.model import Manifest, SyncState, SyncStatus, sync_state_id
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.events import id_in
from shared.domain.promotions import lifecycle as promotions
from shared.domain.promotions.model import Promotion, PromotionStep
from shared.domain.releases.model import Release
from shared.domain.releases.strategies import wished
from shared.ports.target import DeployFailed, LiveState, Overtaken, Split
from shared.services.deployments import show
from shared.services.desired_state import Desired, DesiredStates
from shared.services.environments import Lanes
from shared.services.live_states import LiveStates, require_promoted, revision_of
from shared.services.unit import Turn, Unit, Units

_log = logging.getLogger(__name__)
_FENCES = 1000
"""Turns of one deployment at its target: its steps, and after them the last word."""
_RETIRING, _RETURNING = _FENCES - 2, _FENCES - 1


@dataclass(frozen=True, slots=True)
class Rollouts:
    units: Units
    lanes: Lanes
    desired_states: DesiredStates
    live_states: LiveStates

    async def carry_out(self, actor: Actor, deployment_id: str) -> None:
        """Do what is due of rolling out what the deployment put into git. Late, early and repeated calls
        change nothing."""
        begun = await self._begin(actor, deployment_id)
        if begun is None:
            _log.info("deployment %s is over or was overtaken; nothing is done", deployment_id)
            return
        deployment, current = begun
        if deployment.cause is None:
            if current.rests(self.units.clock.now()):
                return
            try:
                await self._step(actor, deployment, current)
            except Overtaken as late:
                _log.info("deployment %s: %s", deployment_id, late.message)
                return
            except Permanent as failure:
                deployment = await self._condemn(actor, deployment, failure.message)
            else:
                return
        await self._clean_up(actor, deployment)

    async def on_due(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For RolloutDue: the next turn of a rollout."""
        await self.carry_out(actor, id_in(payload, "deploymentId", "dep"))

    async def retire(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For RetirementDue: what a blue-green switch left in reserve is stopped, unless it was needed."""
        deployment = await self.units.get(actor, Deployment, id_in(payload, "deploymentId", "dep"))
        current = await self.units.get(
            actor, Current, current_id(deployment.environment, deployment.component)
        )
        if current.deployment != deployment.id:
            return
        done = await self.units.get(actor, ProgressiveRollout, rollout_id(deployment.id))
        manifest = await self._manifest(actor, deployment)
        alone = Split(instances=done.step.instances, fence=deployment.token * _FENCES + _RETIRING)
        try:
            await self.live_states.apply(
                await self._state(actor, deployment), manifest.content.encode(), alone
            )
        except Overtaken:
            _log.info("deployment %s was overtaken; its reserve is not its own any more", deployment.id)

    async def _step(self, actor: Actor, deployment: Deployment, current: ProgressiveRollout) -> None:
        """Shift to the step and look at it; or look again; or end a pause."""
        if current.status is RolloutStatus.PAUSED:
            await self._move_on(actor, deployment, current, current)
            return
        state = await self._state(actor, deployment)
        desired = await self.desired_states.read(actor, state.path)
        manifest = await self._manifest(actor, deployment)
        if desired.content_hash != manifest.content_hash:
            raise DeployFailed(
                "The desired state was changed in git while it was deployed; promote the release again."
            )
        if current.status is RolloutStatus.SHIFTING:
            await self.live_states.apply(state, desired.content, _split(deployment, current))
            shifted = await self._shifted(actor, deployment, current)
            if shifted is None:
                return
            current = shifted
        live = await self.live_states.observe(state)
        looked = rollout.looked(current, _wrong(live, desired, current), self.units.clock.now())
        judged = rollout.verdict(looked)
        if judged is not None and not judged.healthy:
            raise DeployFailed(f"It did not stay healthy after the switch. {judged.reason}".strip())
        if judged is not None and current.is_last:
            await self._succeed(actor, deployment, live, current, looked)
        else:
            await self._move_on(actor, deployment, current, looked)

    async def _begin(self, actor: Actor, deployment_id: str) -> tuple[Deployment, ProgressiveRollout] | None:
        deployment = await self.units.get(actor, Deployment, deployment_id)

        async def turn(unit: Unit) -> tuple[Deployment, ProgressiveRollout] | None:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None:
                return None
            mine, _, environment = found
            await self._syncing(unit, deployment)
            known = await unit.find(ProgressiveRollout, rollout_id(mine.id))
            if known is None:
                policy = await self.lanes.policy(unit, environment)
                settings = wished(policy.rollout, mine.rollout)
                first = mine.previous_release is None or mine.kind is DeploymentKind.ROLLBACK
                known = unit.apply(rollout.begin(mine, settings, unit.now, first=first))
            return mine, known

        return await self._run(actor, deployment, turn)

    async def _shifted(
        self, actor: Actor, deployment: Deployment, seen: ProgressiveRollout
    ) -> ProgressiveRollout | None:
        """The target has done the step. None when the deployment may not go on."""

        async def turn(unit: Unit) -> ProgressiveRollout | None:
            found = await self._unchanged(unit, deployment, seen)
            if found is None:
                return None
            mine, promotion, _ = found
            if mine.step is not DeploymentStep.HEALTH_GATING:
                unit.apply(lifecycle.applied(mine, unit.now))
                show(unit, mine, promotion, PromotionStep.VERIFYING)
            return unit.put(rollout.shifted(seen, unit.now))

        return await self._run(actor, deployment, turn)

    async def _move_on(
        self, actor: Actor, deployment: Deployment, seen: ProgressiveRollout, looked: ProgressiveRollout
    ) -> None:
        async def turn(unit: Unit) -> None:
            if await self._unchanged(unit, deployment, seen) is not None:
                unit.apply(rollout.move_on(looked, unit.now))

        await self._run(actor, deployment, turn)

    async def _unchanged(
        self, unit: Unit, deployment: Deployment, seen: ProgressiveRollout
    ) -> tuple[Deployment, Promotion, Environment] | None:
        """The deployment in hand, where nobody has condemned it or moved its rollout since it was seen."""
        found = await self.lanes.in_hand(unit, deployment)
        if found is None or found[0].cause is not None:
            return None
        return found if await unit.get(ProgressiveRollout, seen.id) == seen else None

    async def _condemn(self, actor: Actor, deployment: Deployment, cause: str) -> Deployment:
        async def turn(unit: Unit) -> Deployment:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None or found[0].cause is not None:
                return await unit.get(Deployment, deployment.id)
            return await condemn(unit, found[0], cause)

        return await self._run(actor, deployment, turn)

    async def _succeed(
        self,
        actor: Actor,
        deployment: Deployment,
        live: LiveState,
        seen: ProgressiveRollout,
        looked: ProgressiveRollout,
    ) -> None:
        """It runs: the outcome, what is current, the arrival and the next start, in one batch."""
        release = await self.units.get(actor, Release, deployment.release)

        async def turn(unit: Unit) -> None:
            found = await self._unchanged(unit, deployment, seen)
            if found is None:
                return
            mine, promotion, environment = found
            unit.apply(settle(await self._syncing(unit, mine), live.url, unit.now))
            unit.apply(rollout.complete(looked, unit.now))
            done = unit.apply(lifecycle.succeed(mine, live.url, unit.now))
            if mine.kind is DeploymentKind.ROLLBACK:
                await _bring_back(unit, environment, done, promotion)
            else:
                revision = mine.gitops_commit or ""
                unit.apply(promotions.complete(promotion, revision, release.images, live.url, unit.now))
                await _replace(unit, environment, done)
            await _become_current(unit, environment, done, release)
            await self.lanes.leave(unit, environment, promotion)

        await self._run(actor, deployment, turn)

    async def _clean_up(self, actor: Actor, deployment: Deployment) -> None:
        """After a failure: git wants again what it wanted before, and the lane is free. What was let near
        anybody's requests holds the environment until a person has looked at it."""
        desired = await self._restore(actor, deployment)
        runs, url = await self._returned(actor, deployment, desired)

        async def turn(unit: Unit) -> None:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None:
                return
            mine, promotion, environment = found
            cause, hashed, at = mine.cause or "", desired.content_hash, unit.now
            state = await self._syncing(unit, mine)
            unit.apply(restore(state, desired.revision, hashed, cause, url, at, runs=runs))
            known = await unit.find(ProgressiveRollout, rollout_id(mine.id))
            if known is not None and not known.is_over:
                unit.apply(rollout.turned_back(known, at, runs=runs))
            is_back = mine.status is DeploymentStatus.ROLLING_BACK
            is_deploy = mine.kind is DeploymentKind.DEPLOY
            if is_back:
                unit.apply(lifecycle.rolled_back(mine, at, runs=runs and is_deploy))
                lane = await self.lanes.lane(unit, environment)
                unit.put(hold(lane, cause, actor.subject, mine.id, at))
            else:
                unit.apply(lifecycle.fail(mine, at))
            if is_deploy:
                ending = promotions.roll_back if is_back and runs else promotions.fail
                unit.apply(ending(promotion, cause, at))
            await self.lanes.leave(unit, environment, promotion)

        await self._run(actor, deployment, turn)

    async def _returned(
        self, actor: Actor, deployment: Deployment, desired: Desired
    ) -> tuple[bool, str | None]:
        """Whether what ran before runs again, alone, and its URL. The target is told so even where it looks
        like that: whoever is still at an earlier step finds itself overtaken."""
        state, wanted = await self._state(actor, deployment), revision_of(desired.content)
        known = await self.units.find(actor, ProgressiveRollout, rollout_id(deployment.id))
        instances = known.steps[-1].instances if known else 1
        alone = Split(instances=instances, fence=deployment.token * _FENCES + _RETURNING)
        try:
            live = await self.live_states.observe(state)
            if desired.content is not None or live.revision is not None:
                await require_promoted(self.units, actor, state, desired.content)
                live = await self.live_states.apply(state, desired.content, alone)
        except (Permanent, Overtaken) as failure:
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


async def condemn(unit: Unit, deployment: Deployment, cause: str) -> Deployment:
    """It has failed: nothing of its rollout goes on, and what ran before comes back."""
    known = await unit.find(ProgressiveRollout, rollout_id(deployment.id))
    if known is not None and not known.is_over:
        unit.put(rollout.turn_back(known, unit.now))
    return unit.apply(lifecycle.condemn(deployment, cause, unit.now))


def _split(deployment: Deployment, current: ProgressiveRollout) -> Split:
    step, fence = current.step, deployment.token * _FENCES + current.position
    return Split(step.instances, step.others, step.weight, step.unavailable, fence)


def _wrong(live: LiveState, desired: Desired, current: ProgressiveRollout) -> str:
    """What is wrong with the version that is coming in; empty when it is as the step wants it."""
    wanted = revision_of(desired.content)
    if live.revision == wanted:
        return (live.message or "It is not healthy.") if live.health == "unhealthy" else ""
    beside = live.candidate
    if beside is None or beside.revision != wanted or current.step.weight == 100:
        return "It is not what runs there."
    return (beside.message or "It is not healthy.") if beside.health == "unhealthy" else ""


async def _replace(unit: Unit, environment: Environment, deployment: Deployment) -> None:
    """What ran until now is superseded."""
    before = await unit.find(Current, current_id(environment.id, deployment.component))
    if before is not None:
        replaced = await unit.get(Promotion, before.promotion)
        unit.apply(promotions.supersede(replaced, deployment.promotion, unit.now))


async def _bring_back(
    unit: Unit, environment: Environment, deployment: Deployment, promotion: Promotion
) -> None:
    """The promotion is undone, the one before it is what runs, and no next environment may rely on it."""
    reason = deployment.reason or ""
    unit.apply(promotions.roll_back(promotion, reason, unit.now))
    earlier = await unit.get(Promotion, deployment.serving)
    unit.apply(promotions.reinstate(earlier, unit.now))
    arrival = await unit.find(Arrival, arrival_id(environment.id, promotion.release_digest))
    if arrival is not None and promotion.release_digest != deployment.release_digest:
        unit.put(withdraw(arrival, reason))


async def _become_current(
    unit: Unit, environment: Environment, deployment: Deployment, release: Release
) -> None:
    """The release is what runs of its component from now on."""
    before = await unit.find(Current, current_id(environment.id, release.component))
    if before is not None:
        old = await unit.get(Deployment, before.deployment)
        unit.apply(lifecycle.supersede(old, deployment.id, unit.now))
    previous = _previous(before, deployment)
    url = deployment.url
    unit.apply(take_over(environment, before, deployment, release, url=url, at=unit.now, previous=previous))
    arrived = await unit.find(Arrival, arrival_id(environment.id, release.release_digest))
    if arrived is None or arrived.withdrawn is not None:
        unit.put(arrive(environment, deployment, release, unit.now))


def _previous(before: Current | None, deployment: Deployment) -> tuple[str, str] | None:
    """What it can be rolled back to: after a rollback, what was before that which came back."""
    if deployment.kind is DeploymentKind.ROLLBACK:
        release, earlier = deployment.previous_release, deployment.previous_deployment
        return (release, earlier) if release is not None and earlier is not None else None
    return (before.release, before.deployment) if before else None
