"""How a plan goes on, and what it leaves of its stack. Whose turn it is is for `turns` to say."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.approvals.errors import CommentRequired, HumanRequired, SelfApproval
from shared.domain.approvals.model import Decision
from shared.domain.environments.model import Environment
from shared.domain.infrastructure import events
from shared.domain.infrastructure.errors import (
    AnotherDigest,
    NotAwaitingApproval,
    NothingToDestroy,
    PlanNotCancellable,
    StackElsewhere,
)
from shared.domain.infrastructure.model import (
    Engine,
    InfrastructurePlan,
    Operation,
    Outcome,
    PlanStatus,
    Preview,
    Stack,
    StackStatus,
    Vote,
    stack_id,
)
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Problem
from shared.domain.kernel.machine import Machine

S = PlanStatus
_OPEN = (S.REQUESTED, S.PREVIEWING, S.PREVIEWED, S.AWAITING_APPROVAL, S.APPLYING, S.DESTROYING)

MACHINE = Machine(
    "infrastructure plan",
    S,
    initial=(S.REQUESTED,),
    moves={
        "preview": ((S.REQUESTED,), S.PREVIEWING),
        "finish_preview": ((S.PREVIEWING,), S.PREVIEWED),
        "await_approval": ((S.PREVIEWING,), S.AWAITING_APPROVAL),
        "approve": ((S.AWAITING_APPROVAL,), S.PREVIEWED),
        "reject": ((S.AWAITING_APPROVAL,), S.REJECTED),
        "apply": ((S.PREVIEWED,), S.APPLYING),
        "complete": ((S.APPLYING,), S.APPLIED),
        "destroy": ((S.PREVIEWED, S.APPLIED), S.DESTROYING),
        "finish_destruction": ((S.DESTROYING,), S.DESTROYED),
        "keep": ((S.DESTROYING,), S.APPLIED),
        "fail": (_OPEN, S.FAILED),
        "cancel": (_OPEN, S.CANCELLED),
    },
)
STACK_MACHINE = Machine(
    "stack",
    StackStatus,
    initial=(StackStatus.NEW,),
    moves={
        "apply": ((StackStatus.NEW, StackStatus.ACTIVE, StackStatus.DESTROYED), StackStatus.ACTIVE),
        "destroy": ((StackStatus.ACTIVE, StackStatus.DESTROYED), StackStatus.DESTROYED),
    },
)
BLOCKED = "plan_blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackDraft:
    """Which stack is meant."""

    project: str
    environment: str
    engine: Engine
    program: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDraft:
    """What is asked of a stack. `secrets` are names in the vault."""

    operation: Operation = Operation.UP
    config: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


def declare(draft: StackDraft, by: Actor, at: datetime) -> Change[Stack]:
    """A stack, on its first mention."""
    stack = Stack(
        id=stack_id(by.tenant, draft.program, draft.name),
        tenant=by.tenant,
        project=draft.project,
        name=draft.name,
        engine=draft.engine,
        program=draft.program,
        environment_name=draft.environment,
        status=StackStatus.NEW,
        created_by=by.subject,
        created_at=at,
        updated_at=at,
    )
    return Change(stack, "stack.declared")


def check_place(stack: Stack, draft: StackDraft) -> None:
    """A stack never moves: under another environment's name it would get past its own environment's rules."""
    if (stack.project, stack.environment_name) != (draft.project, draft.environment):
        raise StackElsewhere(
            f"Stack {stack.name} of this program belongs to project {stack.project} and environment"
            f" {stack.environment_name}; name those, or choose another stack name.",
            stackId=f"stack-{stack.id}",
            projectId=stack.project,
            environment=stack.environment_name,
        )


def mention(stack: Stack, plan: str, at: datetime) -> Stack:
    """The stack knows its latest plan."""
    return replace(stack, last_plan=plan, updated_at=at)


def request(
    stack: Stack, plan: str, draft: PlanDraft, by: Actor, trace_id: str, at: datetime
) -> Change[InfrastructurePlan]:
    """A plan for the stack under the id `plan`. NothingToDestroy."""
    if draft.operation is Operation.DESTROY and stack.status is not StackStatus.ACTIVE:
        raise NothingToDestroy(
            f"Stack {stack.name} holds nothing: it was "
            f"{'destroyed' if stack.status is StackStatus.DESTROYED else 'never applied'}.",
            status=str(stack.status),
        )
    wanted = InfrastructurePlan(
        id=plan,
        tenant=stack.tenant,
        project=stack.project,
        stack=stack.id,
        stack_name=stack.name,
        engine=stack.engine,
        program=stack.program,
        environment_name=stack.environment_name,
        operation=draft.operation,
        config=draft.config,
        secrets=draft.secrets,
        status=S.REQUESTED,
        requested_by=by.subject,
        requested_for=by.on_behalf_of,
        trace_id=trace_id,
        created_at=at,
        updated_at=at,
    )
    return Change(wanted, "infrastructure-plan.requested", (events.provision_requested(wanted),))


def is_over(plan: InfrastructurePlan) -> bool:
    return not MACHINE.can(plan.status, "cancel")


def begin(plan: InfrastructurePlan, at: datetime) -> Change[InfrastructurePlan]:
    """Its turn has come: to be previewed, or to be carried out."""
    if plan.status is S.REQUESTED:
        status = MACHINE.next(plan.status, "preview")
        return Change(replace(plan, status=status, updated_at=at), "infrastructure-plan.previewing")
    status = MACHINE.next(plan.status, "apply" if plan.operation is Operation.UP else "destroy")
    started = replace(plan, status=status, started_at=at, updated_at=at)
    return Change(started, f"infrastructure-plan.{status}")


def needs_approval(plan: InfrastructurePlan, preview: Preview, environment: Environment) -> bool:
    """Whoever destroys, or in production deletes or replaces, is not to be alone with it."""
    if plan.operation is Operation.DESTROY:
        return True
    return environment.is_production and preview.counts.is_destructive


def preview(
    plan: InfrastructurePlan, seen: Preview, environment: Environment, at: datetime
) -> Change[InfrastructurePlan]:
    """What the preview has come to: it may be carried out, waits for a decision, or must not be."""
    known = replace(
        plan,
        digest=seen.digest,
        engine_mode=seen.engine_mode,
        counts=seen.counts,
        changes=seen.changes,
        violations=seen.violations,
        previewed_at=at,
        updated_at=at,
    )
    if seen.obstacles:
        more = f" (and {len(seen.obstacles) - 1} more)" if len(seen.obstacles) > 1 else ""
        return fail(known, BLOCKED, f"The plan may not be carried out: {seen.obstacles[0]}{more}", at)
    waits = needs_approval(plan, seen, environment)
    status = MACHINE.next(plan.status, "await_approval" if waits else "finish_preview")
    cleared = replace(known, status=status, needs_approval=waits)
    return Change(cleared, "infrastructure-plan.previewed", (events.previewed(cleared),))


def decide(
    plan: InfrastructurePlan,
    environment: Environment,
    by: Actor,
    decision: Decision,
    *,
    comment: str,
    digest: str | None,
    at: datetime,
) -> Change[InfrastructurePlan]:
    """The decision on exactly what was previewed; `digest` is what the approver has seen, where it says so.

    Raises NotAwaitingApproval, SelfApproval, HumanRequired, AnotherDigest, CommentRequired.
    """
    if plan.status is not S.AWAITING_APPROVAL or plan.digest is None:
        raise NotAwaitingApproval(
            f"This plan is {plan.status.replace('_', ' ')} and takes no decision.", status=str(plan.status)
        )
    if by.principals & plan.requesters:
        raise SelfApproval(
            "Whoever requested a plan, or acts for or through its requester, may not decide on it;"
            " ask someone else."
        )
    if environment.human_required and not by.is_human:
        raise HumanRequired(
            f"Only a person may decide on a plan for {environment.name}; ask one who may approve.",
            environment=environment.name,
        )
    if digest is not None and digest != plan.digest:
        raise AnotherDigest(
            "The digest is not this plan's; look at the plan again and decide on what it shows.",
            planDigest=plan.digest,
        )
    if decision is not Decision.APPROVED and not comment.strip():
        problem = Problem("comment", f"Say why it is {decision}.", "comment_required")
        raise CommentRequired("A comment is required.", problem)
    vote = Vote(by.subject, by.on_behalf_of, by.kind, decision, comment, plan.digest, at)
    if decision is Decision.APPROVED:
        status = MACHINE.next(plan.status, "approve")
        cleared = replace(plan, status=status, vote=vote, updated_at=at)
        return Change(cleared, "infrastructure-plan.approved", (events.approved(cleared, by.subject),))
    refused = replace(
        plan,
        status=MACHINE.next(plan.status, "reject"),
        vote=vote,
        cause=f"Rejected by {by.subject}: {comment}",
        completed_at=at,
        updated_at=at,
    )
    return Change(refused, "infrastructure-plan.rejected", (events.rejected(refused, by.subject),))


def complete(plan: InfrastructurePlan, outcome: Outcome, at: datetime) -> Change[InfrastructurePlan]:
    """It is as the plan says."""
    is_up = plan.operation is Operation.UP
    done = replace(
        plan,
        status=MACHINE.next(plan.status, "complete" if is_up else "finish_destruction"),
        counts=outcome.counts,
        outputs=outcome.outputs,
        completed_at=at,
        updated_at=at,
    )
    fact = events.provisioned(done) if is_up else events.destroyed(done)
    return Change(done, f"infrastructure-plan.{done.status}", (fact,))


def fail(plan: InfrastructurePlan, reason: str, cause: str, at: datetime) -> Change[InfrastructurePlan]:
    failed = replace(
        plan,
        status=MACHINE.next(plan.status, "fail"),
        reason=reason,
        cause=cause,
        completed_at=at,
        updated_at=at,
    )
    return Change(failed, "infrastructure-plan.failed", (events.failed(failed),))


def cancel(plan: InfrastructurePlan, by: Actor, reason: str, at: datetime) -> Change[InfrastructurePlan]:
    """End it, whatever it is doing. PlanNotCancellable once it has ended."""
    if is_over(plan) or (plan.operation is Operation.UP and plan.status is S.DESTROYING):
        hint = (
            "destroy the stack to undo it"
            if plan.status is S.APPLIED
            else "cancel the plan that destroys it"
            if plan.status is S.DESTROYING
            else "it has ended"
        )
        raise PlanNotCancellable(
            f"This plan is {plan.status.replace('_', ' ')} and cannot be cancelled: {hint}.",
            status=str(plan.status),
        )
    gone = replace(
        plan,
        status=MACHINE.next(plan.status, "cancel"),
        cause=f"Cancelled by {by.subject}: {reason}" if reason else f"Cancelled by {by.subject}.",
        completed_at=at,
        updated_at=at,
    )
    return Change(gone, "infrastructure-plan.cancelled", (events.cancelled(gone),))


def too_late(plan: InfrastructurePlan, outputs: str | None, at: datetime) -> InfrastructurePlan:
    """A plan that was ended while its engine had carried it out already says so."""
    said = f"{plan.cause} The engine had carried it out before it heard of that."
    return replace(plan, cause=said, outputs=outputs, updated_at=at)


def condemn(plan: InfrastructurePlan, by: str, at: datetime) -> Change[InfrastructurePlan]:
    """What this plan made is being destroyed by another one."""
    status = MACHINE.next(plan.status, "destroy")
    return Change(
        replace(plan, status=status, superseded_by=by, updated_at=at), "infrastructure-plan.condemned"
    )


def end(plan: InfrastructurePlan, at: datetime) -> Change[InfrastructurePlan]:
    """What this plan made is gone."""
    status = MACHINE.next(plan.status, "finish_destruction")
    return Change(replace(plan, status=status, updated_at=at), "infrastructure-plan.destroyed")


def keep(plan: InfrastructurePlan, at: datetime) -> Change[InfrastructurePlan]:
    """What this plan made stays, because its destruction came to nothing."""
    status = MACHINE.next(plan.status, "keep")
    return Change(replace(plan, status=status, superseded_by=None, updated_at=at), "infrastructure-plan.kept")


def supersede(plan: InfrastructurePlan, by: str, at: datetime) -> Change[InfrastructurePlan]:
    """Another plan has changed the stack since."""
    return Change(replace(plan, superseded_by=by, updated_at=at), "infrastructure-plan.superseded")


def take_effect(stack: Stack, plan: InfrastructurePlan, outputs: str | None, at: datetime) -> Change[Stack]:
    """The stack is what this plan made of it."""
    is_up = plan.operation is Operation.UP
    changed = replace(
        stack,
        status=STACK_MACHINE.next(stack.status, "apply" if is_up else "destroy"),
        engine_mode=plan.engine_mode,
        digest=plan.digest,
        outputs=outputs,
        current=plan.id if is_up else None,
        applied_at=at,
        updated_at=at,
    )
    return Change(changed, f"stack.{'applied' if is_up else 'destroyed'}")


def first_status(plan: InfrastructurePlan) -> PlanStatus:
    """What the plan's requester was first told, however far it has come since: a retry hears the same."""
    if plan.needs_approval is None:
        return plan.status
    if plan.needs_approval:
        return S.AWAITING_APPROVAL
    return S.APPLYING if plan.operation is Operation.UP else S.DESTROYING
