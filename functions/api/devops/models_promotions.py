"""Requests and views of promotions, environments, manifests and sync states, in the words of the DevOps
contract."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, model_validator

from functions.api.devops.models_releases import (
    EnvironmentName,
    NextStep,
    PromotionId,
    ReleaseId,
    ReleaseWord,
    next_step,
    status_word,
)
from functions.http.fields import Body, Name, PascalStatus, View, WireId
from shared.domain.promotions.model import Promotion

DeploymentId = Annotated[str, WireId("dep")]
EnvironmentId = Annotated[str, WireId("env")]
ManifestId = Annotated[str, WireId("man")]
SyncStateId = Annotated[str, WireId("sync")]


class PromoteRelease(Body):
    """Without `toEnvironment`: into the one after the furthest that the release has reached."""

    tenant_id: str | None = None
    release_id: ReleaseId
    to_environment: EnvironmentName | None = None


class VerdictView(View):
    gate: PascalStatus
    outcome: PascalStatus
    code: str
    reason: str
    until: datetime | None


class OverrideView(View):
    by: str
    reason: str
    at: datetime


class PromotionView(View):
    promotion_id: Annotated[PromotionId, Field(validation_alias="id")]
    release_id: Annotated[ReleaseId, Field(validation_alias="release")]
    version: str
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    from_environment: Annotated[str | None, Field(validation_alias="source_environment")]
    to_environment: Annotated[str, Field(validation_alias="environment_name")]
    strategy: str
    status: ReleaseWord
    step: PascalStatus
    next_step: NextStep | None = None
    gates: Annotated[tuple[VerdictView, ...], Field(validation_alias="verdicts")]
    required_approvals: int
    human_required: bool
    approvals_granted: int
    release_digest: str
    requested_by: str
    reason: str
    deployment_id: Annotated[DeploymentId | None, Field(validation_alias="deployment")]
    url: str | None
    cause: str | None
    waits_until: Annotated[datetime | None, Field(validation_alias="wakes_at")] = None
    freeze_override: Annotated[OverrideView | None, Field(validation_alias="override")] = None
    decided_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        if not isinstance(value, Promotion):
            return value
        shown = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return shown | {"status": status_word(value), "next_step": next_step(value)}


class RenderManifest(Body):
    tenant_id: str | None = None
    release_id: ReleaseId
    environment: EnvironmentName


class ManifestView(View):
    manifest_id: Annotated[ManifestId, Field(validation_alias="id")]
    release_id: Annotated[ReleaseId, Field(validation_alias="release")]
    environment: Annotated[str, Field(validation_alias="environment_name")]
    git_path: str
    git_revision: str | None
    content_hash: str
    images: tuple[str, ...]
    status: PascalStatus


class ManifestContentView(ManifestView):
    content: str


class Reconcile(Body):
    tenant_id: str | None = None
    environment: EnvironmentName
    module_id: Name | None = None


class FindingView(View):
    kind: PascalStatus
    desired: str | None
    actual: str | None
    severity: PascalStatus
    hash: str
    first_seen: datetime
    last_seen: datetime


class SyncStateView(View):
    sync_state_id: Annotated[SyncStateId, Field(validation_alias="id")]
    environment: Annotated[str, Field(validation_alias="environment_name")]
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    path: str
    status: PascalStatus
    desired_revision: str | None
    live_revision: str | None
    content_hash: str | None
    url: str | None
    last_error: str | None
    last_synced_at: datetime | None
    drift: tuple[FindingView, ...]
    drift_count: int
    observed_at: datetime | None
    healings: int
    heal_after: datetime | None
    updated_at: datetime


class ReconcileView(View):
    sync_states: tuple[SyncStateView, ...]

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        return {"sync_states": value} if isinstance(value, tuple) else value


class CurrentView(View):
    release_id: Annotated[ReleaseId, Field(validation_alias="release")]
    version: str
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    promotion_id: Annotated[PromotionId, Field(validation_alias="promotion")]
    deployment_id: Annotated[DeploymentId, Field(validation_alias="deployment")]
    previous_release_id: Annotated[ReleaseId | None, Field(validation_alias="previous_release")]
    url: str | None
    since: datetime


class EnvironmentSummaryView(View):
    environment_id: Annotated[EnvironmentId, Field(validation_alias="id")]
    name: str
    stage: str
    order: int
    previous: str | None
    required_approvals: int
    human_required: bool
    is_production: bool


class EnvironmentView(View):
    """An environment and the releases that run in it."""

    environment: EnvironmentSummaryView
    current: tuple[CurrentView, ...]


class DeploymentView(View):
    """One attempt to make an environment run a release. `cause` says why it failed."""

    deployment_id: Annotated[DeploymentId, Field(validation_alias="id")]
    kind: PascalStatus
    promotion_id: Annotated[PromotionId, Field(validation_alias="promotion")]
    release_id: Annotated[ReleaseId, Field(validation_alias="release")]
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    environment: Annotated[str, Field(validation_alias="environment_name")]
    strategy: str
    status: PascalStatus
    step: PascalStatus
    release_digest: str
    previous_release_id: Annotated[ReleaseId | None, Field(validation_alias="previous_release")]
    manifest_id: Annotated[ManifestId | None, Field(validation_alias="manifest")]
    git_revision: Annotated[str | None, Field(validation_alias="gitops_commit")]
    url: str | None
    cause: str | None
    restores_deployment_id: Annotated[DeploymentId | None, Field(validation_alias="restores")] = None
    reason: str | None = None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
