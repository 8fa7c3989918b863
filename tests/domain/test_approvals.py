"""Who may vote, and how often."""

import pytest

from shared.domain.approvals.errors import (
    AlreadyVoted,
    ApproverMismatch,
    CommentRequired,
    HumanRequired,
    SelfApproval,
    VotingClosed,
)
from shared.domain.approvals.lifecycle import check_named_approver, vote
from shared.domain.approvals.model import Approval, Decision
from shared.domain.kernel.actor import Actor, ActorKind, system_actor
from shared.domain.kernel.change import Change
from shared.domain.promotions.model import VOTING, Promotion, PromotionStatus
from tests.support.app import START
from tests.support.promotions import (
    ANN,
    BOB,
    MANAGER,
    PAULA,
    PLANNER,
    a_promotion,
    an_approval,
    an_environment,
)

FOR_PAULA = Actor("agent:Helper", ActorKind.AGENT, "acme", on_behalf_of="user:paula")
THROUGH_PLANNER = Actor("service:ci", ActorKind.SERVICE, "acme", on_behalf_of="agent:Planner")
FOR_ANN = Actor("agent:Ann", ActorKind.AGENT, "acme", on_behalf_of="user:ann")


def cast(
    actor: Actor,
    *votes: Approval,
    promotion: Promotion | None = None,
    decision: Decision = Decision.APPROVED,
    comment: str = "fine",
    environment: str = "staging",
) -> Change[Approval]:
    where = an_environment(environment)
    return vote(promotion or a_promotion(where), where, votes, actor, decision, comment, START)


@pytest.mark.parametrize("actor", [PLANNER, PAULA, FOR_PAULA, THROUGH_PLANNER])
@pytest.mark.parametrize("decision", Decision)
def test_neither_the_planner_nor_anyone_for_or_through_the_planner_may_decide(
    actor: Actor, decision: Decision
) -> None:
    with pytest.raises(SelfApproval):
        cast(actor, decision=decision)


def test_whoever_asked_for_the_hop_may_not_decide_either() -> None:
    where = an_environment()
    with pytest.raises(SelfApproval):
        vote(a_promotion(where, by=ANN), where, (), ANN, Decision.APPROVED, "", START)


def test_an_agent_other_than_the_planner_may_approve_for_staging() -> None:
    approval = cast(MANAGER).entity
    assert approval.decision is Decision.APPROVED
    assert approval.release_digest == a_promotion().release_digest


@pytest.mark.parametrize("actor", [MANAGER, FOR_ANN, THROUGH_PLANNER, system_actor("acme", "gates")])
def test_no_machine_decides_for_production(actor: Actor) -> None:
    with pytest.raises((HumanRequired, SelfApproval)):
        cast(actor, environment="prod")


def test_a_person_decides_for_production() -> None:
    assert cast(ANN, environment="prod").entity.approver == "user:ann"


@pytest.mark.parametrize("first", [Decision.APPROVED, Decision.REJECTED])
@pytest.mark.parametrize("second", Decision)
def test_nobody_votes_twice(first: Decision, second: Decision) -> None:
    with pytest.raises(AlreadyVoted):
        cast(ANN, an_approval(a_promotion(), ANN, first), decision=second)


def test_a_person_and_the_agent_that_acts_for_them_are_one_voice() -> None:
    with pytest.raises(AlreadyVoted):
        cast(FOR_ANN, an_approval(a_promotion(), ANN))
    with pytest.raises(AlreadyVoted):
        cast(ANN, an_approval(a_promotion(), FOR_ANN))


def test_a_delayed_vote_may_be_followed_by_a_decision_but_not_by_another_delay() -> None:
    delayed = an_approval(a_promotion(), ANN, Decision.DELAYED)
    assert cast(ANN, delayed).entity.id == delayed.id
    with pytest.raises(AlreadyVoted):
        cast(ANN, delayed, decision=Decision.DELAYED)


def test_others_may_vote_after_a_vote() -> None:
    assert cast(BOB, an_approval(a_promotion(), ANN)).entity.approver == "user:bob"


@pytest.mark.parametrize("decision", [Decision.REJECTED, Decision.DELAYED])
def test_saying_no_or_not_now_takes_a_comment(decision: Decision) -> None:
    with pytest.raises(CommentRequired):
        cast(ANN, decision=decision, comment="  ")


def test_saying_yes_takes_none() -> None:
    assert cast(ANN, comment="").entity.comment == ""


@pytest.mark.parametrize("status", PromotionStatus)
def test_votes_are_taken_while_it_is_pending_or_awaits_them(status: PromotionStatus) -> None:
    promotion = a_promotion(status=status)
    if status in VOTING:
        assert cast(ANN, promotion=promotion).events[0].type == "ApprovalRecorded"
    else:
        with pytest.raises(VotingClosed):
            cast(ANN, promotion=promotion)


def test_a_body_may_repeat_the_caller_and_name_nobody_else() -> None:
    check_named_approver(MANAGER, None)
    check_named_approver(MANAGER, "agent:ReleaseManager")
    with pytest.raises(ApproverMismatch):
        check_named_approver(ANN, "agent:ReleaseManager")
