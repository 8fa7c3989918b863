"""How a promotion moves, exhaustively."""

import pytest

from shared.domain.kernel.errors import IllegalTransition
from shared.domain.promotions import lifecycle
from shared.domain.promotions.errors import NotCancellable
from shared.domain.promotions.gates import evaluate
from shared.domain.promotions.lifecycle import MACHINE
from shared.domain.promotions.model import OPEN, VOTING, PromotionStatus, PromotionStep
from shared.domain.releases.model import ReleaseStatus
from tests.support.app import START
from tests.support.promotions import ANN, PLANNER, a_promotion, an_approval, an_environment, some_facts

S = PromotionStatus

MOVES = {
    (S.PENDING, "await_approval"): S.AWAITING_APPROVAL,
    (S.PENDING, "approve"): S.APPROVED,
    (S.PENDING, "reject"): S.REJECTED,
    (S.PENDING, "cancel"): S.CANCELLED,
    (S.AWAITING_APPROVAL, "hold"): S.PENDING,
    (S.AWAITING_APPROVAL, "approve"): S.APPROVED,
    (S.AWAITING_APPROVAL, "reject"): S.REJECTED,
    (S.AWAITING_APPROVAL, "cancel"): S.CANCELLED,
    (S.APPROVED, "cancel"): S.CANCELLED,
    (S.APPROVED, "start"): S.DEPLOYING,
    (S.DEPLOYING, "complete"): S.DEPLOYED,
    (S.DEPLOYING, "fail"): S.FAILED,
    (S.DEPLOYING, "roll_back"): S.ROLLED_BACK,
    (S.FAILED, "roll_back"): S.ROLLED_BACK,
    (S.DEPLOYED, "roll_back"): S.ROLLED_BACK,
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("verb", MACHINE.moves)
def test_a_promotion_moves_by_this_table_only(state: PromotionStatus, verb: str) -> None:
    if (state, verb) in MOVES:
        assert MACHINE.next(state, verb) is MOVES[state, verb]
    else:
        with pytest.raises(IllegalTransition):
            MACHINE.next(state, verb)


def test_the_open_states_are_those_before_an_end() -> None:
    assert set(S) - {S.DEPLOYED, S.FAILED, *MACHINE.terminal} == OPEN
    assert VOTING < OPEN


def test_a_promotion_is_born_pending_and_binds_to_the_digest_and_the_planner() -> None:
    promotion = a_promotion(by=ANN)
    assert promotion.status is S.PENDING
    assert promotion.step is PromotionStep.GATE_CHECK
    assert promotion.release_digest.startswith("sha256:")
    assert promotion.source_environment == "test"
    assert promotion.planners == {"agent:Planner", "user:paula", "user:ann"}


def test_the_quorum_approves() -> None:
    promotion = a_promotion(status=S.AWAITING_APPROVAL)
    change = lifecycle.settle(
        promotion,
        evaluate(promotion, some_facts(promotion, approvals=(an_approval(promotion),)), START),
        START,
    )
    assert change is not None
    assert change.entity.status is S.APPROVED
    assert change.entity.decided_at == START
    assert [event.type for event in change.events] == ["ReleaseApproved"]
    assert change.events[0].payload["approver"] == "user:ann"
    assert change.entity.has_quorum


def test_a_gate_that_waits_again_takes_it_back_to_pending_and_keeps_the_votes() -> None:
    promotion = a_promotion(status=S.AWAITING_APPROVAL)
    facts = some_facts(promotion, arrived_before=False, approvals=(an_approval(promotion),))
    change = lifecycle.settle(promotion, evaluate(promotion, facts, START), START)
    assert change is not None
    assert change.entity.status is S.PENDING
    assert change.entity.approvals_granted == 1
    assert change.events == ()


def test_what_is_approved_and_denied_at_its_start_is_cancelled_with_the_reason() -> None:
    promotion = a_promotion(status=S.APPROVED)
    facts = some_facts(
        promotion, release_status=ReleaseStatus.DEPRECATED, approvals=(an_approval(promotion),)
    )
    change = lifecycle.settle(promotion, evaluate(promotion, facts, START), START)
    assert change is not None
    assert change.entity.status is S.CANCELLED
    assert "deprecated" in (change.entity.cause or "")
    assert [event.type for event in change.events] == ["ReleaseCancelled"]


def test_nothing_is_approved_without_votes_where_none_are_required() -> None:
    promotion = a_promotion(an_environment("dev"))
    change = lifecycle.settle(promotion, evaluate(promotion, some_facts(promotion), START), START)
    assert change is not None
    assert change.entity.status is S.APPROVED
    assert not change.entity.has_quorum


@pytest.mark.parametrize("state", S)
def test_cancelling_is_refused_once_it_deploys_or_has_ended(state: PromotionStatus) -> None:
    promotion = a_promotion(status=state)
    if MACHINE.can(state, "cancel"):
        change = lifecycle.cancel(promotion, ANN, "not now", START)
        assert change.entity.status is S.CANCELLED
        assert change.entity.cause == "Cancelled by user:ann: not now"
    else:
        with pytest.raises(NotCancellable, match="aborted instead" if state is S.DEPLOYING else "ended"):
            lifecycle.cancel(promotion, ANN, "not now", START)


def test_a_vote_is_known_once() -> None:
    promotion = lifecycle.take_vote(a_promotion(), "a")
    assert lifecycle.take_vote(promotion, "a") is promotion
    assert lifecycle.take_vote(promotion, "b").approvals == ("a", "b")


def test_a_completed_promotion_tells_subscribers_what_was_promoted() -> None:
    promotion = a_promotion(status=S.DEPLOYING)
    change = lifecycle.complete(promotion, "f" * 40, ("bundle@sha256:aa",), "http://127.0.0.1:1", START)
    (event,) = change.events
    assert event.type == "DeploymentPromoted"
    assert event.payload["fromEnvironment"] == "test"
    assert event.payload["toEnvironment"] == "staging"
    assert event.payload["manifestRevision"] == "f" * 40
    assert event.payload["images"] == ["bundle@sha256:aa"]
    assert change.entity.url == "http://127.0.0.1:1"


def test_a_failed_promotion_tells_why() -> None:
    change = lifecycle.fail(a_promotion(status=S.DEPLOYING), "no health", START)
    assert change.entity.cause == "no health"
    assert change.events[0].payload["cause"] == "no health"


def test_the_planner_stays_the_planner_when_someone_else_asks_for_the_hop() -> None:
    assert PLANNER.principals < a_promotion(by=ANN).planners
