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


def begin(
    promotion: Promotion, token: int, previous: tuple[str, str] | None, at: datetime
) -> Change[Deployment]:
    """The deployment of a promotion that was just let into its lane; its worker is told in the same batch.
    `previous` are the release and the deployment that are current there."""
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
        rollout=promotion.rollout,
        token=token,
        status=MACHINE.next(S.PENDING, "run"),
        step=DeploymentStep.CONFIGURING,
        previous_release=previous[0] if previous else None,
        previous_deployment=previous[1] if previous else None,
        created_at=at,
        started_at=at,
        updated_at=at,
    )
    return Change(deployment, "deployment.started", with_reminders(command(deployment), at))


def begin_rollback(
    promotion: Promotion, restored: Deployment, token: int, reason: str, at: datetime
) -> Change[Deployment]:
    """The way back from what a promotion brought to what the deployment `restored` had brought. It is a
    deployment like others, and what runs afterwards may itself be rolled back."""
    deployment = replace(
        restored,
        id=deployment_id(promotion.id, token),
        kind=DeploymentKind.ROLLBACK,
        promotion=promotion.id,
        token=token,
        status=MACHINE.next(S.PENDING, "run"),
        step=DeploymentStep.CONFIGURING,
        restores=restored.id,
        restored_promotion=restored.serving,
        reason=reason,
        manifest=None,
        gitops_commit=None,
        url=None,
        cause=None,
        superseded_by=None,
        created_at=at,
        started_at=at,
        completed_at=None,
        updated_at=at,
        revision=0,
    )
    return Change(deployment, "deployment.rollback-started", with_reminders(command(deployment), at))


def command(deployment: Deployment) -> Event:
    """What its worker is told."""
    return Event(
        "DeploymentRequested",
        {
            "deploymentId": f"dep-{deployment.id}",
            "promotionId": f"prom-{deployment.promotion}",
            "releaseId": f"rel-{deployment.release}",
            "environment": deployment.environment_name,
            "token": deployment.token,
        },
        project=deployment.project,
        module=deployment.module,
    )


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
    the restored state for its own success. What was let near anybody's requests is rolled back."""
    seen = deployment.step is DeploymentStep.HEALTH_GATING
    status = MACHINE.next(deployment.status, "roll_back") if seen else deployment.status
    MACHINE.next(deployment.status, "fail")
    return Change(
        replace(deployment, status=status, cause=cause, updated_at=at),
        "deployment.rolling-back" if seen else "deployment.condemned",
    )


def fail(deployment: Deployment, at: datetime) -> Change[Deployment]:
    status = MACHINE.next(deployment.status, "fail")
    return Change(replace(deployment, status=status, completed_at=at, updated_at=at), "deployment.failed")


def rolled_back(deployment: Deployment, at: datetime, *, runs: bool) -> Change[Deployment]:
    """What ran before runs again, or (not `runs`) does not."""
    status = MACHINE.next(deployment.status, "finish_rollback" if runs else "fail_rollback")
    back = replace(deployment, status=status, completed_at=at, updated_at=at)
    told: dict[str, object] = {
        "deploymentId": f"dep-{back.id}",
        "promotionId": f"prom-{back.promotion}",
        "releaseId": f"rel-{back.release}",
        "environment": back.environment_name,
        "previousReleaseId": f"rel-{back.previous_release}" if back.previous_release else None,
        "cause": back.cause,
    }
    event = Event("DeploymentRolledBack", told, project=back.project, module=back.module)
    return Change(back, f"deployment.{status.replace('_', '-')}", (event,) if runs else ())


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
