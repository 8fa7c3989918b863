"""Names that code and infrastructure share: queues, containers, which event goes to which queue, which
queries exist.

Nothing else may spell them.
"""

from shared.ports.store import Index

SERVICE_BUS = "ServiceBus"
"""Connection name of the Service Bus triggers."""
COSMOS = "Cosmos"
"""Connection name of the change feed trigger."""
DATABASE = "slipway"
DOCUMENTS = "documents"
LEASES = "leases"
VIEWS_LEASES = "views"
"""Prefix of the second reader of the feed in the same container."""

SOURCE = "source"
CHECKS = "checks"
RUNS = "runs"
PROMOTIONS = "promotions"
DEPLOYMENTS = "deployments"
GITOPS = "gitops"
QUEUES = (SOURCE, CHECKS, RUNS, PROMOTIONS, DEPLOYMENTS, GITOPS)

# Event or command type -> the queues whose worker acts on it. Types without a row are facts for subscribers.
ROUTES: dict[str, tuple[str, ...]] = {
    "ProvisionRepository": (SOURCE,),
    "PullRequestOpened": (CHECKS,),
    "PullRequestUpdated": (CHECKS,),
    "RunPipeline": (RUNS,),
    "PipelineRunCompleted": (CHECKS,),
    "ReleasePlanned": (PROMOTIONS,),
    "PromotionReady": (PROMOTIONS,),
    "DeploymentRequested": (DEPLOYMENTS,),
    "DeploymentPromoted": (PROMOTIONS,),
    "ReconcileRequested": (GITOPS,),
    "RunPipelineAgain": (RUNS,),
    "RunOverdue": (RUNS,),
    "DeploymentRequestedAgain": (DEPLOYMENTS,),
}

PARKED_EVENT = "MessageParked"


def parked(queue: str) -> str:
    """Holds what the queue's worker could not handle, with why, until an operator redrives it. Nothing
    reads it."""
    return f"{queue}-parked"


INDEXES: tuple[Index, ...] = (
    Index("repository", (), "created_at"),
    Index("repository", ("project",), "created_at"),
    Index("branch", ("repository",), "name"),
    Index("commit", ("repository",), "recorded_at"),
    Index("commit", ("repository", "branch"), "recorded_at"),
    Index("pull-request", ("repository",), "number"),
    Index("pull-request", ("repository", "status"), "number"),
    Index("pipeline", ("repository",), "created_at"),
    Index("run", ("repository",), "created_at"),
    Index("run", ("pipeline",), "created_at"),
    Index("build-result", ("repository",), "created_at"),
    Index("release", (), "created_at"),
    Index("release", ("project",), "created_at"),
    Index("release", ("component",), "created_at"),
    Index("promotion", (), "created_at"),
    Index("promotion", ("release",), "created_at"),
    Index("promotion", ("environment",), "created_at"),
    Index("deployment", ("environment",), "created_at"),
    Index("deployment", ("release",), "created_at"),
    Index("sync-state", (), "updated_at"),
    Index("sync-state", ("environment",), "updated_at"),
)
