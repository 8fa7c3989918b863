"""Deployments to a real folder target: crashes, failures, fencing, and what git says meanwhile."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from shared.domain.deployments.model import Deployment, DeploymentStatus
from shared.domain.gitops.model import ManifestStatus, SyncStatus
from shared.domain.promotions.model import PromotionStatus, PromotionStep
from shared.domain.releases.model import Release
from shared.ports.source_host import Place
from shared.ports.store import Query, Store
from shared.ports.target import LiveState, Split, Target, Workload
from shared.services.once import AlreadyDone, Inbox
from tests.support.releases import (
    ANN,
    MODULE,
    PLANNER,
    PROJECT,
    Crash,
    Delivery,
    DyingStore,
    a_delivery,
    a_draft,
)

S = PromotionStatus
GITOPS = Place("acme", "gitops", "environments")


@dataclass
class SickTarget:
    """A target on which some versions turn unhealthy as soon as they are switched to."""

    inner: Target
    sick: set[str] = field(default_factory=set)

    async def observe(self, tenant: str, environment: str, component: str) -> LiveState:
        live = await self.inner.observe(tenant, environment, component)
        return replace(live, health="unhealthy", message="It coughs.") if live.version in self.sick else live

    async def apply(
        self, workload: Workload, artifact: Callable[[], Awaitable[Path]], split: Split | None = None
    ) -> LiveState:
        return await self.inner.apply(workload, artifact, split)

    async def remove(self, tenant: str, environment: str, component: str) -> None:
        await self.inner.remove(tenant, environment, component)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path, wrap=SickTarget)
    yield made
    await made.store.aclose()


async def the_deployment(world: Delivery, promotion: str) -> Deployment:
    return await world.deployments.get(ANN, (await world.promotion(promotion)).deployment or "")


async def commits(world: Delivery) -> list[str]:
    """Subjects of the GitOps repository's commits, oldest first."""
    log = await world.host.log(GITOPS, await world.host.head(GITOPS, "main"))
    return [commit.message.splitlines()[0] for commit in reversed(log)]


async def test_a_deployment_goes_through_git_to_the_target(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository(), content="hello\n"), "dev")
    assert (await world.promotion(plan.promotion.id)).step is PromotionStep.RENDERING_MANIFEST
    await world.deliver("DeploymentRequested")
    assert (await world.promotion(plan.promotion.id)).step is PromotionStep.PROMOTING
    head = await world.host.head(GITOPS, "main")
    written = await world.host.info(GITOPS, head)
    assert dict(written.trailers)["Slipway-Promotion"] == f"prom-{plan.promotion.id}"
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.desired_revision, state.live_revision) == (SyncStatus.OUT_OF_SYNC, head, None)
    await world.drain()
    deployment = await the_deployment(world, plan.promotion.id)
    assert (deployment.status, deployment.gitops_commit) == (DeploymentStatus.SUCCEEDED, head)
    assert (await world.promotion(plan.promotion.id)).status is S.DEPLOYED
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.live_revision) == (SyncStatus.SYNCED, head)
    assert await world.live("dev", plan.release) == "1.0.0"
    manifest = await world.deployments.manifest(ANN, deployment.manifest or "")
    assert (manifest.status, manifest.git_revision) == (ManifestStatus.COMMITTED, head)
    assert (await world.in_git("dev") or b"").decode() == manifest.content


async def test_a_deployment_that_the_target_refuses_leaves_what_ran_before(world: Delivery) -> None:
    repository = await world.a_repository()
    good = await world.a_plan(await world.a_build(repository), "dev")
    await world.drain()
    before = await world.in_git("dev")
    bad = await world.a_plan(await world.a_build(repository, stored=b"something else"), "dev")
    await world.drain()
    failed = await world.promotion(bad.promotion.id)
    assert failed.status is S.FAILED
    assert "digest mismatch" in (failed.cause or "")
    assert (await the_deployment(world, bad.promotion.id)).status is DeploymentStatus.FAILED
    assert await world.live("dev", good.release) == good.release.version
    assert await world.in_git("dev") == before
    assert (await commits(world))[-1] == f"restore: {MODULE} in dev after a failed deployment"
    state = await world.sync_state("dev", good.release)
    assert state.status is SyncStatus.SYNCED
    assert state.desired_revision == state.live_revision == await world.host.head(GITOPS, "main")
    assert "digest mismatch" in (state.last_error or "")
    assert (await world.payload("PromotionFailed"))["cause"] == failed.cause
    current = await world.current("dev", good.release)
    assert current is not None
    assert current.release == good.release.id
    assert (await world.promotion(good.promotion.id)).superseded_by is None
    assert (await world.lane("dev")).lock is None


async def test_a_first_deployment_that_fails_leaves_nothing(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository(), stored=b"junk"), "dev")
    await world.drain()
    assert (await world.promotion(plan.promotion.id)).status is S.FAILED
    assert await world.in_git("dev") is None
    assert await world.live("dev", plan.release) is None
    assert await world.current("dev", plan.release) is None
    assert not await world.environments.arrived(ANN, plan.release, "dev")


async def test_a_release_that_turns_sick_after_the_switch_is_switched_back(world: Delivery) -> None:
    assert isinstance(world.target, SickTarget)
    repository = await world.a_repository()
    good = await world.a_plan(await world.a_build(repository), "dev")
    await world.drain()
    world.target.sick.add("1.0.1")
    bad = await world.a_plan(await world.a_build(repository), "dev")
    await world.drain()
    assert "It coughs." in ((await world.promotion(bad.promotion.id)).cause or "")
    assert await world.live("dev", good.release) == "1.0.0"
    assert (await world.sync_state("dev", good.release)).status is SyncStatus.SYNCED


async def test_a_missing_artifact_fails_the_deployment_and_frees_the_lane(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    plan = await world.a_plan(build, "dev")
    await world.blobs.delete("acme", build.artifacts[0].ref)
    await world.drain()
    assert "not stored any more" in ((await world.promotion(plan.promotion.id)).cause or "")
    assert (await world.lane("dev")).lock is None


async def test_after_a_failure_the_next_in_the_queue_is_deployed(world: Delivery) -> None:
    repository = await world.a_repository()
    bad = await world.a_plan(await world.a_build(repository, stored=b"junk"), "dev")
    good = await world.a_plan(await world.a_build(repository), "dev")
    await world.drain()
    assert (await world.promotion(bad.promotion.id)).status is S.FAILED
    assert (await world.promotion(good.promotion.id)).status is S.DEPLOYED
    assert await world.live("dev", good.release) == good.release.version


async def test_a_failed_release_may_be_promoted_again(world: Delivery) -> None:
    repository = await world.a_repository()
    build = await world.a_build(repository, content="x", stored=b"junk")
    failed = await world.a_plan(build, "dev")
    await world.drain()
    await world.a_build(repository, content="x")  # the same content is stored whole this time
    again = await world.promotions.open_next(ANN, failed.release.id, "dev", None)
    await world.drain()
    assert again.id != failed.promotion.id
    assert (await world.promotion(again.id)).status is S.DEPLOYED


async def test_a_word_in_git_that_came_later_is_not_overwritten(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    await world.deliver("DeploymentRequested")
    await world.desired_states.write(
        ANN, f"dev/{PROJECT}/{MODULE}/release.yaml", None, message="stop", promotion="x", key="by-hand"
    )
    await world.drain()
    promotion = await world.promotion(plan.promotion.id)
    assert promotion.status is S.FAILED
    assert "changed in git" in (promotion.cause or "")
    assert await world.in_git("dev") is None
    assert await world.live("dev", plan.release) is None
    assert (await world.lane("dev")).lock is None


async def test_a_message_of_an_earlier_start_is_ignored(world: Delivery) -> None:
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository), "dev")
    await world.drain()
    late = [row.body for row in await world.outbox() if row.body["eventType"] == "DeploymentRequested"]
    second = await world.a_plan(await world.a_build(repository), "dev")
    await world.drain()
    count = len(await commits(world))
    for body in late:
        await world.deployments.run(ANN, body["payload"])
    assert len(await commits(world)) == count
    assert await world.live("dev", first.release) == second.release.version


async def test_a_request_that_comes_twice_is_handed_over_once(world: Delivery) -> None:
    await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    request = await world.payload("DeploymentRequested")
    for _ in range(3):
        await world.deployments.run(ANN, request)
    assert (await world.events()).count("ReconcileRequested") == 1
    assert len(await commits(world)) == 2  # the repository's first one, and ours


async def test_a_reminder_asks_again_until_the_deployment_is_over(world: Delivery) -> None:
    await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    request = await world.payload("DeploymentRequested")
    await world.deployments.run(ANN, request)
    await world.deployments.run(ANN, request, again=True)
    assert (await world.events()).count("ReconcileRequested") == 2
    await world.drain()
    await world.deployments.run(ANN, request, again=True)
    assert (await world.events()).count("ReconcileRequested") == 2
    assert len(await commits(world)) == 2


async def test_deployments_are_listed_by_environment_and_by_release(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    mine = await the_deployment(world, plan.promotion.id)
    for where in ({"environment_name": "dev"}, {"release": plan.release.id}):
        page = await world.deployments.list(ANN, Query("deployment", where, "created_at"))
        assert page.items == (mine,)


async def test_a_manifest_is_rendered_as_it_will_be_committed(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    one = await world.deployments.render(ANN, plan.release.id, "staging", None)
    assert one.status is ManifestStatus.RENDERED
    assert await world.deployments.render(ANN, plan.release.id, "staging", None) == one
    assert f"promotion: {plan.promotion.id}" in one.content
    elsewhere = await world.deployments.render(ANN, plan.release.id, "production", None)
    assert "promotion:" not in elsewhere.content
    assert elsewhere.git_path == f"prod/{PROJECT}/{MODULE}/release.yaml"
    assert not await world.host.exists(GITOPS)


async def outcome(world: Delivery, release: Release) -> tuple[object, ...]:
    """Everything that must be the same however often the process died."""
    lane = await world.lane("dev")
    state = await world.sync_state("dev", release)
    current = await world.current("dev", release)
    return (
        (lane.lock, lane.queue, lane.token),
        (state.status, state.desired_revision == state.live_revision),
        await world.live("dev", release),
        current.version if current else None,
        await commits(world),
        sorted(set(await world.events())),
    )


async def story(world: Delivery, store: DyingStore) -> Release:
    """A good release and then a bad one into dev; whatever the process died in is done again."""
    repository = await world.a_repository()
    builds = [await world.a_build(repository), await world.a_build(repository, stored=b"junk")]
    store.armed = True
    for number, build in enumerate(builds):
        once = Inbox("test", f"plan-{number}")
        await until_done(partial(world.releases.plan, PLANNER, a_draft(build), once))
        await until_done(world.drain)
    releases = await world.releases.list(ANN, Query("release", {}, "created_at"))
    return releases.items[0]


async def until_done(work: Callable[[], Awaitable[object]]) -> None:
    """As a caller with an idempotency key does, and as the bus does."""
    while True:
        with contextlib.suppress(Crash):
            with contextlib.suppress(AlreadyDone):
                await work()
            return


@pytest.mark.parametrize("written", [False, True], ids=["before it", "after it"])
async def test_dying_at_any_commit_changes_no_outcome(tmp_path: Path, written: bool) -> None:
    async def told(at: int) -> tuple[int, tuple[object, ...]]:
        stores: list[DyingStore] = []

        def wrap(inner: Store) -> Store:
            stores.append(DyingStore(inner, at, written))
            return stores[-1]

        folder = tmp_path / str(at)
        folder.mkdir()
        world = a_delivery(folder, wrap_store=wrap)
        try:
            release = await story(world, stores[0])
            return stores[0].commits, await outcome(world, release)
        finally:
            await world.store.aclose()

    total, expected = await told(0)
    assert total > 15
    for at in range(1, total + 1):
        _, seen = await told(at)
        assert seen == expected, at
