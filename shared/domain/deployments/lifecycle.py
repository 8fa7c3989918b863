"""How a deployment goes on. Every verb is a move of the table; late work is told by `is_late`, not by an
error."""

from dataclasses import replace
from datetime import datetime

from shared.domain.deployments.model import (
    Deployment,
    DeploymentKind,
    DeploymentStatus,
    DeploymentStep,
    deployment_id,
)
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event, with_reminders
from shared.domain.kernel.machine import Machine
from shared.domain.promotions.model import Promotion

S = DeploymentStatus

MACHINE = Machine(
    "deployment",
    S,
    initial=(S.PENDING,),
    moves={
        "run": ((S.PENDING,), S.RUNNING),
        "pause": ((S.RUNNING,), S.PAUSED),
        "resume": ((S.PAUSED,), S.RUNNING),
        "succeed": ((S.RUNNING,), S.SUCCEEDED),
        "succeed_partially": ((S.RUNNING,), S.PARTIALLY_SUCCEEDED),
        "fail": ((S.RUNNING,), S.FAILED),
        "cancel": ((S.PENDING, S.RUNNING, S.PAUSED), S.CANCELLED),
        "roll_back": ((S.RUNNING,), S.ROLLING_BACK),
        "finish_rollback": ((S.ROLLING_BACK,), S.ROLLED_BACK),
        "fail_rollback": ((S.ROLLING_BACK,), S.ROLLBACK_FAILED),
    },
)


def begin(promotion: Promotion, token: int, previous_release: str | None, at: datetime) -> Change[Deployment]:
    """The deployment of a promotion that was just let into its lane; its worker is told in the same batch."""
    deployment = Deployment(
        id=deployment_id(promotion.id, token),
        tenant=promotion.tenant,
        kind=DeploymentKind.DEPLOY,
        promotion=promotion.id,
        release=promotion.release,
        release_digest=promotion.release_digest,
        component=promotion.component,
        project=promotion.project,
        module=promotion.module,
        environment=promotion.environment,
        environment_name=promotion.environment_name,
        strategy=promotion.strategy,
        token=token,
        status=MACHINE.next(S.PENDING, "run"),
        step=DeploymentStep.CONFIGURING,
        previous_release=previous_release,
        created_at=at,
        started_at=at,
        updated_at=at,
    )
    command = Event(
        "DeploymentRequested",
        {
            "deploymentId": f"dep-{deployment.id}",
            "promotionId": f"prom-{promotion.id}",
            "releaseId": f"rel-{promotion.release}",
            "environment": promotion.environment_name,
            "token": token,
        },
        project=promotion.project,
        module=promotion.module,
    )
    return Change(deployment, "deployment.started", with_reminders(command, at))


def is_over(deployment: Deployment) -> bool:
    return deployment.status in MACHINE.terminal


def rendered(deployment: Deployment, manifest: str, at: datetime) -> Change[Deployment]:
    """Its desired state is written down, not yet committed."""
    return Change(replace(deployment, manifest=manifest, updated_at=at), "deployment.rendered")


def desired(deployment: Deployment, gitops_commit: str, at: datetime) -> Change[Deployment]:
    """Git says what the environment should run; now the target is brought there."""
    moved = replace(deployment, gitops_commit=gitops_commit, step=DeploymentStep.ROLLING_OUT, updated_at=at)
    return Change(moved, "deployment.rolling-out")


def applied(deployment: Deployment, at: datetime) -> Change[Deployment]:
    """The target did it; what runs is about to be looked at."""
    return Change(replace(deployment, step=DeploymentStep.HEALTH_GATING, updated_at=at), "deployment.applied")


def condemn(deployment: Deployment, cause: str, at: datetime) -> Change[Deployment]:
    """Decide that it failed, before anything is cleaned up: a retry of the cleaning up must not mistake
    the restored state for its own success."""
    MACHINE.next(deployment.status, "fail")
    return Change(replace(deployment, cause=cause, updated_at=at), "deployment.condemned")


def fail(deployment: Deployment, at: datetime) -> Change[Deployment]:
    status = MACHINE.next(deployment.status, "fail")
    return Change(replace(deployment, status=status, completed_at=at, updated_at=at), "deployment.failed")


def succeed(deployment: Deployment, url: str | None, at: datetime) -> Change[Deployment]:
    done = replace(
        deployment,
        status=MACHINE.next(deployment.status, "succeed"),
        step=DeploymentStep.PROMOTING,
        url=url,
        completed_at=at,
        updated_at=at,
    )
    return Change(done, "deployment.succeeded")


def supersede(deployment: Deployment, by: str, at: datetime) -> Change[Deployment]:
    """Another deployment of the component is current now."""
    return Change(replace(deployment, superseded_by=by, updated_at=at), "deployment.superseded")
