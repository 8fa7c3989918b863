"""Hops from environment to environment: order, queue, and what late or repeated messages change."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from shared.domain.approvals.model import Approval, ApprovalStatus
from shared.domain.environments.lifecycle import Ladder
from shared.domain.environments.model import Environment
from shared.domain.promotions.errors import EnvironmentSkipped, LastEnvironment, NotCancellable
from shared.domain.promotions.model import DecisionRecord, PromotionStatus, Result, decision_id
from shared.ports.store import Query
from shared.services.environments import Environments
from shared.services.once import AlreadyDone, Inbox
from shared.services.unit import Unit
from tests.support.releases import ANN, BOB, MANAGER, PAULA, Delivery, a_delivery

S = PromotionStatus


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path)
    yield made
    await made.store.aclose()


async def a_release(world: Delivery, environment: str = "staging") -> str:
    build = await world.a_build(await world.a_repository())
    return (await world.a_plan(build, environment)).release.id


async def test_a_release_goes_from_dev_to_production_hop_by_hop(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    release = plan.release.id
    await world.drain()
    for name in ("dev", "test"):
        hop = await world.promotions.open_next(BOB, release, None, None)
        assert (hop.environment_name, hop.status) == (name, S.PENDING)
        await world.drain()
        assert (await world.promotion(hop.id)).status is S.DEPLOYED
        assert await world.live(name, plan.release) == "1.0.0"
    assert (await world.promotion(plan.promotion.id)).status is S.AWAITING_APPROVAL
    assert (await world.approve(release, MANAGER)).promotion.status is S.DEPLOYING
    await world.drain()
    prod = await world.promotions.open_next(PAULA, release, None, None)
    await world.approve(release, ANN)
    assert (await world.promotion(prod.id)).status is S.AWAITING_APPROVAL
    await world.approve(release, BOB)
    await world.drain()
    assert await world.live("prod", plan.release) == "1.0.0"
    with pytest.raises(LastEnvironment):
        await world.promotions.open_next(BOB, release, None, None)


async def test_an_environment_cannot_be_skipped(world: Delivery) -> None:
    release = await a_release(world)
    for name, before in [("test", "dev"), ("prod", "staging"), ("production", "staging")]:
        with pytest.raises(EnvironmentSkipped) as caught:
            await world.promotions.open_next(BOB, release, name, None)
        assert caught.value.facts["requiredEnvironment"] == before


async def test_an_open_promotion_is_the_answer(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    again = await world.promotions.open_next(BOB, plan.release.id, "staging", None)
    assert again.id == plan.promotion.id
    assert (await world.events()).count("PromotionRequested") == 1


async def test_what_brought_the_current_release_is_the_answer(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    await world.drain()
    again = await world.promotions.open_next(BOB, plan.release.id, "dev", None)
    assert (again.id, again.status) == (plan.promotion.id, S.DEPLOYED)


async def test_a_release_that_was_replaced_can_be_promoted_again(world: Delivery) -> None:
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository))
    await world.drain()
    second = await world.a_plan(await world.a_build(repository))
    await world.drain()
    replaced = await world.promotion(first.promotion.id)
    assert (replaced.status, replaced.superseded_by) == (S.DEPLOYED, second.promotion.id)
    back = await world.promotions.open_next(BOB, first.release.id, "dev", None)
    await world.drain()
    assert back.id != first.promotion.id
    assert await world.live("dev", first.release) == "1.0.0"
    current = await world.current("dev", first.release)
    assert current is not None
    assert (current.release, current.previous_release) == (first.release.id, second.release.id)


async def test_a_retried_request_opens_no_further_hop(world: Delivery) -> None:
    release = await a_release(world)
    once = Inbox("test", "promote-1")
    await world.promotions.open_next(BOB, release, None, once)
    await world.drain()
    with pytest.raises(AlreadyDone):
        await world.promotions.open_next(BOB, release, None, once)
    assert (await world.events()).count("PromotionReady") == 1


async def test_two_releases_race_for_one_environment_and_go_in_the_order_they_came(world: Delivery) -> None:
    repository = await world.a_repository()
    builds = [await world.a_build(repository) for _ in range(2)]
    plans = [await world.a_plan(build, "dev") for build in builds]
    lane = await world.lane("dev")
    assert (lane.lock, lane.queue, lane.token) == (plans[0].promotion.id, (plans[1].promotion.id,), 1)
    assert (await world.promotion(plans[1].promotion.id)).status is S.APPROVED
    while await world.deliver():
        deploying = [
            plan for plan in plans if (await world.promotion(plan.promotion.id)).status is S.DEPLOYING
        ]
        assert len(deploying) <= 1
    lane = await world.lane("dev")
    assert (lane.lock, lane.queue, lane.token) == (None, (), 2)
    assert await world.live("dev", plans[0].release) == plans[1].release.version
    assert (await world.promotion(plans[0].promotion.id)).superseded_by == plans[1].promotion.id


async def test_many_at_once_never_overlap(world: Delivery) -> None:
    repository = await world.a_repository()
    builds = [await world.a_build(repository, module=f"module-{name}") for name in "abc"]
    plans = await asyncio.gather(*(world.a_plan(build, "dev") for build in builds))
    await world.drain()
    deployments = [
        await world.deployments.get(ANN, (await world.promotion(plan.promotion.id)).deployment or "")
        for plan in plans
    ]
    deployments.sort(key=lambda deployment: deployment.token)
    assert [deployment.token for deployment in deployments] == [1, 2, 3]
    for before, after in pairwise(deployments):
        assert before.completed_at is not None
        assert after.started_at is not None
        assert before.completed_at <= after.started_at


async def test_a_queued_promotion_can_be_cancelled_and_a_started_one_cannot(world: Delivery) -> None:
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository))
    second = await world.a_plan(await world.a_build(repository))
    await world.releases.cancel(BOB, second.release.id, "dev", "", None)
    with pytest.raises(NotCancellable, match="aborted instead"):
        await world.releases.cancel(BOB, first.release.id, "dev", "", None)
    await world.drain()
    assert (await world.promotion(second.promotion.id)).status is S.CANCELLED
    assert await world.live("dev", first.release) == first.release.version


async def test_messages_that_come_twice_late_and_backwards_change_nothing(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "staging")
    for _ in range(2):
        await world.promotions.open_next(BOB, plan.release.id, None, None)
        await world.drain()
    await world.approve(plan.release.id, MANAGER)
    await world.drain()
    before = {row.id: row.etag for row in await world.store.changes(0, 10_000)}
    await world.redeliver_everything()
    await world.redeliver_everything(backwards=True)
    assert {row.id: row.etag for row in await world.store.changes(0, 10_000)} == before


async def test_every_evaluation_that_changed_something_is_on_record(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    await world.drain()
    promotion = await world.promotion(plan.promotion.id)
    assert promotion.decisions == 1
    record = await world.units.get(ANN, DecisionRecord, decision_id(promotion.id, 1))
    assert (record.result, record.verdicts) == (Result.ALLOW, promotion.verdicts)
    assert record.inputs_hash.startswith("sha256:")


async def test_promotions_are_listed_by_release_and_by_environment(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    plan = await world.a_plan(build, "staging")
    dev = await world.promotions.open_next(BOB, plan.release.id, "dev", None)

    async def listed(**where: str) -> set[str]:
        page = await world.promotions.list(ANN, Query("promotion", where, "created_at", True))
        return {promotion.id for promotion in page.items}

    assert await listed() == await listed(release=plan.release.id) == {plan.promotion.id, dev.id}
    assert await listed(environment_name="dev") == {dev.id}


async def test_environments_are_known_before_their_first_use(world: Delivery) -> None:
    states = await world.environments.list(ANN)
    assert [state.environment.name for state in states] == ["dev", "test", "staging", "prod"]
    assert all(state.current == () for state in states)
    plan = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    await world.drain()
    (current,) = (await world.environments.list(ANN))[0].current
    assert (current.release, current.version) == (plan.release.id, "1.0.0")


async def test_a_change_of_policy_holds_for_what_is_asked_from_then_on(world: Delivery) -> None:
    build = await world.a_build(await world.a_repository())
    before = await world.a_plan(build, "staging")
    stricter = Environments(world.units, Ladder.of({"dev": 0, "test": 1, "staging": 3, "prod": 4}))
    known = stricter.declared(ANN, "staging")
    assert known.required_approvals == 3

    async def turn(unit: Unit) -> Environment:
        return await stricter.ensure(unit, "staging")

    stored = await world.units.run(ANN, Environment.__record__.root_of(known.id), turn)
    assert stored.required_approvals == stricter.declared(ANN, "staging").required_approvals == 3
    assert (await world.promotion(before.promotion.id)).required_approvals == 1


async def test_a_head_of_the_queue_that_has_to_wait_holds_up_the_rest(tmp_path: Path) -> None:
    world = a_delivery(tmp_path, approvals={"dev": 1})
    repository = await world.a_repository()
    plans = [await world.a_plan(await world.a_build(repository), "dev") for _ in range(3)]
    votes = [await world.approve(plan.release.id) for plan in plans]
    assert (await world.lane("dev")).queue == tuple(plan.promotion.id for plan in plans[1:])

    async def change(status: ApprovalStatus) -> None:
        async def turn(unit: Unit) -> None:
            unit.put(replace(await unit.get(Approval, votes[1].approval.id), status=status))

        await world.units.run(ANN, Approval.__record__.root_of(votes[1].approval.id), turn)

    await change(ApprovalStatus.REVOKED)
    await world.drain()
    statuses = [(await world.promotion(plan.promotion.id)).status for plan in plans]
    assert statuses == [S.DEPLOYED, S.APPROVED, S.APPROVED]
    assert not (await world.promotion(plans[1].promotion.id)).is_cleared
    await change(ApprovalStatus.ACTIVE)
    assert (await world.promotions.reevaluate(ANN, plans[1].promotion.id)).status is S.DEPLOYING
    await world.drain()
    assert await world.live("dev", plans[0].release) == plans[2].release.version
    await world.store.aclose()
