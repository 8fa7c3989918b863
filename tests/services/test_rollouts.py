"""Rollouts step by step: what each strategy does, what stops it, and what is left by a process that died."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.deployments.errors import NotCurrent, NotDeploying, NothingToAdvance, NothingToReturnTo
from shared.domain.deployments.model import Deployment, DeploymentKind, DeploymentStatus
from shared.domain.deployments.rollout import ProgressiveRollout, RolloutStatus, rollout_id
from shared.domain.environments.errors import LaneTaken, NoHold, PersonRequired
from shared.domain.environments.policy import PolicyDraft
from shared.domain.promotions.model import PromotionStatus
from shared.domain.releases.strategies import CanaryStep, Probe, RolloutSettings, RolloutWish, Strategy
from shared.ports.store import Store
from shared.services.releases import Plan
from tests.services.test_deployments import SickTarget
from tests.support.releases import (
    ANN,
    MANAGER,
    PLANNER,
    Crash,
    Delivery,
    DyingStore,
    a_delivery,
    a_draft,
)

S = PromotionStatus
WAITS = RolloutWish(canary=(CanaryStep(weight=20),))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path, wrap=SickTarget)
    yield made
    await made.store.aclose()


async def a_canary(world: Delivery, wish: RolloutWish | None = WAITS) -> tuple[Plan, Plan]:
    """What runs in dev, and a canary on its way there."""
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository))
    await world.drain()
    draft = replace(a_draft(await world.a_build(repository), "dev", Strategy.CANARY), rollout=wish)
    second = await world.releases.plan(PLANNER, draft, None)
    await world.drain()
    return first, second


async def the_rollout(world: Delivery, plan: Plan) -> ProgressiveRollout:
    return await world.controls.get(ANN, plan.promotion.id)


async def the_deployment(world: Delivery, plan: Plan) -> Deployment:
    promotion = await world.promotion(plan.promotion.id)
    return await world.deployments.get(ANN, promotion.deployment or "")


async def test_a_canary_waits_at_its_step_until_somebody_goes_on(world: Delivery) -> None:
    first, second = await a_canary(world)
    rollout = await the_rollout(world, second)
    assert (rollout.status, rollout.position, rollout.weight, rollout.due) == (
        RolloutStatus.PAUSED,
        0,
        20,
        None,
    )
    assert await world.live("dev", first.release) == "1.0.0"
    await world.controls.advance(ANN, second.promotion.id, "flat", None)
    await world.drain()
    assert await world.live("dev", first.release) == "1.0.1"
    assert (await the_rollout(world, second)).status is RolloutStatus.COMPLETED
    assert (await world.promotion(second.promotion.id)).status is S.DEPLOYED
    assert (await world.payload("RolloutAdvanced"))["advancedBy"] == ANN.subject
    with pytest.raises(NotDeploying):
        await world.controls.advance(ANN, second.promotion.id, "", None)


async def test_a_pause_ends_by_its_message_and_not_before_its_time(world: Delivery) -> None:
    _, second = await a_canary(world, RolloutWish(canary=(CanaryStep(weight=20, pause_seconds=3600),)))
    rollout = await the_rollout(world, second)
    assert rollout.due is not None
    await world.redeliver_everything()
    assert (await the_rollout(world, second)).status is RolloutStatus.PAUSED
    world.clock.advance(hours=1)
    await world.rollouts.on_due(ANN, await world.payload("RolloutDue"))
    await world.drain()
    assert (await world.promotion(second.promotion.id)).status is S.DEPLOYED


async def test_an_aborted_canary_is_rolled_back_and_holds_the_environment(world: Delivery) -> None:
    first, second = await a_canary(world)
    await world.controls.abort(ANN, second.promotion.id, "slow", None)
    await world.controls.abort(ANN, second.promotion.id, "slow", None)
    await world.drain()
    promotion = await world.promotion(second.promotion.id)
    assert (promotion.status, promotion.cause) == (S.ROLLED_BACK, "Aborted by user:ann: slow")
    assert (await the_deployment(world, second)).status is DeploymentStatus.ROLLED_BACK
    assert (await the_rollout(world, second)).status is RolloutStatus.ROLLED_BACK
    assert await world.live("dev", first.release) == "1.0.0"
    assert {"ReleaseRolledBack", "DeploymentRolledBack"} <= set(await world.events())
    lane = await world.lane("dev")
    assert (lane.lock, lane.hold is not None) == (None, True)


async def test_a_hold_is_released_by_a_person_alone_and_lets_in_whoever_waited(world: Delivery) -> None:
    _, second = await a_canary(world)
    await world.controls.abort(ANN, second.promotion.id, "slow", None)
    await world.drain()
    again = await world.promotions.retry(ANN, second.release.id, None, "", None)
    await world.drain()
    waiting = await world.promotion(again.id)
    assert (waiting.status, waiting.is_delayed) == (S.PENDING, True)
    with pytest.raises(PersonRequired):
        await world.rules.release_hold(MANAGER, "dev", "mended", None)
    await world.rules.release_hold(ANN, "dev", "mended", None)
    await world.drain()
    assert (await world.promotion(again.id)).status is S.DEPLOYING
    with pytest.raises(NoHold):
        await world.rules.release_hold(ANN, "dev", "mended", None)


async def test_a_sick_canary_is_rolled_back_by_itself_with_its_cause(world: Delivery) -> None:
    assert isinstance(world.target, SickTarget)
    world.target.sick.add("1.0.1")
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository))
    await world.drain()
    second = await world.releases.plan(
        PLANNER, a_draft(await world.a_build(repository), "dev", Strategy.BLUE_GREEN), None
    )
    await world.drain()
    promotion = await world.promotion(second.promotion.id)
    assert promotion.status is S.ROLLED_BACK
    assert "It coughs." in (promotion.cause or "")
    assert await world.live("dev", first.release) == "1.0.0"
    assert (await world.lane("dev")).hold is not None


async def test_a_step_passes_after_so_many_healthy_looks_in_a_row(world: Delivery) -> None:
    probe = Probe(successes=3, interval_seconds=5)
    draft = PolicyDraft(
        allowed_strategies=tuple(Strategy), soak_seconds=0, rollout=RolloutSettings(probe=probe)
    )
    await world.rules.set_policy(ANN, "dev", draft, None, None)
    plan = await world.a_plan(await world.a_build(await world.a_repository()))
    await world.drain()
    for seen in (1, 2):
        rollout = await the_rollout(world, plan)
        assert (rollout.status, rollout.successes) == (RolloutStatus.VERIFYING, seen)
        world.clock.advance(seconds=10)
        await world.rollouts.on_due(ANN, await world.payload("RolloutDue"))
    assert (await world.promotion(plan.promotion.id)).status is S.DEPLOYED


async def test_a_release_is_rolled_back_to_what_ran_before_as_a_new_deployment(world: Delivery) -> None:
    repository = await world.a_repository()
    first = await world.a_plan(await world.a_build(repository))
    await world.drain()
    with pytest.raises(NothingToReturnTo):
        await world.controls.roll_back(ANN, first.release.id, None, "bad", None)
    second = await world.a_plan(await world.a_build(repository))
    await world.drain()
    with pytest.raises(NotCurrent):
        await world.controls.roll_back(ANN, first.release.id, None, "bad", None)
    deployment = await world.controls.roll_back(ANN, second.release.id, "dev", "bad", None)
    assert (deployment.kind, deployment.release) == (DeploymentKind.ROLLBACK, first.release.id)
    with pytest.raises(LaneTaken):
        await world.controls.roll_back(ANN, second.release.id, "dev", "bad", None)
    await world.drain()
    assert await world.live("dev", first.release) == "1.0.0"
    rolled_back, back = await world.promotion(second.promotion.id), await world.promotion(first.promotion.id)
    assert (rolled_back.status, rolled_back.cause) == (S.ROLLED_BACK, "bad")
    assert (back.status, back.superseded_by) == (S.DEPLOYED, None)
    current = await world.current("dev", first.release)
    assert current is not None
    assert (current.release, current.deployment) == (first.release.id, deployment.id)
    assert current.previous_deployment is None
    assert (await world.lane("dev")).hold is not None
    standing = await world.environments.standing(ANN, second.release, "dev")
    assert standing.withdrawn == "bad"
    await world.redeliver_everything(backwards=True)
    assert await world.live("dev", first.release) == "1.0.0"


async def test_a_rollback_waits_for_no_freeze(world: Delivery) -> None:
    repository = await world.a_repository()
    await world.a_plan(await world.a_build(repository))
    await world.drain()
    second = await world.a_plan(await world.a_build(repository))
    await world.drain()
    await world.rules.add(ANN, "dev", world.a_freeze(hours=1), None)
    await world.controls.roll_back(ANN, second.release.id, "dev", "bad", None)
    await world.drain()
    assert await world.live("dev", second.release) == "1.0.0"


async def test_only_a_paused_rollout_is_advanced(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()))
    await world.deliver("DeploymentRequested")
    with pytest.raises(NotDeploying):
        await world.controls.advance(ANN, plan.promotion.id, "", None)
    probe = Probe(successes=2)
    draft = PolicyDraft(
        allowed_strategies=tuple(Strategy), soak_seconds=0, rollout=RolloutSettings(probe=probe)
    )
    await world.rules.set_policy(ANN, "dev", draft, None, None)
    await world.deliver("ReconcileRequested")
    with pytest.raises(NothingToAdvance):
        await world.controls.advance(ANN, plan.promotion.id, "", None)


async def test_an_abort_before_anything_was_written_ends_it_at_once(world: Delivery) -> None:
    plan = await world.a_plan(await world.a_build(await world.a_repository()))
    await world.controls.abort(ANN, plan.promotion.id, "wrong one", None)
    assert (await world.promotion(plan.promotion.id)).status is S.FAILED
    assert (await world.lane("dev")).lock is None
    await world.drain()
    assert await world.live("dev", plan.release) is None


def _dying(at: int, written: bool, made: list[DyingStore]) -> Callable[[Store], Store]:
    def wrap(store: Store) -> Store:
        made.append(DyingStore(store, at, written))
        return made[-1]

    return wrap


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("aborted", [False, True], ids=["advanced", "aborted"])
async def test_a_canary_that_is_killed_at_any_commit_ends_whole(
    tmp_path: Path, written: bool, aborted: bool
) -> None:
    """Wherever the process dies after the first step, all of the old or all of the new is what runs."""
    at = 0
    while True:
        at += 1
        dying: list[DyingStore] = []
        world = a_delivery(tmp_path / f"{at}", wrap_store=_dying(at, written, dying))
        _, second = await a_canary(world)
        dying[0].armed = True
        try:
            if aborted:
                await world.controls.abort(ANN, second.promotion.id, "slow", None)
            else:
                await world.controls.advance(ANN, second.promotion.id, "", None)
            await world.drain()
        except Crash:
            died = True
        else:
            died = False
        dying[0].armed = False
        if (await world.promotion(second.promotion.id)).status is S.DEPLOYING:
            await world.drain()
        ended = await world.promotion(second.promotion.id)
        if ended.status is S.DEPLOYING:  # its caller died before anything was decided
            assert (await the_rollout(world, second)).status is RolloutStatus.PAUSED
        else:
            assert ended.status is (S.ROLLED_BACK if aborted else S.DEPLOYED)
            assert await world.live("dev", second.release) == ("1.0.0" if aborted else "1.0.1")
            assert (await world.lane("dev")).lock is None
        await world.store.aclose()
        if not died:
            assert at > 2
            return


async def test_the_old_side_of_a_switch_is_kept_for_a_while_and_then_retired(world: Delivery) -> None:
    repository = await world.a_repository()
    await world.a_plan(await world.a_build(repository))
    await world.drain()
    second = await world.releases.plan(
        PLANNER, a_draft(await world.a_build(repository), "dev", Strategy.BLUE_GREEN), None
    )
    await world.drain()
    rollout = await the_rollout(world, second)
    assert [step.weight for step in rollout.steps] == [0, 100]
    assert (await world.promotion(second.promotion.id)).status is S.DEPLOYED
    assert "RetirementDue" in await world.events()
    assert rollout.id == rollout_id((await the_deployment(world, second)).id)
