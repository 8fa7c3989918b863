"""Desired state in git and what is known of the live state; manifests as they were rendered."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record


class SyncStatus(StrEnum):
    UNKNOWN = "unknown"
    SYNCED = "synced"
    OUT_OF_SYNC = "out_of_sync"
    SYNCING = "syncing"
    DEGRADED = "degraded"


class ManifestStatus(StrEnum):
    RENDERED = "rendered"
    COMMITTED = "committed"


class DriftKind(StrEnum):
    """How what is there differs: nothing is there; another version; files of it were changed; it is ill; git
    has a later word that was not followed; something is there that git does not want."""

    MISSING = "missing"
    VERSION = "version"
    CONTENT = "content"
    UNHEALTHY = "unhealthy"
    UNAPPLIED = "unapplied"
    UNMANAGED = "unmanaged"


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference. The same difference has the same `hash`, whenever it is seen."""

    kind: DriftKind
    desired: str | None
    actual: str | None
    severity: Severity
    hash: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What one environment should run of one component: all that a manifest says. `digest` is of the
    artifact that runs; `promotion` asked for it (None for a manifest that was only rendered)."""

    environment: str
    project: str
    module: str
    component: str
    release: str
    number: int
    version: str
    release_digest: str
    artifact: str
    ref: str
    digest: str
    strategy: str
    commit_sha: str
    promotion: str | None


@record("manifest", root="environment")
class Manifest(Entity):
    """Desired state as text. Its id derives from its content, so that rendering twice is one manifest."""

    id: str
    tenant: str
    release: str
    environment: str
    environment_name: str
    project: str
    module: str
    git_path: str
    content: str
    content_hash: str
    images: tuple[str, ...]
    status: ManifestStatus
    git_revision: str | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@record("sync-state", root="environment")
class SyncState(Entity):
    """Whether a component runs as git wants it in one environment. The revisions are commits of the GitOps
    repository, `content_hash` is of the desired manifest; None means that nothing is desired. What a look saw
    last is `drift`; `observed_at` may be older than the last look that saw the same."""

    id: str
    tenant: str
    environment: str
    environment_name: str
    component: str
    project: str
    module: str
    path: str
    status: SyncStatus
    desired_revision: str | None = None
    live_revision: str | None = None
    content_hash: str | None = None
    url: str | None = None
    last_error: str | None = None
    last_synced_at: datetime | None = None
    asked_again: bool = False
    """Reconciliation was asked for while a deployment was at work; it comes after that."""
    drift: tuple[Finding, ...] = ()
    observed_at: datetime | None = None
    healings: int = 0
    """How often in a row a look has asked for reconciliation; the next time is not before `heal_after`."""
    heal_after: datetime | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def drift_count(self) -> int:
        return len(self.drift)


def manifest_id(environment: str, content_hash: str) -> str:
    return child_id(environment, "manifest", content_hash)


def sync_state_id(environment: str, component: str) -> str:
    return child_id(environment, "sync-state", component)


def placed_at(path: str) -> tuple[str, str, str] | None:
    """Environment, project and module whose desired state a path holds; None for any other file."""
    match path.split("/"):
        case [environment, project, module, "release.yaml"]:
            return environment, project, module
        case _:
            return None


def manifest_path(environment: str, project: str, module: str) -> str:
    """Where a component's desired state lives in the tenant's GitOps repository."""
    return f"{environment}/{project}/{module}/release.yaml"
