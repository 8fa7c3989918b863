"""The facts and commands of infrastructure plans."""

from datetime import datetime

from shared.domain.infrastructure.model import Counts, InfrastructurePlan
from shared.domain.kernel.events import Event, with_reminders


def work_ordered(
    plan: InfrastructurePlan, token: int, at: datetime, *, at_hand: bool = False
) -> tuple[Event, ...]:
    """The command to do what is next for a plan whose turn it is, with its reminders.

    `at_hand`: whoever decides this does the work itself, so the first reminder is early enough.
    """
    ordered = with_reminders(work_asked(plan, token), at)
    return ordered[1:] if at_hand else ordered


def overdue(plan: InfrastructurePlan, token: int, at: datetime) -> Event:
    """Gives the plan up when nobody has finished by then. In a session of its own: a worker that hangs on the
    work must not hold it back."""
    return Event(
        "InfrastructureOverdue",
        _command(plan, token),
        project=plan.project,
        session=f"overdue:{plan.id}",
        not_before=at,
    )


def work_asked(plan: InfrastructurePlan, token: int) -> Event:
    """The command alone, where its reminders are on their way."""
    return Event("ProvisionInfrastructure", _command(plan, token), project=plan.project)


def provision_requested(plan: InfrastructurePlan) -> Event:
    payload = {
        **_names(plan),
        "engine": str(plan.engine),
        "program": plan.program,
        "operation": str(plan.operation),
        "requestedBy": plan.requested_by,
    }
    return Event("InfrastructureProvisionRequested", payload, project=plan.project)


def previewed(plan: InfrastructurePlan) -> Event:
    payload = {
        **_names(plan),
        "changes": summary(plan.counts),
        "planDigest": plan.digest,
        "engineMode": plan.engine_mode,
        "needsApproval": plan.needs_approval,
    }
    return Event("InfrastructurePreviewed", payload, project=plan.project)


def approved(plan: InfrastructurePlan, approver: str) -> Event:
    payload = {**_names(plan), "planDigest": plan.digest, "approver": approver}
    return Event("InfrastructureApproved", payload, project=plan.project)


def rejected(plan: InfrastructurePlan, approver: str) -> Event:
    payload = {**_names(plan), "planDigest": plan.digest, "approver": approver}
    return Event("InfrastructureRejected", payload, project=plan.project)


def provisioned(plan: InfrastructurePlan) -> Event:
    return Event("InfrastructureProvisioned", _outcome(plan), project=plan.project)


def destroyed(plan: InfrastructurePlan) -> Event:
    return Event("InfrastructureDestroyed", _outcome(plan), project=plan.project)


def failed(plan: InfrastructurePlan) -> Event:
    payload = {
        **_names(plan),
        "operation": str(plan.operation),
        "reason": plan.reason,
        "cause": plan.cause,
    }
    return Event("InfrastructureProvisionFailed", payload, project=plan.project)


def cancelled(plan: InfrastructurePlan) -> Event:
    payload = {**_names(plan), "cause": plan.cause}
    return Event("InfrastructureProvisionCancelled", payload, project=plan.project)


def summary(counts: Counts | None) -> dict[str, int]:
    """As the contract counts; a replacement is told apart from what it is made of."""
    known = counts or Counts()
    return {
        "create": known.create,
        "update": known.update,
        "delete": known.delete,
        "replace": known.replace,
    }


def _command(plan: InfrastructurePlan, token: int) -> dict[str, object]:
    return {"infrastructurePlanId": f"infra-{plan.id}", "token": token}


def _names(plan: InfrastructurePlan) -> dict[str, object]:
    return {
        "infrastructurePlanId": f"infra-{plan.id}",
        "stackId": f"stack-{plan.stack}",
        "stack": plan.stack_name,
        "environment": plan.environment_name,
    }


def _outcome(plan: InfrastructurePlan) -> dict[str, object]:
    return {
        **_names(plan),
        "changes": summary(plan.counts),
        "outputsRef": plan.outputs,
        "engineMode": plan.engine_mode,
    }
