"""The gates: a table of what each says, and what holds whatever they say."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.approvals.model import Approval, ApprovalStatus, Decision
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.promotions.gates import GATES, Deny, Facts, Gate, Pass, Wait, evaluate
from shared.domain.promotions.lifecycle import MACHINE, record_of, settle
from shared.domain.promotions.model import Outcome, Promotion, PromotionStatus, Result
from shared.domain.releases.model import ReleaseStatus
from tests.support.app import START
from tests.support.promotions import ANN, BOB, MANAGER, a_promotion, an_approval, an_environment, some_facts

PROMOTION = a_promotion()
PROD = a_promotion(an_environment("prod"))


def said(promotion: Promotion, facts: Facts) -> dict[str, Outcome]:
    return {row.gate: row.outcome for row in evaluate(promotion, facts, START).verdicts}


@pytest.mark.parametrize(
    ("gate", "changes", "outcome"),
    [
        ("release_ready", {}, Outcome.PASSED),
        ("release_ready", {"release_status": ReleaseStatus.DRAFT}, Outcome.DENIED),
        ("release_ready", {"release_status": ReleaseStatus.DEPRECATED}, Outcome.DENIED),
        ("release_ready", {"release_status": ReleaseStatus.ARCHIVED}, Outcome.DENIED),
        ("release_ready", {"release_digest": "sha256:other"}, Outcome.DENIED),
        ("environment_order", {}, Outcome.PASSED),
        ("environment_order", {"arrived_before": False}, Outcome.WAITING),
        ("duplicate", {}, Outcome.PASSED),
        ("duplicate", {"current_release": PROMOTION.release}, Outcome.DENIED),
        ("duplicate", {"current_release": "another"}, Outcome.PASSED),
        ("duplicate", {"others_open": True}, Outcome.DENIED),
    ],
)
def test_each_gate_says_what_the_table_says(gate: str, changes: dict[str, Any], outcome: Outcome) -> None:
    assert said(PROMOTION, some_facts(PROMOTION, **changes))[gate] is outcome


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [
        ([], Outcome.WAITING),
        ([an_approval(PROMOTION)], Outcome.PASSED),
        ([an_approval(PROMOTION, MANAGER)], Outcome.PASSED),
        ([an_approval(PROMOTION, decision=Decision.DELAYED)], Outcome.WAITING),
        ([an_approval(PROMOTION, decision=Decision.REJECTED)], Outcome.DENIED),
        ([an_approval(PROMOTION), an_approval(PROMOTION, BOB, Decision.REJECTED)], Outcome.DENIED),
        ([an_approval(PROMOTION, release_digest="sha256:other")], Outcome.WAITING),
        ([an_approval(PROMOTION, status=ApprovalStatus.REVOKED)], Outcome.WAITING),
        ([an_approval(PROMOTION, status=ApprovalStatus.EXPIRED)], Outcome.WAITING),
    ],
)
def test_one_vote_is_enough_for_staging(votes: list[Approval], outcome: Outcome) -> None:
    assert said(PROMOTION, some_facts(PROMOTION, approvals=tuple(votes)))["approvals"] is outcome


@pytest.mark.parametrize(
    ("voters", "outcome"),
    [([ANN], Outcome.WAITING), ([ANN, MANAGER], Outcome.WAITING), ([ANN, BOB], Outcome.PASSED)],
)
def test_production_counts_people_only(voters: list[Actor], outcome: Outcome) -> None:
    votes = tuple(an_approval(PROD, voter) for voter in voters)
    assert said(PROD, some_facts(PROD, human_required=True, approvals=votes))["approvals"] is outcome


def test_every_gate_is_asked_also_after_one_has_said_no() -> None:
    facts = some_facts(PROMOTION, release_status=ReleaseStatus.DEPRECATED, arrived_before=False)
    evaluation = evaluate(PROMOTION, facts, START)
    assert [row.gate for row in evaluation.verdicts] == [name for name, _ in GATES]
    assert evaluation.result is Result.DENY
    assert "deprecated" in evaluation.reasons
    assert "test" not in evaluation.reasons, "what only waits did not decide it"
    assert "test" in evaluation.verdicts[1].reason


def test_a_gate_of_another_tuple_says_until_when_it_waits() -> None:
    until = START + timedelta(hours=1)

    def window(promotion: Promotion, facts: Facts, at: object) -> Wait:
        return Wait("A freeze is on.", until)

    evaluation = evaluate(PROMOTION, some_facts(PROMOTION), START, (("freeze", window), *GATES))
    assert evaluation.verdicts[0].until == until
    assert not evaluation.waits_for_votes_only


ACTORS = [Actor(f"user:{name}", ActorKind.HUMAN, "acme") for name in "abc"] + [MANAGER]
votes_of = st.lists(
    st.tuples(st.sampled_from(ACTORS), st.sampled_from(Decision), st.sampled_from(ApprovalStatus)),
    unique_by=lambda row: row[0].subject,
    max_size=4,
)
promotions = st.builds(
    lambda required: replace(PROMOTION, required_approvals=required), st.integers(min_value=0, max_value=3)
)


@st.composite
def facts_of(draw: st.DrawFn, promotion: Promotion) -> Facts:
    cast = [
        an_approval(promotion, actor, decision, status=status) for actor, decision, status in draw(votes_of)
    ]
    return some_facts(
        promotion,
        release_status=draw(st.sampled_from(ReleaseStatus)),
        release_digest=draw(st.sampled_from([promotion.release_digest, "sha256:other"])),
        arrived_before=draw(st.booleans()),
        current_release=draw(st.sampled_from([None, promotion.release, "another"])),
        others_open=draw(st.booleans()),
        human_required=draw(st.booleans()),
        approvals=tuple(cast),
    )


cases = promotions.flatmap(lambda promotion: st.tuples(st.just(promotion), facts_of(promotion)))


@given(cases)
def test_preview_and_enforcement_agree(case: tuple[Promotion, Facts]) -> None:
    promotion, facts = case
    preview = evaluate(promotion, facts, START)
    change = settle(promotion, preview, START)
    assert change is not None
    enforced = {
        Result.ALLOW: PromotionStatus.APPROVED,
        Result.DENY: PromotionStatus.REJECTED,
        Result.PENDING: PromotionStatus.AWAITING_APPROVAL
        if preview.waits_for_votes_only
        else PromotionStatus.PENDING,
    }
    assert change.entity.status is enforced[preview.result]
    assert change.entity.verdicts == preview.verdicts
    record = record_of(change.entity, preview, START)
    assert (record.result, record.inputs_hash) == (preview.result, preview.inputs_hash)


@given(cases)
def test_asking_again_with_the_same_facts_changes_nothing(case: tuple[Promotion, Facts]) -> None:
    promotion, facts = case
    change = settle(promotion, evaluate(promotion, facts, START), START)
    assert change is not None
    settled = change.entity
    if settled.is_open:
        assert settle(settled, evaluate(settled, facts, START), START) is None


@given(cases, st.sets(st.integers(min_value=0, max_value=len(GATES) - 1)))
def test_taking_a_pass_away_never_turns_a_no_into_a_yes(
    case: tuple[Promotion, Facts], spoiled: set[int]
) -> None:
    def spoil(position: int, gate: Gate) -> Gate:
        def asked(promotion: Promotion, facts: Facts, at: Any) -> Pass | Deny | Wait:
            answer = gate(promotion, facts, at)
            return Wait("spoiled") if position in spoiled and isinstance(answer, Pass) else answer

        return asked

    promotion, facts = case
    order = [Result.DENY, Result.PENDING, Result.ALLOW]
    gates = tuple((name, spoil(position, gate)) for position, (name, gate) in enumerate(GATES))
    before = evaluate(promotion, facts, START).result
    after = evaluate(promotion, facts, START, gates).result
    assert order.index(after) <= order.index(before)
    assert (before is Result.DENY) == (after is Result.DENY)


@given(cases)
def test_the_order_of_the_votes_is_irrelevant(case: tuple[Promotion, Facts]) -> None:
    promotion, facts = case
    answers = {
        (seen.result, seen.granted, seen.verdicts, seen.inputs_hash)
        for votes in permutations(facts.approvals)
        for seen in [evaluate(promotion, replace(facts, approvals=votes), START)]
    }
    assert len(answers) == 1


@given(cases)
def test_nothing_is_allowed_without_every_gate(case: tuple[Promotion, Facts]) -> None:
    promotion, facts = case
    evaluation = evaluate(promotion, facts, START)
    passed = all(row.outcome is Outcome.PASSED for row in evaluation.verdicts)
    assert (evaluation.result is Result.ALLOW) == passed


@pytest.mark.parametrize("status", [PromotionStatus.PENDING, PromotionStatus.AWAITING_APPROVAL])
def test_the_inputs_hash_tells_votes_apart(status: PromotionStatus) -> None:
    assert MACHINE.can(status, "approve")
    without = evaluate(PROMOTION, some_facts(PROMOTION), START).inputs_hash
    with_vote = evaluate(PROMOTION, some_facts(PROMOTION, approvals=(an_approval(PROMOTION),)), START)
    assert without != with_vote.inputs_hash
