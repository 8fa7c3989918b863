"""Desired state: manifests as they are or would be in git, and bringing what runs to what git wants."""

from functions.api.devops.models_promotions import (
    ManifestContentView,
    ManifestId,
    ManifestView,
    Reconcile,
    ReconcileView,
    RenderManifest,
    SyncStateId,
    SyncStateView,
)
from functions.api.devops.queries import SyncStatesQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.gitops.model import Manifest, SyncState
from shared.services.unit import Page


@devops.post(
    "/deployment-manifests",
    scope="devops.manifests.write",
    returns=ManifestView,
    status=201,
    location="/deployment-manifests/{id}",
    examples={
        "tenantId": "connectsoft",
        "releaseId": "rel-31200f4e9b2d4c55a0e6d1f38b9c2a10",
        "environment": "staging",
    },
)
async def render_manifest(call: Call, body: RenderManifest) -> Manifest:
    """Render a release's manifest for an environment, without committing it."""
    return await call.app.deployments.render(call.actor, body.release_id, body.environment, call.once)


@devops.get("/deployment-manifests/{manifestId}", scope="devops.manifests.read", returns=ManifestContentView)
async def get_manifest(call: Call, manifest_id: ManifestId) -> Manifest:
    """Retrieve a manifest with its content."""
    return await call.app.deployments.manifest(call.actor, manifest_id)


@devops.post(
    "/gitops/reconcile",
    scope="devops.gitops.reconcile",
    returns=ReconcileView,
    examples={
        "tenantId": "connectsoft",
        "environment": "staging",
        "moduleId": "module-reservations-api",
    },
)
async def reconcile_environment(call: Call, body: Reconcile) -> tuple[SyncState, ...]:
    """Bring an environment, or one module in it, to what git wants."""
    return await call.app.gitops.reconcile(call.actor, body.environment, body.module_id, call.once)


@devops.get("/gitops/sync-states/{syncStateId}", scope="devops.gitops.read", returns=SyncStateView)
async def get_sync_state(call: Call, sync_state_id: SyncStateId) -> SyncState:
    """Retrieve how far a module in an environment is from what git wants."""
    return await call.app.gitops.state(call.actor, sync_state_id)


@devops.get("/gitops/sync-states", scope="devops.gitops.read", returns=SyncStateView)
async def list_sync_states(call: Call, query: SyncStatesQuery) -> Page[SyncState]:
    """List how far the environments are from what git wants, latest change first."""
    where = call.app.environments.named(query.environment)
    return await call.app.gitops.states(call.actor, query.wanted(where))
