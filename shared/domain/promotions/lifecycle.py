"""How a promotion moves: by what the gates say, by its deployment, or by someone who cancels it."""

from dataclasses import replace
from datetime import datetime

from shared.domain.environments.model import Environment
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event
from shared.domain.kernel.machine import Machine
from shared.domain.promotions.errors import NotCancellable, NotFrozen, OverrideNeedsPerson
from shared.domain.promotions.gates import EVALUATOR, Evaluation
from shared.domain.promotions.model import (
    OPEN,
    VOTING,
    DecisionRecord,
    Override,
    Promotion,
    PromotionStatus,
    PromotionStep,
    Result,
    decision_id,
)
from shared.domain.releases.model import Hop, Release

S = PromotionStatus

MACHINE = Machine(
    "promotion",
    S,
    initial=(S.PENDING,),
    moves={
        "await_approval": ((S.PENDING,), S.AWAITING_APPROVAL),
        "hold": ((S.AWAITING_APPROVAL,), S.PENDING),
        "approve": ((S.PENDING, S.AWAITING_APPROVAL), S.APPROVED),
        "reject": ((S.PENDING, S.AWAITING_APPROVAL), S.REJECTED),
        "cancel": ((S.PENDING, S.AWAITING_APPROVAL, S.APPROVED), S.CANCELLED),
        "start": ((S.APPROVED,), S.DEPLOYING),
        "complete": ((S.DEPLOYING,), S.DEPLOYED),
        "fail": ((S.DEPLOYING,), S.FAILED),
        "roll_back": ((S.DEPLOYING, S.FAILED, S.DEPLOYED), S.ROLLED_BACK),
    },
)


def request(release: Release, hop: Hop, environment: Environment) -> Change[Promotion]:
    """The promotion that a hop asks for. A function of its inputs alone, so that a lost one is made again."""
    promotion = Promotion(
        id=hop.promotion,
        tenant=release.tenant,
        release=release.id,
        release_digest=release.release_digest,
        component=release.component,
        project=release.project,
        module=release.module,
        version=release.version,
        environment=environment.id,
        environment_name=environment.name,
        source_environment=environment.previous,
        strategy=hop.strategy,
        rollout=hop.rollout,
        reason=hop.reason,
        planned_by=release.created_by,
        planned_for=release.created_for,
        requested_by=hop.requested_by,
        requested_for=hop.requested_for,
        required_approvals=(
            environment.required_approvals if hop.required_approvals is None else hop.required_approvals
        ),
        human_required=environment.human_required if hop.human_required is None else hop.human_required,
        status=S.PENDING,
        step=PromotionStep.GATE_CHECK,
        created_at=hop.requested_at,
        updated_at=hop.requested_at,
        revision=1,  # what its first save makes it: it is shown to its caller before that
    )
    return Change(promotion, "promotion.requested", (_fact("PromotionRequested", promotion),))


def tightened(promotion: Promotion, environment: Environment) -> Promotion:
    """The promotion as strict as its environment is now, for as long as it takes votes: what was raised
    since it was asked for counts, what was lowered does not. One that is approved has been decided."""
    if promotion.status not in VOTING:
        return promotion
    return replace(
        promotion,
        required_approvals=max(promotion.required_approvals, environment.required_approvals),
        human_required=promotion.human_required or environment.human_required,
    )


def settle(promotion: Promotion, evaluation: Evaluation, at: datetime) -> Change[Promotion] | None:
    """The promotion after an evaluation, or None where that changes nothing.

    What is already approved and is denied at its start is cancelled: its votes stand, its release does not.
    """
    verb = _verb(promotion.status, evaluation)
    status = MACHINE.next(promotion.status, verb) if verb else promotion.status
    known = (promotion.status, promotion.verdicts, promotion.approvals_granted)
    if known == (status, evaluation.verdicts, evaluation.granted):
        return None
    is_delayed = evaluation.is_delayed and status in (S.PENDING, S.APPROVED)
    ended = status in (S.REJECTED, S.CANCELLED)
    decided = ended or (status is S.APPROVED and promotion.status is not S.APPROVED)
    settled = replace(
        promotion,
        status=status,
        verdicts=evaluation.verdicts,
        approvals_granted=evaluation.granted,
        has_quorum=0 < promotion.required_approvals <= evaluation.granted,
        is_delayed=is_delayed,
        wakes_at=evaluation.wakes_at,
        decisions=promotion.decisions + 1,
        cause=evaluation.reasons if ended else promotion.cause,
        decided_at=at if decided else promotion.decided_at,
        completed_at=at if ended else None,
        updated_at=at,
    )
    events = list(_outcome(settled, evaluation.approvers) if decided else ())
    if is_delayed and not promotion.is_delayed:
        events.append(_fact("ReleaseDelayed", settled, cause=evaluation.reasons))
    if settled.wakes_at is not None and settled.wakes_at != promotion.wakes_at:
        events.extend(wake(settled))
    return Change(settled, f"promotion.{_ACTIONS[verb]}", tuple(events))


def wake(promotion: Promotion) -> tuple[Event, ...]:
    """The message that asks again when its waiting is over by the calendar."""
    told: dict[str, object] = {"promotionId": f"prom-{promotion.id}"}
    return (Event("PromotionDue", told, not_before=promotion.wakes_at),)


_ACTIONS = {
    None: "evaluated",
    "await_approval": "awaits-approval",
    "hold": "held",
    "approve": "approved",
    "reject": "rejected",
    "cancel": "cancelled",
}


def _verb(status: PromotionStatus, evaluation: Evaluation) -> str | None:
    if evaluation.result is Result.DENY:
        return "cancel" if status is S.APPROVED else "reject"
    if evaluation.result is Result.ALLOW:
        return None if status is S.APPROVED else "approve"
    wanted = "await_approval" if evaluation.waits_for_votes_only else "hold"
    return wanted if MACHINE.can(status, wanted) else None


def record_of(promotion: Promotion, evaluation: Evaluation, at: datetime) -> DecisionRecord:
    """What is kept of the evaluation that `promotion` was just settled by."""
    return DecisionRecord(
        id=decision_id(promotion.id, promotion.decisions),
        tenant=promotion.tenant,
        promotion=promotion.id,
        number=promotion.decisions,
        result=evaluation.result,
        verdicts=evaluation.verdicts,
        release_digest=promotion.release_digest,
        inputs_hash=evaluation.inputs_hash,
        evaluator=EVALUATOR,
        decided_at=at,
    )


def take_vote(promotion: Promotion, approval: str) -> Promotion:
    """The promotion knows of one more vote; what it comes to is for the gates to say."""
    if approval in promotion.approvals:
        return promotion
    return replace(promotion, approvals=(*promotion.approvals, approval))


def cancel(promotion: Promotion, by: Actor, reason: str, at: datetime) -> Change[Promotion]:
    if not MACHINE.can(promotion.status, "cancel"):
        hint = (
            "a deployment that has started is aborted instead, which brings back what ran before"
            if promotion.status is S.DEPLOYING
            else "it has ended"
        )
        raise NotCancellable(
            f"This promotion is {promotion.status.replace('_', ' ')} and cannot be cancelled: {hint}.",
            status=str(promotion.status),
        )
    cause = f"Cancelled by {by.subject}: {reason}" if reason else f"Cancelled by {by.subject}."
    gone = replace(
        promotion,
        status=MACHINE.next(promotion.status, "cancel"),
        cause=cause,
        is_delayed=False,
        wakes_at=None,
        decided_at=promotion.decided_at or at,
        completed_at=at,
        updated_at=at,
    )
    return Change(gone, "promotion.cancelled", _outcome(gone))


def start(promotion: Promotion, deployment: str, at: datetime) -> Change[Promotion]:
    started = replace(
        promotion,
        status=MACHINE.next(promotion.status, "start"),
        step=PromotionStep.RENDERING_MANIFEST,
        deployment=deployment,
        started_at=at,
        updated_at=at,
    )
    return Change(started, "promotion.started")


def step_to(promotion: Promotion, step: PromotionStep, at: datetime) -> Promotion:
    return replace(promotion, step=step, updated_at=at)


def override_freeze(promotion: Promotion, by: Actor, reason: str, at: datetime) -> Change[Promotion]:
    """An emergency: freezes no longer hold this promotion up. Everything else still does."""
    if not by.is_human:
        raise OverrideNeedsPerson("A freeze is overridden by a person; ask somebody who may.")
    if promotion.status not in OPEN or promotion.status is S.DEPLOYING:
        raise NotFrozen(
            f"This promotion is {promotion.status.replace('_', ' ')}; there is nothing to override.",
            status=str(promotion.status),
        )
    let_in = replace(promotion, override=Override(by.subject, reason, at), updated_at=at)
    told = _fact("FreezeOverrideGranted", let_in, grantedBy=by.subject, reason=reason)
    return Change(let_in, "promotion.freeze-overridden", (told,))


def complete(
    promotion: Promotion, revision: str, images: tuple[str, ...], url: str | None, at: datetime
) -> Change[Promotion]:
    """The release runs there, desired by the git commit `revision`; `images` are name@digest."""
    status = MACHINE.next(promotion.status, "complete")
    done = replace(promotion, status=status, url=url, completed_at=at, updated_at=at)
    fact = _fact(
        "DeploymentPromoted",
        done,
        fromEnvironment=done.source_environment,
        toEnvironment=done.environment_name,
        manifestRevision=revision,
        images=list(images),
        strategy=str(done.strategy),
    )
    return Change(done, "promotion.deployed", (fact,))


def fail(promotion: Promotion, cause: str, at: datetime) -> Change[Promotion]:
    status = MACHINE.next(promotion.status, "fail")
    failed = replace(promotion, status=status, cause=cause, completed_at=at, updated_at=at)
    return Change(failed, "promotion.failed", (_fact("PromotionFailed", failed, cause=cause),))


def roll_back(promotion: Promotion, cause: str, at: datetime) -> Change[Promotion]:
    """What ran before it runs again."""
    back = replace(
        promotion,
        status=MACHINE.next(promotion.status, "roll_back"),
        cause=cause,
        completed_at=at,
        updated_at=at,
    )
    return Change(back, "promotion.rolled-back", (_fact("ReleaseRolledBack", back, cause=cause),))


def reinstate(promotion: Promotion, at: datetime) -> Change[Promotion]:
    """A rollback has made it what runs again."""
    return Change(replace(promotion, superseded_by=None, updated_at=at), "promotion.reinstated")


def supersede(promotion: Promotion, by: str, at: datetime) -> Change[Promotion]:
    """Another release runs in its place now."""
    replaced = replace(promotion, superseded_by=by, updated_at=at)
    fact = _fact("ReleaseSuperseded", replaced, supersededBy=f"prom-{by}")
    return Change(replaced, "promotion.superseded", (fact,))


def _outcome(promotion: Promotion, approvers: tuple[str, ...] = ()) -> tuple[Event, ...]:
    match promotion.status:
        case S.APPROVED:
            granted = {
                "approvalId": f"appr-{promotion.approvals[-1]}" if promotion.approvals else None,
                "approver": approvers[-1] if approvers else None,
                "approvers": list(approvers),
                "approvalsGranted": promotion.approvals_granted,
                "approvalsRequired": promotion.required_approvals,
            }
            return (_fact("ReleaseApproved", promotion, **granted),)
        case S.REJECTED:
            return (_fact("ReleaseRejected", promotion, cause=promotion.cause),)
        case _:
            return (_fact("ReleaseCancelled", promotion, cause=promotion.cause),)


def _fact(event_type: str, promotion: Promotion, **more: object) -> Event:
    payload: dict[str, object] = {
        "promotionId": f"prom-{promotion.id}",
        "releaseId": f"rel-{promotion.release}",
        "version": promotion.version,
        "environment": promotion.environment_name,
        **more,
    }
    return Event(event_type, payload, project=promotion.project, module=promotion.module)
