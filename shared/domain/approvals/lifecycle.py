"""Who may vote, and what a vote counts for: one set of pure functions for every face."""

from collections.abc import Iterable
from datetime import datetime

from shared.domain.approvals.errors import (
    AlreadyVoted,
    ApproverMismatch,
    CommentRequired,
    HumanRequired,
    SelfApproval,
    VotingClosed,
)
from shared.domain.approvals.model import Approval, ApprovalStatus, Decision, approval_id
from shared.domain.environments.model import Environment
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Problem
from shared.domain.kernel.events import Event
from shared.domain.promotions.model import VOTING, Promotion


def check_named_approver(actor: Actor, named: str | None) -> None:
    """A body may repeat who approves, and must not name anyone else."""
    if named is not None and named != actor.subject:
        raise ApproverMismatch(
            "The approver in the body is not the caller; leave it out or name yourself.", approver=named
        )


def vote(
    promotion: Promotion,
    environment: Environment,
    cast: Iterable[Approval],
    actor: Actor,
    decision: Decision,
    comment: str,
    at: datetime,
) -> Change[Approval]:
    """One vote of `actor`, given the votes `cast` before. A delayed vote may be followed by a decision."""
    if promotion.status not in VOTING:
        raise VotingClosed(
            f"This promotion is {promotion.status.replace('_', ' ')} and takes no more votes.",
            status=str(promotion.status),
        )
    _check_eligible(promotion, environment, actor)
    earlier = [approval for approval in cast if approval.principals & actor.principals]
    mine = next((approval for approval in earlier if approval.approver == actor.subject), None)
    if any(approval is not mine or approval.decision is not Decision.DELAYED for approval in earlier) or (
        mine is not None and decision is Decision.DELAYED
    ):
        raise AlreadyVoted(
            "You have voted on this promotion already; another person has to give the next vote.",
            decision=str(earlier[0].decision),
        )
    if decision is not Decision.APPROVED and not comment.strip():
        hint = f"Say why it is {decision}."
        raise CommentRequired("A comment is required.", Problem("comment", hint, "comment_required"))
    approval = Approval(
        id=approval_id(promotion.id, actor.subject),
        tenant=promotion.tenant,
        promotion=promotion.id,
        environment=promotion.environment,
        release=promotion.release,
        release_digest=promotion.release_digest,
        approver=actor.subject,
        approver_for=actor.on_behalf_of,
        approver_kind=actor.kind,
        decision=decision,
        comment=comment,
        status=ApprovalStatus.ACTIVE,
        created_at=mine.created_at if mine else at,
        updated_at=at,
        revision=mine.revision if mine else 0,
    )
    return Change(approval, f"promotion.vote-{decision}", (_cast(approval, promotion),))


def _check_eligible(promotion: Promotion, environment: Environment, actor: Actor) -> None:
    if actor.principals & promotion.planners:
        raise SelfApproval(
            "Whoever planned a release, or acts for or through its planner, may not decide on it;"
            " ask someone else."
        )
    if (promotion.human_required or environment.human_required) and not actor.is_human:
        raise HumanRequired(
            f"Only a person may decide on a promotion into {environment.name}; ask one who may approve.",
            environment=environment.name,
        )


def counts(approval: Approval, release_digest: str, *, human_required: bool) -> bool:
    """Whether a vote says anything about this content under this rule."""
    return (
        approval.status is ApprovalStatus.ACTIVE
        and approval.release_digest == release_digest
        and (approval.approver_kind is ActorKind.HUMAN or not human_required)
    )


def _cast(approval: Approval, promotion: Promotion) -> Event:
    payload = {
        "approvalId": f"appr-{approval.id}",
        "promotionId": f"prom-{promotion.id}",
        "releaseId": f"rel-{promotion.release}",
        "environment": promotion.environment_name,
        "approver": approval.approver,
        "decision": str(approval.decision),
    }
    return Event("ApprovalRecorded", payload, project=promotion.project, module=promotion.module)
