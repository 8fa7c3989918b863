"""Names that code and infrastructure share: queues, containers, which event goes to which queue, which
queries exist.

Nothing else may spell them.
"""

from shared.ports.index import Index

SERVICE_BUS = "ServiceBus"
"""Connection name of the Service Bus triggers."""
COSMOS = "Cosmos"
"""Connection name of the change feed trigger."""
DATABASE = "slipway"
DOCUMENTS = "documents"
LEASES = "leases"
BLOBS = "blobs"
"""The container of bundles, logs and build outputs."""
VIEWS_LEASES = "views"
"""Prefix of the second reader of the feed in the same container."""

SOURCE = "source"
CHECKS = "checks"
RUNS = "runs"
PROMOTIONS = "promotions"
DEPLOYMENTS = "deployments"
GITOPS = "gitops"
IMAGES = "images"
PACKAGES = "packages"
INFRASTRUCTURE = "infrastructure"
QUEUES = (SOURCE, CHECKS, RUNS, PROMOTIONS, DEPLOYMENTS, GITOPS, INFRASTRUCTURE, IMAGES, PACKAGES)
ROTATION = "secret-rotation"
"""Key Vault's own news that a secret is about to expire. Without sessions: Event Grid cannot send to one."""

# Event or command type -> the queues whose worker acts on it. Types without a row are facts for subscribers.
ROUTES: dict[str, tuple[str, ...]] = {
    "ProvisionRepository": (SOURCE,),
    "RepositoryArchived": (SOURCE,),
    "RepositoryUnarchived": (SOURCE,),
    "MirrorPullRequest": (SOURCE,),
    "MirrorPullRequestAgain": (SOURCE,),
    "HostChanged": (SOURCE,),
    "HostChangedAgain": (SOURCE,),
    "PullRequestOpened": (CHECKS,),
    "PullRequestUpdated": (CHECKS,),
    "PullRequestReopened": (CHECKS,),
    "RerunChecks": (CHECKS,),
    "WeighPullRequests": (CHECKS,),
    "BranchPolicyChanged": (CHECKS,),
    "CompletePullRequest": (CHECKS,),
    "RunPipeline": (RUNS,),
    "PipelineRunCompleted": (CHECKS,),
    "ReleasePlanned": (PROMOTIONS,),
    "PromotionReady": (PROMOTIONS,),
    "DeploymentRequested": (DEPLOYMENTS,),
    "DeploymentPromoted": (PROMOTIONS,),
    "ReconcileRequested": (GITOPS,),
    "CheckDrift": (GITOPS,),
    "DesiredStateCommitted": (GITOPS,),
    "RunPipelineAgain": (RUNS,),
    "RunOverdue": (RUNS,),
    "FollowRun": (RUNS,),
    "CancelHostRun": (RUNS,),
    "DeploymentRequestedAgain": (DEPLOYMENTS,),
    "RolloutDue": (GITOPS,),
    "RolloutDueAgain": (GITOPS,),
    "RetirementDue": (GITOPS,),
    "PromotionDue": (PROMOTIONS,),
    "EnvironmentRulesChanged": (PROMOTIONS,),
    "PublishPackage": (PACKAGES,),
    "PublishPackageAgain": (PACKAGES,),
    "PushContainerImage": (IMAGES,),
    "PushContainerImageAgain": (IMAGES,),
    "ContainerImagePushed": (IMAGES,),
    "ContainerImageScanned": (PROMOTIONS,),
    "ProvisionInfrastructure": (INFRASTRUCTURE,),
    "ProvisionInfrastructureAgain": (INFRASTRUCTURE,),
    "InfrastructureOverdue": (INFRASTRUCTURE,),
}

PARKED_EVENT = "MessageParked"


def parked(queue: str) -> str:
    """Holds what the queue's worker could not handle, with why, until an operator redrives it. Nothing
    reads it."""
    return f"{queue}-parked"


INDEXES: tuple[Index, ...] = (
    Index("repository", (), "created_at"),
    Index("repository", ("project",), "created_at"),
    Index("repository", (), "name"),
    Index("repository", ("project",), "name"),
    Index("branch", ("repository",), "name"),
    Index("branch", ("repository",), "updated_at"),
    Index("branch", ("repository", "status"), "name"),
    Index("commit", ("repository",), "recorded_at"),
    Index("commit", ("repository", "branch"), "recorded_at"),
    Index("commit", ("repository", "author"), "recorded_at"),
    Index("commit", ("repository",), "committed_at"),
    Index("commit", ("repository", "branch"), "committed_at"),
    Index("pull-request", (), "created_at"),
    Index("pull-request", ("project",), "created_at"),
    Index("pull-request", ("status",), "created_at"),
    Index("pull-request", ("opened_by",), "created_at"),
    Index("pull-request", ("repository",), "created_at"),
    Index("pull-request", ("repository", "status"), "created_at"),
    Index("pull-request", ("repository", "target_branch"), "created_at"),
    Index("pull-request", ("repository",), "number"),
    Index("pull-request", (), "updated_at"),
    Index("pull-request", ("repository",), "updated_at"),
    Index("pull-request-review", ("pull_request",), "created_at"),
    Index("pipeline", (), "created_at"),
    Index("pipeline", ("project",), "created_at"),
    Index("pipeline", ("repository",), "created_at"),
    Index("pipeline", (), "updated_at"),
    Index("pipeline-version", ("pipeline",), "number"),
    Index("run", (), "created_at"),
    Index("run", ("project",), "created_at"),
    Index("run", ("repository",), "created_at"),
    Index("run", ("pipeline",), "created_at"),
    Index("run", ("status",), "created_at"),
    Index("run", ("repository", "branch"), "created_at"),
    Index("run", (), "updated_at"),
    Index("build-result", (), "created_at"),
    Index("build-result", ("repository",), "created_at"),
    Index("build-result", ("pipeline",), "created_at"),
    Index("build-result", ("status",), "created_at"),
    Index("build-result", ("repository", "branch"), "created_at"),
    Index("package", ("feed", "package_type", "served"), "name"),
    Index("package-publication", (), "created_at"),
    Index("package-publication", ("feed",), "created_at"),
    Index("package-publication", ("feed", "name"), "created_at"),
    Index("package-publication", ("build_result",), "created_at"),
    Index("package-publication", ("status",), "created_at"),
    Index("package-publication", (), "updated_at"),
    Index("container-image", (), "created_at"),
    Index("container-image", ("build_result",), "created_at"),
    Index("container-image", ("project",), "created_at"),
    Index("container-image", ("repository",), "created_at"),
    Index("container-image", ("status",), "created_at"),
    Index("container-image", (), "updated_at"),
    Index("release", (), "created_at"),
    Index("release", ("project",), "created_at"),
    Index("release", ("project", "module"), "created_at"),
    Index("release", ("status",), "created_at"),
    Index("release", ("project", "module"), "number"),
    Index("promotion", (), "created_at"),
    Index("promotion", ("project",), "created_at"),
    Index("promotion", ("release",), "created_at"),
    Index("promotion", ("environment_name",), "created_at"),
    Index("promotion", ("status",), "created_at"),
    Index("promotion", ("environment_name", "status"), "created_at"),
    Index("promotion", (), "updated_at"),
    Index("deployment", (), "created_at"),
    Index("deployment", ("release",), "created_at"),
    Index("deployment", ("environment_name",), "created_at"),
    Index("deployment", ("status",), "created_at"),
    Index("deployment", (), "updated_at"),
    Index("sync-state", (), "updated_at"),
    Index("sync-state", ("environment_name",), "updated_at"),
    Index("sync-state", ("status",), "updated_at"),
    Index("sync-state", (), "module"),
    Index("stack", (), "created_at"),
    Index("stack", ("project",), "created_at"),
    Index("stack", ("environment_name",), "created_at"),
    Index("stack", (), "name"),
    Index("stack", (), "updated_at"),
    Index("infrastructure-plan", (), "created_at"),
    Index("infrastructure-plan", ("project",), "created_at"),
    Index("infrastructure-plan", ("stack",), "created_at"),
    Index("infrastructure-plan", ("environment_name",), "created_at"),
    Index("infrastructure-plan", ("status",), "created_at"),
    Index("infrastructure-plan", (), "updated_at"),
)
