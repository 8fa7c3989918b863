"""When an environment lets nobody in: freezes, soak time, strategies; and a preview says what is done."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.environments.calendar import Day, Weekly
from shared.domain.environments.errors import BadFreezeWindow
from shared.domain.environments.policy import PolicyDraft
from shared.domain.kernel.errors import NotFound, StaleRevision
from shared.domain.promotions.errors import NotFrozen, OverrideNeedsPerson
from shared.domain.promotions.model import Outcome, PromotionStatus, Result
from shared.domain.releases.errors import NothingToRetry
from shared.domain.releases.strategies import RolloutSettings, Strategy
from tests.support.releases import ANN, BOB, MANAGER, PLANNER, Delivery, a_delivery, a_draft

S = PromotionStatus


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path)
    yield made
    await made.store.aclose()


def a_policy(soak: int = 0, *allowed: Strategy) -> PolicyDraft:
    return PolicyDraft(
        allowed_strategies=allowed or tuple(Strategy), soak_seconds=soak, rollout=RolloutSettings()
    )


async def test_a_freeze_delays_a_release_and_ends_by_itself(world: Delivery) -> None:
    await world.rules.add(ANN, "dev", world.a_freeze(hours=2), None)
    plan = await world.a_plan(await world.a_build(await world.a_repository()))
    await world.drain()
    delayed = await world.promotion(plan.promotion.id)
    assert (delayed.status, delayed.is_delayed) == (S.PENDING, True)
    assert "ReleaseDelayed" in await world.events()
    due = [row.body for row in await world.outbox() if row.body["eventType"] == "PromotionDue"]
    assert delayed.wakes_at is not None
    assert due[-1]["notBefore"] == delayed.wakes_at.isoformat()
    world.clock.advance(hours=2)
    await world.promotions.on_due(ANN, due[-1]["payload"])
    await world.drain()
    assert (await world.promotion(plan.promotion.id)).status is S.DEPLOYED


async def test_a_message_that_came_early_sends_another(world: Delivery) -> None:
    await world.rules.add(ANN, "dev", world.a_freeze(hours=2), None)
    await world.a_plan(await world.a_build(await world.a_repository()))
    await world.deliver("ReleasePlanned")
    before = (await world.events()).count("PromotionDue")
    await world.promotions.on_due(ANN, await world.payload("PromotionDue"))
    assert (await world.events()).count("PromotionDue") == before + 1


async def test_a_freeze_that_begins_between_request_and_start_delays_it(world: Delivery) -> None:
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository))
    second = await world.a_plan(await world.a_build(repository))
    assert (await world.promotion(first.promotion.id)).status is S.DEPLOYING
    assert (await world.promotion(second.promotion.id)).status is S.APPROVED
    await world.rules.add(ANN, "dev", world.a_freeze(hours=2), None)
    await world.drain()
    assert (await world.promotion(first.promotion.id)).status is S.DEPLOYED
    held = await world.promotion(second.promotion.id)
    assert (held.status, held.is_delayed) == (S.APPROVED, True)


async def test_deleting_a_freeze_lets_in_whoever_waited(world: Delivery) -> None:
    window = await world.rules.add(ANN, "dev", world.a_freeze(hours=2), None)
    plan = await world.a_plan(await world.a_build(await world.a_repository()))
    await world.deliver("ReleasePlanned")
    await world.rules.remove(ANN, "dev", window.id, None)
    await world.deliver("EnvironmentRulesChanged")
    assert (await world.promotion(plan.promotion.id)).status is S.DEPLOYING
    with pytest.raises(NotFound):
        await world.rules.remove(ANN, "dev", window.id, None)


async def test_an_emergency_is_let_in_by_a_person_with_a_reason(world: Delivery) -> None:
    await world.rules.add(ANN, "dev", world.a_freeze(hours=2), None)
    plan = await world.a_plan(await world.a_build(await world.a_repository()))
    await world.deliver("ReleasePlanned")
    with pytest.raises(OverrideNeedsPerson):
        await world.promotions.override_freeze(MANAGER, plan.promotion.id, "outage", None)
    let_in = await world.promotions.override_freeze(ANN, plan.promotion.id, "outage", None)
    assert (let_in.status, let_in.is_delayed) == (S.DEPLOYING, False)
    assert (await world.payload("FreezeOverrideGranted"))["reason"] == "outage"
    with pytest.raises(NotFrozen):
        await world.promotions.override_freeze(ANN, plan.promotion.id, "outage", None)


async def test_a_release_soaks_in_the_environment_before(world: Delivery) -> None:
    await world.rules.set_policy(ANN, "test", a_policy(3600), None, None)
    plan = await world.a_plan(await world.a_build(await world.a_repository()))
    await world.drain()
    hop = await world.promotions.open_next(ANN, plan.release.id, None, None)
    soaking = await world.promotion(hop.id)
    assert soaking.status is S.PENDING
    assert [row.code for row in soaking.verdicts if row.outcome is Outcome.WAITING] == ["soaking"]
    world.clock.advance(hours=1)
    await world.promotions.on_due(ANN, await world.payload("PromotionDue"))
    await world.drain()
    assert (await world.promotion(hop.id)).status is S.DEPLOYED


async def test_what_was_rolled_back_before_does_not_go_on(world: Delivery) -> None:
    repository = await world.a_repository()
    await world.a_plan(await world.a_build(repository))
    await world.drain()
    second = await world.a_plan(await world.a_build(repository))
    await world.drain()
    await world.controls.roll_back(ANN, second.release.id, "dev", "bad", None)
    await world.drain()
    found = await world.promotions.eligibility(ANN, second.release.id, "test")
    assert "rolled_back_before" in [row.code for row in found.evaluation.verdicts]


async def test_only_what_failed_is_tried_again(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository(), stored=b"junk"))
    await world.drain()
    assert (await world.promotion(plan.promotion.id)).status is S.FAILED
    again = await world.promotions.retry(ANN, plan.release.id, "dev", "now", None)
    assert again.id != plan.promotion.id
    with pytest.raises(NothingToRetry):
        await world.promotions.retry(ANN, plan.release.id, "dev", "now", None)


async def test_a_window_that_cannot_be_is_refused(world: Delivery) -> None:
    good = world.a_freeze(hours=1)
    weekly = Weekly(days=(Day.FRIDAY,), start="18:00", minutes=60)
    for bad in (
        replace(good, ends_at=good.starts_at),
        replace(good, ends_at=None),
        replace(good, weekly=weekly),
        replace(good, starts_at=None, ends_at=None),
        replace(good, time_zone="Mars/Olympus"),
    ):
        with pytest.raises(BadFreezeWindow):
            await world.rules.add(ANN, "dev", bad, None)
    with pytest.raises(NotFound):
        await world.rules.rules(ANN, "moon")
    await world.rules.set_policy(ANN, "dev", a_policy(), None, None)
    with pytest.raises(StaleRevision):
        await world.rules.set_policy(ANN, "dev", a_policy(), 7, None)


async def test_two_racing_into_one_environment_never_overlap(world: Delivery) -> None:
    """Six releases, decided and deployed by workers that run at the same time: one lock, strictly in turn."""
    repository = await world.a_repository()
    builds = [await world.a_build(repository, module=f"module-{number}") for number in range(6)]
    drafts = [replace(a_draft(build), module=build.module) for build in builds]
    await asyncio.gather(*(world.releases.plan(PLANNER, draft, None) for draft in drafts))

    async def worker() -> None:
        for _ in range(60):
            await world.deliver()
            await asyncio.sleep(0)

    await asyncio.gather(worker(), worker(), worker())
    await world.drain()
    query = [row.body for row in await world.store.changes(0, 100_000) if row.kind == "deployment"]
    last = {body["id"]: body for body in query}
    spans = sorted((body["started_at"], body["completed_at"], body["token"]) for body in last.values())
    assert {body["status"] for body in last.values()} == {"succeeded"}
    assert len(spans) == 6
    assert [token for _, _, token in spans] == [1, 2, 3, 4, 5, 6]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    is_frozen=st.booleans(),
    soak=st.sampled_from([0, 3600]),
    allowed=st.sampled_from([tuple(Strategy), (Strategy.CANARY,)]),
    arrived=st.booleans(),
    votes=st.integers(0, 2),
    overridden=st.booleans(),
)
def test_the_preview_the_request_and_the_start_agree(
    tmp_path_factory: pytest.TempPathFactory,
    is_frozen: bool,
    soak: int,
    allowed: tuple[Strategy, ...],
    arrived: bool,
    votes: int,
    overridden: bool,
) -> None:
    """Whatever holds: what the preview says of a promotion is what its own evaluation says, and it starts
    exactly when both say yes."""

    async def tried() -> None:
        approvals = {"dev": 0, "test": 2}
        world = a_delivery(tmp_path_factory.mktemp("agree"), approvals=approvals)
        try:
            plan = await world.a_plan(await world.a_build(await world.a_repository()), "test")
            await world.deliver("ReleasePlanned")
            for voter in (ANN, BOB)[:votes]:
                await world.approve(plan.release.id, voter, environment="test")
            await world.rules.set_policy(ANN, "test", a_policy(soak, *allowed), None, None)
            if is_frozen:
                await world.rules.add(ANN, "test", world.a_freeze(hours=9), None)
            if arrived:
                await world.promotions.open_next(ANN, plan.release.id, "dev", None)
            await world.drain()
            promotion = await world.promotion(plan.promotion.id)
            if overridden and promotion.is_open and promotion.status is not S.DEPLOYING:
                await world.promotions.override_freeze(ANN, promotion.id, "now", None)
            found = await world.promotions.eligibility(ANN, plan.release.id, "test")
            promotion = await world.promotions.reevaluate(ANN, plan.promotion.id)
            if promotion.status in (S.PENDING, S.AWAITING_APPROVAL):
                assert found.evaluation.verdicts == promotion.verdicts
                assert found.evaluation.result is Result.PENDING
            elif promotion.status is S.REJECTED:
                assert found.evaluation.result is Result.DENY
            lets_in = (not is_frozen or overridden) and not soak and len(allowed) > 1 and arrived
            assert (promotion.status in (S.DEPLOYING, S.DEPLOYED)) == (lets_in and votes == 2)
        finally:
            await world.store.aclose()

    asyncio.run(tried())
