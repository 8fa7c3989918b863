"""Deployments: the desired state of an approved promotion goes to git, and the reconciler is told.

What runs is none of its business: it writes down what should run.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.deployments import lifecycle
from shared.domain.deployments.model import Deployment, DeploymentKind
from shared.domain.environments.model import Environment
from shared.domain.gitops.lifecycle import (
    commit,
    content_hash,
    desire,
    desired_state,
    first_state,
    reconcile,
    render,
)
from shared.domain.gitops.model import Manifest, SyncState, manifest_id, manifest_path, sync_state_id
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.events import id_in
from shared.domain.promotions.lifecycle import step_to
from shared.domain.promotions.model import Promotion, PromotionStep
from shared.domain.releases.model import Release, ReleaseTrack, Strategy, release_track_id
from shared.ports.manifests import ManifestFormat
from shared.ports.store import Query
from shared.services.desired_state import DesiredStates
from shared.services.environments import Lanes
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

_log = logging.getLogger(__name__)


def show(unit: Unit, deployment: Deployment, promotion: Promotion, step: PromotionStep) -> None:
    """How far the promotion is that is being deployed; one that is rolled back was through long ago."""
    if deployment.kind is DeploymentKind.DEPLOY:
        unit.put(step_to(promotion, step, unit.now))


@dataclass(frozen=True, slots=True)
class Deployments:
    units: Units
    lanes: Lanes
    manifests: ManifestFormat
    desired_states: DesiredStates

    async def run(self, actor: Actor, payload: Mapping[str, object], *, again: bool = False) -> None:
        """For DeploymentRequested: render, commit to git, ask for reconciliation. Every step is adopted by a
        repeated message; a message of an earlier start changes nothing. A reminder (`again`) asks anew."""
        deployment = await self.units.get(actor, Deployment, id_in(payload, "deploymentId", "dep"))
        release = await self.units.get(actor, Release, deployment.release)
        environment = await self.units.get(actor, Environment, deployment.environment)
        content = await self._wanted(actor, deployment, release)
        if not await self._render(actor, deployment, release, content):
            _log.info("deployment %s is over or was overtaken; nothing is done", deployment.id)
            return
        revision = await self.desired_states.write(
            actor,
            manifest_path(environment.name, release.project, release.module),
            content,
            message=f"{deployment.kind}: {release.module} {release.version} to {environment.name}",
            promotion=deployment.promotion,
            key=f"{deployment.promotion}-{deployment.token}",
        )
        await self._hand_over(actor, deployment, release, (content_hash(content), revision), again=again)

    async def get(self, actor: Actor, deployment_id: str) -> Deployment:
        return await self.units.get(actor, Deployment, deployment_id)

    async def list(self, actor: Actor, query: Query) -> Page[Deployment]:
        return await self.units.list(actor, Deployment, query)

    async def render(self, actor: Actor, release_id: str, environment: str, once: Once | None) -> Manifest:
        """The manifest that a release has or would have in an environment, without committing it."""
        release = await self.units.get(actor, Release, release_id)
        rung = self.lanes.environments.resolve(environment)
        strategy, promotion = await self._hop(actor, release, rung.name)
        content = self._content(release, rung.name, strategy, promotion)

        async def turn(unit: Unit) -> Manifest:
            where = await self.lanes.environments.ensure(unit, rung.name)
            known = await unit.find(Manifest, manifest_id(where.id, content_hash(content)))
            return known or unit.apply(render(release, where, content, unit.now))

        target = self.lanes.environments.declared(actor, rung.name)
        return await self.units.run(actor, Environment.__record__.root_of(target.id), turn, once)

    async def manifest(self, actor: Actor, manifest_id: str) -> Manifest:
        return await self.units.get(actor, Manifest, manifest_id)

    async def _wanted(self, actor: Actor, deployment: Deployment, release: Release) -> bytes:
        """The manifest that it brings; a rollback brings back to the letter what was there."""
        if deployment.restores is None:
            where, promotion = deployment.environment_name, deployment.promotion
            return self._content(release, where, deployment.strategy, promotion)
        restored = await self.units.get(actor, Deployment, deployment.restores)
        return (await self.units.get(actor, Manifest, restored.manifest or "")).content.encode()

    def _content(
        self, release: Release, environment: str, strategy: Strategy, promotion: str | None
    ) -> bytes:
        return self.manifests.render(desired_state(release, environment, strategy, promotion))

    async def _hop(self, actor: Actor, release: Release, environment: str) -> tuple[Strategy, str | None]:
        """How the release goes into the environment, where that was asked for already."""
        track = await self.units.find(actor, ReleaseTrack, release_track_id(release.id))
        hops = track.into(environment) if track else ()
        return (hops[-1].strategy, hops[-1].promotion) if hops else (Strategy.ROLLING_UPDATE, None)

    async def _render(self, actor: Actor, deployment: Deployment, release: Release, content: bytes) -> bool:
        """Write the manifest down, before git has it. False when this deployment may not go on."""

        async def turn(unit: Unit) -> bool:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None:
                return False
            mine, promotion, environment = found
            key = manifest_id(environment.id, content_hash(content))
            if mine.manifest == key:
                return True
            if await unit.find(Manifest, key) is None:
                unit.apply(render(release, environment, content, unit.now))
            unit.apply(lifecycle.rendered(mine, key, unit.now))
            show(unit, mine, promotion, PromotionStep.COMMITTING_DESIRED_STATE)
            return True

        return await self.units.run(actor, Deployment.__record__.root_of(deployment.id), turn)

    async def _hand_over(
        self,
        actor: Actor,
        deployment: Deployment,
        release: Release,
        written: tuple[str, str],
        *,
        again: bool,
    ) -> None:
        """Git has it (content hash, commit): record that, and ask for reconciliation in the same batch."""
        hashed, revision = written

        async def turn(unit: Unit) -> None:
            found = await self.lanes.in_hand(unit, deployment)
            if found is None:
                return
            mine, promotion, environment = found
            ask = reconcile(environment.name, release.component, deployment=mine.id, token=mine.token)
            if mine.gitops_commit is not None:
                # Whoever was to reconcile may have died of it three times, and the message with them.
                unit.emit(*[ask] if again else [])
                return
            unit.emit(ask)
            manifest = await unit.get(Manifest, manifest_id(environment.id, hashed))
            unit.apply(commit(manifest, revision, unit.now))
            state = await unit.find(SyncState, sync_state_id(environment.id, release.component))
            state = state or first_state(release, environment, unit.now)
            unit.apply(desire(state, revision, hashed, unit.now))
            unit.apply(lifecycle.desired(mine, revision, unit.now))
            show(unit, mine, promotion, PromotionStep.PROMOTING)

        await self.units.run(actor, Deployment.__record__.root_of(deployment.id), turn)
