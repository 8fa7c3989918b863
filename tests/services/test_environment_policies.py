"""What an environment requires of approvals: set for it, kept by what was planned, raised for who waits."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.approvals.errors import HumanRequired
from shared.domain.environments.errors import BadEnvironmentPolicy, PersonRequired
from shared.domain.environments.model import Environment, environment_id
from shared.domain.environments.policy import EnvironmentPolicy, PolicyDraft
from shared.domain.promotions.model import PromotionStatus
from shared.domain.releases.model import Hop, ReleaseTrack, release_track_id
from shared.domain.releases.strategies import RolloutSettings, Strategy
from shared.services.audit import Audit
from shared.services.releases import Plan
from tests.support.releases import ANN, BOB, MANAGER, TENANT, Delivery, a_delivery

S = PromotionStatus


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path)
    yield made
    await made.store.aclose()


async def set_votes(
    world: Delivery, environment: str, required: int | None = None, human: bool | None = None, **more: str
) -> EnvironmentPolicy:
    draft = PolicyDraft(
        required_approvals=required,
        human_required=human,
        reason=more.get("reason", ""),
        allowed_strategies=tuple(Strategy),
        soak_seconds=0,
        rollout=RolloutSettings(),
    )
    by = MANAGER if more.get("by") == "automation" else ANN
    return await world.rules.set_policy(by, environment, draft, None, None)


async def a_plan(world: Delivery, environment: str) -> Plan:
    found = await world.repositories.find_named(ANN, "proj-x", "api")
    repository = found or await world.a_repository()
    return await world.a_plan(await world.a_build(repository), environment)


async def the_environment(world: Delivery, name: str) -> Environment:
    return (await world.rules.rules(ANN, name)).environment


async def test_settings_hold_until_somebody_sets_something(world: Delivery) -> None:
    assert (await the_environment(world, "staging")).required_approvals == 1
    policy = await set_votes(world, "staging", 3, human=True)
    assert (policy.required_approvals, policy.human_required) == (3, True)
    known = await the_environment(world, "staging")
    assert (known.required_approvals, known.human_required) == (3, True)
    listed = {row.environment.name: row.environment for row in await world.environments.list(ANN)}
    assert (listed["staging"].required_approvals, listed["staging"].human_required) == (3, True)
    assert (await a_plan(world, "staging")).required_approvals == 3
    await set_votes(world, "staging")
    assert (await the_environment(world, "staging")).required_approvals == 1


async def test_what_was_planned_keeps_its_requirement_when_it_is_lowered(world: Delivery) -> None:
    plan = await a_plan(world, "staging")
    await set_votes(world, "staging", 0)
    await world.drain()
    assert (await world.promotion(plan.promotion.id)).required_approvals == 1
    assert (await a_plan(world, "staging")).required_approvals == 0


async def test_a_plan_whose_caller_died_opens_as_it_was_planned(world: Delivery) -> None:
    await set_votes(world, "staging", 2)
    plan = await a_plan(world, "staging")
    (hop,) = [hop for hop in await _hops(world, plan) if hop.environment == "staging"]
    await set_votes(world, "staging", 0)
    lowered = await world.environments.governed(ANN, "staging")
    assert lowered.required_approvals == 0
    assert hop.required_approvals == 2


async def test_what_is_raised_is_asked_of_who_still_takes_votes(world: Delivery) -> None:
    plan = await a_plan(world, "test")
    await set_votes(world, "test", 2, human=True)
    seen = await world.promotions.eligibility(ANN, plan.release.id, "test")
    (verdict,) = [row for row in seen.evaluation.verdicts if row.gate == "approvals"]
    assert verdict.code == "human_approval_required", "the preview says what will be enforced"
    await world.drain()
    waiting = await world.promotion(plan.promotion.id)
    assert (waiting.required_approvals, waiting.human_required) == (2, True)
    assert await world.promotions.reevaluate(ANN, waiting.id) == waiting, "asked again it is the same"


async def test_an_approved_one_stays_approved_when_more_is_asked(world: Delivery) -> None:
    first, second = await a_plan(world, "dev"), await a_plan(world, "dev")
    assert (await world.promotion(second.promotion.id)).status is S.APPROVED
    await set_votes(world, "dev", 2, human=True)
    await world.drain()
    for plan in (first, second):
        assert (await world.promotion(plan.promotion.id)).status is S.DEPLOYED


async def test_a_vote_that_is_not_a_persons_does_not_count_where_one_is_required(world: Delivery) -> None:
    await set_votes(world, "staging", 2)
    plan = await a_plan(world, "staging")
    await world.approve(plan.release.id, MANAGER)
    await world.approve(plan.release.id, ANN)
    assert (await world.promotion(plan.promotion.id)).approvals_granted == 2
    await set_votes(world, "staging", 2, human=True)
    await world.drain()
    waiting = await world.promotion(plan.promotion.id)
    assert waiting.approvals_granted == 1
    assert "1 of 2 still to come" in waiting.verdicts[-1].reason
    assert f"the vote of {MANAGER.subject}" in waiting.verdicts[-1].reason
    with pytest.raises(HumanRequired, match="Only a person"):
        await world.approve((await a_plan(world, "staging")).release.id, MANAGER)
    await world.approve(plan.release.id, BOB)
    assert (await world.promotion(plan.promotion.id)).approvals_granted == 2


async def test_less_in_production_needs_a_person_and_a_reason_and_both_are_kept(world: Delivery) -> None:
    with pytest.raises(PersonRequired):
        await set_votes(world, "prod", 1, reason="faster", by="automation")
    with pytest.raises(PersonRequired):
        await set_votes(world, "prod", human=False, reason="faster", by="automation")
    with pytest.raises(BadEnvironmentPolicy) as refused:
        await set_votes(world, "prod", 1)
    assert refused.value.problems[0].code == "reason_required"
    await set_votes(world, "prod", 3, by="automation")
    await set_votes(world, "prod", 1, reason="Only Ann is in")
    told = await world.payload("EnvironmentRulesChanged")
    assert (told["change"], told["reason"]) == ("approvals-lowered", "Only Ann is in")
    assert (told["requiredApprovals"], told["humanRequired"]) == (1, True)
    trail = await Audit(world.store).trail(
        ANN, Environment.__record__.root_of(environment_id(TENANT, "prod"))
    )
    kept = [entry for entry in trail.entries if entry["action"] == "environment.approvals-lowered"]
    assert [(entry["reason"], entry["actor"]["subject"]) for entry in kept] == [
        ("Only Ann is in", ANN.subject)
    ]
    assert trail.verified


async def test_a_person_is_not_required_where_nobody_is_asked(world: Delivery) -> None:
    for required, human in ((0, True), (0, None)):
        with pytest.raises(BadEnvironmentPolicy):
            await set_votes(world, "prod", required, human=human, reason="why not")
    await set_votes(world, "prod", 0, human=False, reason="a sandbox")
    assert (await the_environment(world, "prod")).required_approvals == 0


async def _hops(world: Delivery, plan: Plan) -> tuple[Hop, ...]:
    track = await world.units.get(ANN, ReleaseTrack, release_track_id(plan.release.id))
    return track.hops
