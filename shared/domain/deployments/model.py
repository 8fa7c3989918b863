"""The execution of a promotion: one attempt to make an environment run a release."""

from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record
from shared.domain.releases.strategies import RolloutWish, Strategy


class DeploymentKind(StrEnum):
    DEPLOY = "deploy"
    ROLLBACK = "rollback"


class DeploymentStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"


class DeploymentStep(StrEnum):
    PROVISIONING = "provisioning"
    CONFIGURING = "configuring"
    ROLLING_OUT = "rolling_out"
    HEALTH_GATING = "health_gating"
    PROMOTING = "promoting"


@record("deployment", root="environment")
class Deployment(Entity):
    """`token` is the lane's when it started. `cause` says why it failed; once it is set, the outcome is
    decided and only the cleaning up is left. `superseded_by` is the deployment that replaced it.

    A rollback is of a `promotion`, for a `reason`, and brings back what the deployment `restores` had
    brought, which the promotion `restored_promotion` had asked for."""

    id: str
    tenant: str
    kind: DeploymentKind
    promotion: str
    release: str
    release_digest: str
    component: str
    project: str
    module: str
    environment: str
    environment_name: str
    strategy: Strategy
    token: int
    status: DeploymentStatus
    step: DeploymentStep
    rollout: RolloutWish | None = None
    previous_release: str | None = None
    previous_deployment: str | None = None
    restores: str | None = None
    restored_promotion: str | None = None
    reason: str | None = None
    manifest: str | None = None
    gitops_commit: str | None = None
    url: str | None = None
    cause: str | None = None
    superseded_by: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    updated_at: datetime
    revision: int = 0

    @property
    def serving(self) -> str:
        """The promotion whose release it makes the environment run."""
        return self.restored_promotion or self.promotion


def deployment_id(promotion: str, token: int) -> str:
    return child_id(promotion, "deployment", str(token))
