"""Who may do what, where, and why: the one table that every role assignment of the stack is made from. A
scope is one resource, or a few named ones; never a resource group or a subscription.
"""

from dataclasses import dataclass
from uuid import UUID, uuid5

APP = "app"
"""The function apps, and the gateway: one package, one identity."""
JOBS = "jobs"
DEPLOY = "deploy"
EXPIRIES = "secret-events"
"""Event Grid's own identity, which is part of its topic."""

HOST_STORAGE = "host storage"
DATA_STORAGE = "data storage"
BLOBS = "container blobs"
EVIDENCE = "container evidence"
RELEASES = "container releases"
QUEUES = "every queue"
APP_QUEUES = "queues the app works"
JOB_QUEUES = "queues the jobs work"
ROTATION = "queue of secret events"
DATABASE = "database"
VAULT = "vault"
TELEMETRY = "application insights"
REGISTRY = "registry"
SITES = "function apps"

ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Azure Service Bus Data Owner": "090c5cfd-751d-490a-894a-3ce6f1109419",
    "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Delegator": "db58b8e5-c6ad-4a2a-8342-4190687cbf4a",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Website Contributor": "de139f84-1756-47ae-9be6-808fbbe84772",
}
"""Azure's own roles, by name."""
COSMOS_ROLES = {"Cosmos DB Built-in Data Contributor": "00000000-0000-0000-0000-000000000002"}
"""The data plane of Cosmos DB has roles of its own, which Azure's role assignments do not know."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One row. `scope` is a name from above; a stack may have one resource behind it, several, or none."""

    who: str
    role: str
    scope: str
    why: str


_DOCUMENTS = "Cosmos DB Built-in Data Contributor"

GRANTS = (
    Grant(
        APP, "Storage Blob Data Owner", HOST_STORAGE, "the host reads its package and keeps locks and keys"
    ),
    Grant(APP, "Storage Table Data Contributor", HOST_STORAGE, "the host writes its diagnostic events"),
    Grant(APP, "Storage Blob Data Contributor", BLOBS, "bundles, logs and build outputs"),
    Grant(APP, "Storage Blob Data Contributor", EVIDENCE, "adds evidence; nobody changes what is there"),
    Grant(
        APP, "Storage Blob Delegator", DATA_STORAGE, "signs the URL of one blob for a caller, without a key"
    ),
    Grant(APP, _DOCUMENTS, DATABASE, "the store, its change feed and the feed's leases"),
    Grant(APP, "Azure Service Bus Data Sender", QUEUES, "the relay sends, and parks beside a queue"),
    Grant(APP, "Azure Service Bus Data Receiver", APP_QUEUES, "workers receive and settle"),
    Grant(APP, "Key Vault Secrets Officer", VAULT, "sets, reads, disables and deletes tenants' secrets"),
    Grant(APP, "Monitoring Metrics Publisher", TELEMETRY, "sends telemetry without a key"),
    Grant(APP, "AcrPull", REGISTRY, "the gateway's image"),
    Grant(JOBS, "Azure Service Bus Data Owner", JOB_QUEUES, "works them; the scaler may not count with less"),
    Grant(JOBS, _DOCUMENTS, DATABASE, "records how runs go"),
    Grant(JOBS, "Storage Blob Data Contributor", BLOBS, "reads sources, writes logs and build outputs"),
    Grant(JOBS, "Key Vault Secrets User", VAULT, "reads the signing keys, and what a step asks for"),
    Grant(JOBS, "Monitoring Metrics Publisher", TELEMETRY, "sends telemetry without a key"),
    Grant(JOBS, "AcrPull", REGISTRY, "the jobs' image"),
    Grant(DEPLOY, "Website Contributor", SITES, "publishes packages; neither reads tenants' data nor grants"),
    Grant(DEPLOY, "Storage Blob Data Contributor", RELEASES, "keeps each package, to go back to it"),
    Grant(EXPIRIES, "Azure Service Bus Data Sender", ROTATION, "tells that a secret is about to expire"),
)


def assignment_id(suffix: str, grant: Grant, label: str) -> str:
    """The same row of the same stack is the same assignment: a second deployment finds it."""
    return str(uuid5(UUID(int=0), f"slipway/{suffix}/{grant.who}/{grant.role}/{label}"))


def as_table() -> str:
    """The table as people read it, in Markdown."""
    rows = [f"| {grant.who} | {grant.role} | {grant.scope} | {grant.why} |" for grant in GRANTS]
    return "\n".join(("| who | role | on | why |", "|---|---|---|---|", *rows))
