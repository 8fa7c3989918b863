"""Reconciliation: drift is undone, git's word is followed, and what cannot be done is told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared.adapters.manifests import YamlManifests
from shared.domain.environments.errors import UnknownEnvironment
from shared.domain.gitops.errors import NothingToReconcile
from shared.domain.gitops.lifecycle import content_hash
from shared.domain.gitops.model import SyncState, SyncStatus, sync_state_id
from shared.domain.kernel.errors import NotFound, Permanent
from shared.domain.releases.strategies import CanaryStep, RolloutWish, Strategy
from shared.ports.store import Query
from shared.ports.target import LiveState, Target
from shared.services.once import AlreadyDone, Inbox
from shared.services.releases import Plan
from shared.services.unit import Unit
from tests.services.test_deployments import SickTarget
from tests.support.releases import ANN, MODULE, PLANNER, PROJECT, STRANGER, Delivery, a_delivery, a_draft

PATH = f"dev/{PROJECT}/{MODULE}/release.yaml"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path)
    yield made
    await made.store.aclose()


@pytest.fixture
async def plan(world: Delivery) -> Plan:
    """A release that runs in dev."""
    planned = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    await world.drain()
    return planned


def folder(plan: Plan) -> str:
    return f"{MODULE}-{plan.release.component[:12]}"


async def test_what_was_removed_behind_our_back_comes_back(world: Delivery, plan: Plan) -> None:
    await world.target.remove("acme", "dev", folder(plan))
    assert await world.live("dev", plan.release) is None
    (state,) = await world.gitops.reconcile(ANN, "dev", MODULE, None)
    assert state.status is SyncStatus.SYNCING
    await world.drain()
    assert await world.live("dev", plan.release) == "1.0.0"
    assert (await world.sync_state("dev", plan.release)).status is SyncStatus.SYNCED
    assert (await world.payload("GitOpsSynced"))["driftResolved"] is True


async def test_where_nothing_drifted_nothing_happens(world: Delivery, plan: Plan) -> None:
    before = await world.sync_state("dev", plan.release)
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    after = await world.sync_state("dev", plan.release)
    assert (after.desired_revision, after.live_revision) == (before.desired_revision, before.live_revision)
    assert (await world.payload("GitOpsSynced"))["driftResolved"] is False


async def test_a_commit_elsewhere_does_not_move_the_desired_revision(world: Delivery, plan: Plan) -> None:
    before = await world.sync_state("dev", plan.release)
    await world.desired_states.write(ANN, "NOTES.md", b"hello", message="n", promotion="x", key="note")
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    assert (await world.sync_state("dev", plan.release)).desired_revision == before.desired_revision


async def test_git_wins_when_a_person_commits_to_it(world: Delivery, plan: Plan) -> None:
    first = await world.in_git("dev")
    repository = await world.repositories.find_named(ANN, PROJECT, "api")
    assert repository is not None
    newer = await world.a_build(repository, "fix: more")
    await world.a_plan(newer, "dev")
    await world.drain()
    assert await world.live("dev", plan.release) == "1.0.1"
    revision = await world.desired_states.write(
        ANN, PATH, first, message="go back", promotion="x", key="by-hand"
    )
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    assert await world.live("dev", plan.release) == "1.0.0"
    state = await world.sync_state("dev", plan.release)
    assert (state.desired_revision, state.live_revision) == (revision, revision)


async def test_a_commit_cannot_bring_what_no_promotion_has_brought(world: Delivery, plan: Plan) -> None:
    repository = await world.repositories.find_named(ANN, PROJECT, "api")
    assert repository is not None
    other = await world.a_plan(await world.a_build(repository), "prod")
    rendered = await world.deployments.render(ANN, other.release.id, "dev", None)
    await world.desired_states.write(
        ANN, PATH, rendered.content.encode(), message="sneak in", promotion="x", key="by-hand"
    )
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    state = await world.sync_state("dev", plan.release)
    assert state.status is SyncStatus.DEGRADED
    assert "No promotion" in (state.last_error or "")
    assert await world.live("dev", plan.release) == "1.0.0"


async def test_what_git_no_longer_wants_is_removed(world: Delivery, plan: Plan) -> None:
    await world.desired_states.write(ANN, PATH, None, message="stop", promotion="x", key="by-hand")
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    assert await world.live("dev", plan.release) is None
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.content_hash) == (SyncStatus.SYNCED, None)


@pytest.mark.parametrize("content", [b"not: a manifest\n", b"\xff"])
async def test_a_broken_manifest_is_told_and_what_runs_stays(
    world: Delivery, plan: Plan, content: bytes
) -> None:
    await world.desired_states.write(ANN, PATH, content, message="oops", promotion="x", key="by-hand")
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    state = await world.sync_state("dev", plan.release)
    assert state.status is SyncStatus.DEGRADED
    assert "restore it from its history" in (state.last_error or "")
    assert await world.live("dev", plan.release) == "1.0.0"


async def test_a_manifest_of_another_environment_is_not_applied(world: Delivery, plan: Plan) -> None:
    desired = YamlManifests().parse(await world.in_git("dev") or b"")
    moved = YamlManifests().render(desired).replace(b"environment: dev", b"environment: prod")
    await world.desired_states.write(ANN, PATH, moved, message="oops", promotion="x", key="by-hand")
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    assert (await world.sync_state("dev", plan.release)).status is SyncStatus.DEGRADED


async def test_reconciling_twice_under_one_key_asks_once(world: Delivery, plan: Plan) -> None:
    once = Inbox("test", "reconcile-1")
    await world.gitops.reconcile(ANN, "dev", MODULE, once)
    with pytest.raises(AlreadyDone):
        await world.gitops.reconcile(ANN, "dev", MODULE, once)
    assert (await world.events()).count("ReconcileRequested") == 2


async def test_a_whole_environment_is_reconciled_however_many_modules_it_has(
    world: Delivery, plan: Plan
) -> None:
    states = [await world.sync_state("dev", plan.release)]
    for number in range(35):
        other = replace(states[0], component=f"{number:032x}", module=f"module-{number}")
        states.append(replace(other, id=sync_state_id(other.environment, other.component)))

    async def turn(unit: Unit) -> None:
        for state in states[1:]:
            unit.put(state)

    root = SyncState.__record__.root_of(states[0].id)
    await world.units.run(ANN, root, turn)
    once = Inbox("test", "reconcile-all")
    asked = await world.gitops.reconcile(ANN, "dev", None, once)
    assert {state.id for state in asked} == {state.id for state in states}
    assert (await world.events()).count("ReconcileRequested") == 1 + len(states)
    with pytest.raises(AlreadyDone):
        await world.gitops.reconcile(ANN, "dev", None, once)
    assert (await world.events()).count("ReconcileRequested") == 1 + len(states)


async def test_there_has_to_be_something_to_reconcile(world: Delivery, plan: Plan) -> None:
    for environment, module in [("test", None), ("dev", "module-z")]:
        with pytest.raises(NothingToReconcile):
            await world.gitops.reconcile(ANN, environment, module, None)
    with pytest.raises(UnknownEnvironment):
        await world.gitops.reconcile(ANN, "moon", None, None)
    with pytest.raises(NothingToReconcile):
        await world.gitops.reconcile(STRANGER, "dev", None, None)


async def test_states_are_listed_by_environment(world: Delivery, plan: Plan) -> None:
    state = await world.sync_state("dev", plan.release)
    for where in ({}, {"environment_name": "dev"}):
        page = await world.gitops.states(ANN, Query("sync-state", where, "updated_at", True))
        assert page.items == (state,)
    assert (await world.gitops.states(STRANGER, Query("sync-state", {}, "updated_at"))).items == ()


async def test_a_message_about_nothing_we_know_is_refused(world: Delivery, plan: Plan) -> None:
    with pytest.raises(Permanent):
        await world.gitops.sync(ANN, {"environment": "dev"})
    with pytest.raises(NotFound):
        await world.gitops.sync(ANN, {"environment": "dev", "componentId": "0" * 32})


async def test_the_gitops_repository_is_one_that_people_can_see(world: Delivery, plan: Plan) -> None:
    found = await world.repositories.find_named(ANN, "gitops", "environments")
    assert found is not None
    assert found.full_name == "gitops/environments"


async def _a_canary(world: Delivery) -> Plan:
    repository = await world.repositories.find_named(ANN, PROJECT, "api")
    assert repository is not None
    draft = a_draft(await world.a_build(repository), "dev", Strategy.CANARY)
    wish = RolloutWish(canary=(CanaryStep(weight=20),))
    planned = await world.releases.plan(PLANNER, replace(draft, rollout=wish), None)
    await world.drain()
    return planned


@pytest.mark.parametrize("ends_well", [True, False], ids=["advanced", "aborted"])
async def test_a_reconciliation_keeps_out_of_a_canary_and_comes_after_it(
    world: Delivery, plan: Plan, *, ends_well: bool
) -> None:
    canary = await _a_canary(world)
    before = (await world.events()).count("GitOpsSynced")
    await world.gitops.reconcile(ANN, "dev", MODULE, None)
    await world.drain()
    waiting = await world.sync_state("dev", plan.release)
    assert (waiting.status, waiting.asked_again) == (SyncStatus.SYNCING, True)
    assert (await world.events()).count("GitOpsSynced") == before, "nothing is said in the middle"
    assert await world.live("dev", plan.release) == "1.0.0"
    if ends_well:
        await world.controls.advance(ANN, canary.promotion.id, "flat", None)
    else:
        await world.controls.abort(ANN, canary.promotion.id, "slow", None)
    await world.drain()
    asked = [row.body for row in await world.outbox() if row.body["eventType"] == "ReconcileRequested"]
    assert "deploymentId" not in asked[-1]["payload"], "it came back after the deployment"
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.asked_again) == (SyncStatus.SYNCED, False)
    assert await world.live("dev", plan.release) == ("1.0.1" if ends_well else "1.0.0")


async def test_a_canary_of_one_module_does_not_hold_up_another_one(world: Delivery, plan: Plan) -> None:
    repository = await world.repositories.find_named(ANN, PROJECT, "api")
    assert repository is not None
    other = await world.a_plan(await world.a_build(repository, module="other"), "dev")
    await world.drain()
    await _a_canary(world)
    await world.target.remove("acme", "dev", f"other-{other.release.component[:12]}")
    await world.gitops.reconcile(ANN, "dev", "other", None)
    await world.drain()
    assert (await world.sync_state("dev", other.release)).status is SyncStatus.SYNCED
    assert await world.live("dev", other.release) == other.release.version


@dataclass
class BusyTarget(SickTarget):
    """A target at which something else happens while somebody looks at it, once."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def observe(self, tenant: str, environment: str, component: str) -> LiveState:
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()
        return await super().observe(tenant, environment, component)


async def test_a_deployment_that_came_between_is_not_contradicted(tmp_path: Path) -> None:
    busy: list[BusyTarget] = []

    def wrap(target: Target) -> Target:
        busy.append(BusyTarget(target))
        return busy[0]

    world = a_delivery(tmp_path, wrap=wrap)
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository), "dev")
    await world.drain()
    newer = await world.a_build(repository)

    async def deploys() -> None:
        await world.a_plan(newer, "dev")
        await world.deliver("DeploymentRequested")
        await world.rollouts.on_due(ANN, await world.payload("ReconcileRequested"))

    await world.gitops.reconcile(ANN, "dev", MODULE, None)
    busy[0].meanwhile = deploys
    await world.drain()
    state = await world.sync_state("dev", first.release)
    assert (state.status, state.asked_again) == (SyncStatus.SYNCED, False)
    assert await world.live("dev", first.release) == "1.0.1"
    current = await world.current("dev", first.release)
    assert current is not None
    assert current.version == "1.0.1"
    assert state.content_hash == content_hash(await world.in_git("dev") or b"")
    await world.store.aclose()
