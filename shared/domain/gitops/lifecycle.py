"""Desired state out of a release, and how the knowledge of the live state moves."""

from dataclasses import replace
from datetime import datetime

from shared.domain.environments.model import Environment
from shared.domain.gitops.model import (
    DesiredState,
    Manifest,
    ManifestStatus,
    SyncState,
    SyncStatus,
    manifest_id,
    manifest_path,
    sync_state_id,
)
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event
from shared.domain.kernel.machine import Machine
from shared.domain.releases.model import Release, Strategy

S = SyncStatus

MACHINE = Machine(
    "sync state",
    S,
    initial=(S.UNKNOWN,),
    moves={
        "desire": ((S.UNKNOWN, S.SYNCED, S.OUT_OF_SYNC, S.SYNCING, S.DEGRADED), S.OUT_OF_SYNC),
        "sync": ((S.UNKNOWN, S.SYNCED, S.OUT_OF_SYNC, S.SYNCING, S.DEGRADED), S.SYNCING),
        "settle": ((S.SYNCING,), S.SYNCED),
        "degrade": ((S.SYNCING,), S.DEGRADED),
        "drift": ((S.UNKNOWN, S.SYNCED, S.OUT_OF_SYNC, S.SYNCING), S.OUT_OF_SYNC),
        "match": ((S.UNKNOWN, S.OUT_OF_SYNC, S.SYNCING, S.DEGRADED), S.SYNCED),
    },
)


def desired_state(
    release: Release, environment: str, strategy: Strategy, promotion: str | None
) -> DesiredState:
    """What an environment should run when it runs this release."""
    primary = release.primary
    return DesiredState(
        environment=environment,
        project=release.project,
        module=release.module,
        component=release.component,
        release=release.id,
        number=release.number,
        version=release.version,
        release_digest=release.release_digest,
        artifact=primary.artifact,
        ref=primary.ref,
        digest=primary.digest,
        strategy=str(strategy),
        commit_sha=release.source.commit_sha,
        promotion=promotion,
    )


def content_hash(content: bytes) -> str:
    return f"sha256:{sha256_hex(content)}"


def render(release: Release, environment: Environment, content: bytes, at: datetime) -> Change[Manifest]:
    """A manifest, not yet in git."""
    hashed = content_hash(content)
    manifest = Manifest(
        id=manifest_id(environment.id, hashed),
        tenant=environment.tenant,
        release=release.id,
        environment=environment.id,
        environment_name=environment.name,
        project=release.project,
        module=release.module,
        git_path=manifest_path(environment.name, release.project, release.module),
        content=content.decode(),
        content_hash=hashed,
        images=release.images,
        status=ManifestStatus.RENDERED,
        created_at=at,
        updated_at=at,
    )
    return Change(manifest, "manifest.rendered")


def commit(manifest: Manifest, git_revision: str, at: datetime) -> Change[Manifest]:
    committed = replace(manifest, status=ManifestStatus.COMMITTED, git_revision=git_revision, updated_at=at)
    return Change(committed, "manifest.committed")


def first_state(release: Release, environment: Environment, at: datetime) -> SyncState:
    return SyncState(
        id=sync_state_id(environment.id, release.component),
        tenant=environment.tenant,
        environment=environment.id,
        environment_name=environment.name,
        component=release.component,
        project=release.project,
        module=release.module,
        path=manifest_path(environment.name, release.project, release.module),
        status=S.UNKNOWN,
        created_at=at,
        updated_at=at,
    )


def desire(state: SyncState, revision: str | None, hashed: str | None, at: datetime) -> Change[SyncState]:
    """Git wants this content since the commit `revision`. How often another one had to be healed does not
    count any more."""
    moved = replace(
        state,
        status=MACHINE.next(state.status, "desire"),
        desired_revision=revision,
        content_hash=hashed,
        healings=0,
        heal_after=None,
        updated_at=at,
    )
    return Change(moved, "gitops.desired", reason=_of_commit(revision))


def begin_sync(state: SyncState, at: datetime) -> Change[SyncState]:
    status = MACHINE.next(state.status, "sync")
    return Change(replace(state, status=status, updated_at=at), "gitops.syncing")


def settle(state: SyncState, url: str | None, at: datetime, *, drifted: bool = False) -> Change[SyncState]:
    """What runs is what git wants, because it was brought."""
    status = MACHINE.next(state.status, "settle")
    return synced(replace(state, status=status, observed_at=at), url, at, drifted=drifted)


def synced(state: SyncState, url: str | None, at: datetime, *, drifted: bool) -> Change[SyncState]:
    """What runs is what git wants; `drifted`: and it was not before."""
    calm = replace(
        state,
        live_revision=state.desired_revision,
        url=url,
        last_error=None,
        last_synced_at=at,
        drift=(),
        updated_at=at,
    )
    payload: dict[str, object] = {
        "syncStateId": f"sync-{state.id}",
        "environment": state.environment_name,
        "desiredRevision": calm.desired_revision,
        "liveRevision": calm.live_revision,
        "driftResolved": drifted,
    }
    fact = Event("GitOpsSynced", payload, project=state.project, module=state.module)
    return Change(calm, "gitops.synced", (fact,), _of_commit(calm.live_revision))


def degrade(state: SyncState, cause: str, at: datetime) -> Change[SyncState]:
    """What runs is not what git wants, and trying again did not help."""
    broken = replace(state, status=MACHINE.next(state.status, "degrade"), last_error=cause, updated_at=at)
    return Change(broken, "gitops.degraded", reason=_of_commit(state.desired_revision))


def restore(
    state: SyncState,
    revision: str | None,
    hashed: str | None,
    cause: str,
    url: str | None,
    at: datetime,
    *,
    runs: bool,
) -> Change[SyncState]:
    """Git wants again what it wanted before a failed deployment; `runs`: and that is what runs."""
    restored = replace(
        state,
        status=MACHINE.next(state.status, "settle" if runs else "degrade"),
        desired_revision=revision,
        live_revision=revision if runs else None,
        content_hash=hashed,
        url=url,
        last_error=cause,
        last_synced_at=at if runs else state.last_synced_at,
        drift=(),
        healings=0,
        heal_after=None,
        updated_at=at,
    )
    return Change(restored, "gitops.restored", reason=_of_commit(revision))


def asked(state: SyncState) -> SyncState:
    """Somebody asked for reconciliation, or git has a new word: what had to wait does not any more."""
    return replace(state, healings=0, heal_after=None)


def _of_commit(revision: str | None) -> str:
    """For the audit trail: every change to what runs names the commit that wanted it."""
    return f"Commit {revision} of the GitOps repository." if revision else ""


def reconcile(
    environment: str, component: str, *, deployment: str | None = None, token: int | None = None
) -> Event:
    """The command that brings one component to what git wants."""
    payload: dict[str, object] = {"environment": environment, "componentId": component}
    if deployment is not None:
        payload |= {"deploymentId": f"dep-{deployment}", "token": token}
    return Event("ReconcileRequested", payload)
