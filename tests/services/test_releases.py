"""Planning, deciding and cancelling, on the embedded store and real git."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.approvals.errors import AlreadyVoted, ApproverMismatch, HumanRequired, SelfApproval
from shared.domain.approvals.model import Decision
from shared.domain.environments.errors import UnknownEnvironment
from shared.domain.environments.policy import PolicyDraft
from shared.domain.kernel.errors import NotFound
from shared.domain.pipelines.model import BuildStatus
from shared.domain.promotions.errors import EnvironmentRequired, NoOpenPromotion, NotCancellable
from shared.domain.promotions.model import PromotionStatus
from shared.domain.releases.errors import (
    AlreadyDeployed,
    AlreadyPlanned,
    BuildNotReleasable,
    StrategyUnavailable,
)
from shared.domain.releases.model import Release, ReleaseStatus, Strategy
from shared.domain.releases.strategies import RolloutSettings
from shared.ports.store import Query
from shared.services.once import AlreadyDone, Inbox
from tests.support.releases import (
    ANN,
    BOB,
    MANAGER,
    MODULE,
    PAULA,
    PLANNER,
    PROJECT,
    STRANGER,
    Delivery,
    a_delivery,
    a_draft,
)

S = PromotionStatus
NEWEST = Query("release", {}, "created_at", True)


def of(**where: str) -> Query:
    return replace(NEWEST, where=where)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path)
    yield made
    await made.store.aclose()


async def up_to(world: Delivery, release: str, *environments: str) -> None:
    for environment in environments:
        await world.promotions.open_next(BOB, release, environment, None)
        await world.drain()


async def test_a_plan_makes_a_numbered_release_and_a_pending_promotion(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    assert (plan.release.number, plan.release.version) == (1, "1.0.0")
    assert plan.release.status is ReleaseStatus.READY
    assert (plan.promotion.status, plan.required_approvals) == (S.PENDING, 1)
    stored = await world.promotion(plan.promotion.id)
    assert (stored.revision, stored.status) == (plan.promotion.revision, S.PENDING)
    assert "ReleasePlanned" in await world.events()
    assert (await world.payload("ReleasePlanned"))["promotionId"] == f"prom-{plan.promotion.id}"


async def test_versions_follow_the_commits_since_the_last_release(world: Delivery) -> None:
    repository = await world.a_repository()
    versions = []
    for message in ["feat!: start", "fix: a", "feat: b", "docs: c", "feat(api)!: d"]:
        plan = await world.a_plan(await world.a_build(repository, message), "staging")
        versions.append((plan.release.number, plan.release.version))
    assert versions == [(1, "1.0.0"), (2, "1.0.1"), (3, "1.1.0"), (4, "1.1.1"), (5, "2.0.0")]


async def test_every_commit_since_the_last_release_counts(world: Delivery) -> None:
    repository = await world.a_repository()
    await world.a_plan(await world.a_build(repository))
    await world.a_commit(repository, "feat: between two builds")
    plan = await world.a_plan(await world.a_build(repository, "fix: on top"))
    assert plan.release.version == "1.1.0"


async def test_two_modules_have_their_own_numbers(world: Delivery) -> None:
    repository = await world.a_repository()
    one = await world.a_plan(await world.a_build(repository))
    other = await world.a_plan(await world.a_build(repository, module="module-z"))
    assert (one.release.number, other.release.number) == (1, 1)


async def test_planning_a_build_into_another_environment_keeps_its_release(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    one, other = await world.a_plan(build, "dev"), await world.a_plan(build, "staging")
    assert one.release.id == other.release.id
    assert (other.release.number, other.release.revision) == (1, one.release.revision)
    assert one.promotion.id != other.promotion.id


async def test_numbers_have_no_gaps_when_plans_race(world: Delivery) -> None:
    repository = await world.a_repository()
    builds = [await world.a_build(repository) for _ in range(3)]
    plans = await asyncio.gather(*(world.a_plan(build, "staging") for build in builds))
    assert sorted(plan.release.number for plan in plans) == [1, 2, 3]


async def test_a_release_on_its_way_is_not_planned_there_again(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    await world.a_plan(build, "staging")
    with pytest.raises(AlreadyPlanned):
        await world.a_plan(build, "staging")


async def test_a_release_that_runs_there_is_not_planned_there_again(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    await world.a_plan(build, "dev")
    await world.drain()
    with pytest.raises(AlreadyDeployed):
        await world.a_plan(build, "dev")


async def test_a_rejected_release_may_be_planned_again(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    first = await world.a_plan(build, "staging")
    await world.approve(first.release.id, decision=Decision.REJECTED)
    second = await world.a_plan(build, "staging")
    assert second.release.id == first.release.id
    assert second.promotion.id != first.promotion.id


async def test_what_cannot_be_released_is_refused(world: Delivery) -> None:
    repository = await world.a_repository()
    with pytest.raises(BuildNotReleasable):
        await world.a_plan(await world.a_build(repository, status=BuildStatus.FAILED))
    with pytest.raises(BuildNotReleasable):
        await world.a_plan(await world.a_build(repository, artifacts=False))
    build = await world.a_build(repository)
    with pytest.raises(UnknownEnvironment):
        await world.a_plan(build, "moon")
    only = PolicyDraft(allowed_strategies=(Strategy.RECREATE,), soak_seconds=0, rollout=RolloutSettings())
    await world.rules.set_policy(ANN, "dev", only, None, None)
    with pytest.raises(StrategyUnavailable):
        await world.releases.plan(PLANNER, a_draft(build, "dev", Strategy.CANARY), None)
    assert (await world.releases.list(ANN, of(project=PROJECT, module=MODULE))).items == ()


async def test_production_is_found_under_both_names(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "production")
    assert plan.promotion.environment_name == "prod"
    assert plan.required_approvals == 2


async def test_neither_the_planner_nor_whom_it_acts_for_may_approve(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    for actor in (PLANNER, PAULA):
        with pytest.raises(SelfApproval):
            await world.approve(plan.release.id, actor)
    assert (await world.promotion(plan.promotion.id)).approvals == ()


async def test_a_body_cannot_vote_in_another_name(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    with pytest.raises(ApproverMismatch):
        await world.releases.decide(
            PLANNER, plan.release.id, None, Decision.APPROVED, "", approver="user:ann", once=None
        )


async def test_an_early_vote_counts_when_the_release_arrives(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    vote = await world.approve(plan.release.id, MANAGER)
    assert (vote.promotion.status, vote.promotion.has_quorum) == (S.PENDING, True)
    await up_to(world, plan.release.id, "dev", "test")
    assert (await world.promotion(plan.promotion.id)).status is S.DEPLOYED
    assert await world.live("staging", plan.release) == "1.0.0"


async def test_production_takes_two_people(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "prod")
    with pytest.raises(HumanRequired):
        await world.approve(plan.release.id, MANAGER)
    assert not (await world.approve(plan.release.id, ANN)).promotion.has_quorum
    with pytest.raises(AlreadyVoted):
        await world.approve(plan.release.id, ANN)
    assert (await world.approve(plan.release.id, BOB)).promotion.has_quorum


async def test_one_no_ends_it(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "prod")
    await world.approve(plan.release.id, ANN)
    vote = await world.approve(plan.release.id, BOB, Decision.REJECTED)
    assert vote.promotion.status is S.REJECTED
    assert "user:bob" in (vote.promotion.cause or "")
    with pytest.raises(NoOpenPromotion):
        await world.approve(plan.release.id, MANAGER)
    assert [row.approver for row in await world.releases.approvals(ANN, plan.release.id)] == [
        "user:ann",
        "user:bob",
    ]


async def test_a_delay_is_recorded_and_decides_nothing(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    delayed = await world.approve(plan.release.id, ANN, Decision.DELAYED)
    assert (delayed.promotion.status, delayed.promotion.approvals_granted) == (S.PENDING, 0)
    approved = await world.approve(plan.release.id, ANN)
    assert approved.promotion.has_quorum
    assert len(await world.releases.approvals(ANN, plan.release.id)) == 1


async def test_with_two_open_the_environment_has_to_be_named(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    plan = await world.a_plan(build, "staging")
    await world.a_plan(build, "prod")
    with pytest.raises(EnvironmentRequired) as caught:
        await world.approve(plan.release.id)
    assert "staging, prod" in caught.value.problems[0].message
    vote = await world.approve(plan.release.id, environment="production")
    assert vote.promotion.environment_name == "prod"


async def test_a_hop_that_nobody_has_to_approve_does_not_make_a_vote_ambiguous(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    plan = await world.a_plan(build, "staging")
    await world.a_plan(build, "test")
    assert (await world.approve(plan.release.id)).promotion.environment_name == "staging"


async def test_a_retried_vote_is_never_cast_elsewhere(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    plan = await world.a_plan(build, "staging")
    once = Inbox("test", "approve-1")
    await world.releases.decide(ANN, plan.release.id, None, Decision.APPROVED, "", approver=None, once=once)
    await up_to(world, plan.release.id, "dev", "test")
    prod = await world.promotions.open_next(BOB, plan.release.id, "prod", None)
    with pytest.raises(AlreadyDone):
        await world.releases.decide(
            ANN, plan.release.id, None, Decision.APPROVED, "", approver=None, once=once
        )
    assert (await world.promotion(prod.id)).approvals == ()


async def test_a_retried_plan_is_answered_once(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    once = Inbox("test", "plan-1")
    await world.releases.plan(PLANNER, a_draft(build, "staging"), once)
    with pytest.raises(AlreadyDone):
        await world.releases.plan(PLANNER, a_draft(build, "staging"), once)
    assert (await world.events()).count("ReleasePlanned") == 1


async def test_a_planned_release_can_be_cancelled_and_no_more_once_it_ended(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    cancelled = await world.releases.cancel(BOB, plan.release.id, None, "wrong build", None)
    assert (cancelled.status, cancelled.cause) == (S.CANCELLED, "Cancelled by user:bob: wrong build")
    with pytest.raises(NoOpenPromotion):
        await world.releases.cancel(BOB, plan.release.id, None, "", None)
    with pytest.raises(NotCancellable):
        await world.releases.cancel(BOB, plan.release.id, "staging", "", None)
    assert "ReleaseCancelled" in await world.events()


async def test_a_release_shows_its_latest_open_promotion(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    await up_to(world, plan.release.id, "dev")
    state = await world.releases.get(ANN, plan.release.id)
    assert state.promotion is not None
    assert state.promotion.environment_name == "staging"


async def test_releases_are_listed_by_project_and_by_module(world: Delivery) -> None:
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository))
    await world.a_plan(await world.a_build(repository, module="module-z"))
    assert len((await world.releases.list(ANN, NEWEST)).items) == 2
    assert len((await world.releases.list(ANN, of(project=PROJECT))).items) == 2
    assert (await world.releases.list(ANN, of(project=PROJECT, module=MODULE))).items == (first.release,)


async def test_a_foreign_tenant_sees_nothing_at_all(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    plan = await world.a_plan(build, "staging")
    with pytest.raises(NotFound):
        await world.releases.plan(STRANGER, a_draft(build), None)
    with pytest.raises(NotFound):
        await world.releases.get(STRANGER, plan.release.id)
    with pytest.raises(NotFound):
        await world.approve(plan.release.id, STRANGER)
    with pytest.raises(NotFound):
        await world.promotions.get(STRANGER, plan.promotion.id)
    with pytest.raises(NotFound):
        await world.promotions.open_next(STRANGER, plan.release.id, None, None)
    with pytest.raises(NotFound):
        await world.releases.cancel(STRANGER, plan.release.id, "staging", "", None)
    assert (await world.releases.list(STRANGER, NEWEST)).items == ()


async def test_a_release_is_never_changed_by_what_becomes_of_it(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    await world.drain()
    assert await world.units.get(ANN, Release, plan.release.id) == plan.release
