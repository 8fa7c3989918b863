"""Requests and views of releases and votes, in the words of the DevOps contract: a release's status is what
has become of its promotion."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from functions.api.devops.models_strategies import RolloutWishBody
from functions.http.fields import Body, Name, PascalStatus, Reference, View, WireId
from shared.domain.approvals.model import Decision
from shared.domain.promotions.model import OPEN, Promotion, PromotionStatus
from shared.domain.releases.lifecycle import ReleaseDraft
from shared.domain.releases.model import Release, Strategy
from shared.services.promotions import Vote
from shared.services.releases import Plan, ReleaseState

ReleaseId = Annotated[str, WireId("rel")]
PromotionId = Annotated[str, WireId("prom")]
ApprovalId = Annotated[str, WireId("appr")]
BuildResultId = Annotated[str, WireId("build")]
RunId = Annotated[str, WireId("run")]
RepositoryId = Annotated[str, WireId("repo")]
ComponentId = Annotated[str, WireId("comp")]

EnvironmentName = Annotated[str, Field(min_length=1, max_length=63), Reference()]
Comment = Annotated[str, Field(max_length=2000)]

_WORDS = {
    PromotionStatus.PENDING: "Planned",
    PromotionStatus.AWAITING_APPROVAL: "PendingApproval",
    PromotionStatus.APPROVED: "Approved",
    PromotionStatus.DEPLOYING: "Promoting",
    PromotionStatus.DEPLOYED: "Deployed",
    PromotionStatus.REJECTED: "Rejected",
    PromotionStatus.CANCELLED: "Cancelled",
    PromotionStatus.FAILED: "Failed",
    PromotionStatus.ROLLED_BACK: "RolledBack",
}


ReleaseWord = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "enum": [*_WORDS.values(), "Delayed", "Superseded"]}, mode="serialization"
    ),
]
NextStep = Literal["AwaitApproval", "Promote"]


def status_word(promotion: Promotion) -> str:
    """The release status that the contract calls this state of its promotion."""
    if promotion.is_delayed:
        return "Delayed"
    if promotion.status is PromotionStatus.PENDING and promotion.has_quorum:
        return "Approved"
    if promotion.status is PromotionStatus.DEPLOYED and promotion.superseded_by is not None:
        return "Superseded"
    return _WORDS[promotion.status]


def next_step(promotion: Promotion) -> NextStep | None:
    """What the release waits for; None once its promotion has ended."""
    if promotion.status not in OPEN:
        return None
    needs_votes = promotion.required_approvals > promotion.approvals_granted
    return "AwaitApproval" if needs_votes else "Promote"


class PlanRelease(Body):
    tenant_id: str | None = None
    project_id: Name
    module_id: Name
    build_result_id: BuildResultId
    target_environment: EnvironmentName
    strategy: Strategy = Strategy.ROLLING_UPDATE
    rollout: RolloutWishBody | None = None

    def draft(self) -> ReleaseDraft:
        return ReleaseDraft(
            project=self.project_id,
            module=self.module_id,
            build_result=self.build_result_id,
            target_environment=self.target_environment,
            strategy=self.strategy,
            rollout=self.rollout.wish() if self.rollout else None,
        )


class PlanView(View):
    """The release as planned; what has become of it since is read with GET."""

    release_id: ReleaseId
    version: str
    status: ReleaseWord
    required_approvals: int
    number: int
    promotion_id: PromotionId
    target_environment: str
    release_digest: str

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        if not isinstance(value, Plan):
            return value
        return {
            "release_id": value.release.id,
            "version": value.release.version,
            "status": status_word(value.promotion),
            "required_approvals": value.required_approvals,
            "number": value.release.number,
            "promotion_id": value.promotion.id,
            "target_environment": value.promotion.environment_name,
            "release_digest": value.release.release_digest,
        }


class ComponentView(View):
    component_id: Annotated[ComponentId, Field(validation_alias="component")]
    version: str
    digest: str
    artifact: str
    ref: str
    role: PascalStatus


class SourceView(View):
    repository_id: Annotated[RepositoryId, Field(validation_alias="repository")]
    branch: str
    commit_sha: str
    pipeline_run_id: Annotated[RunId, Field(validation_alias="pipeline_run")]
    build_result_id: Annotated[BuildResultId, Field(validation_alias="build_result")]


class ReleaseSummaryView(View):
    """What a release is. `lifecycle` is of its content; where it runs is told by its promotions."""

    release_id: ReleaseId
    name: str
    version: str
    number: int
    project_id: str
    module_id: str
    lifecycle: PascalStatus
    release_digest: str
    components: tuple[ComponentView, ...]
    source: SourceView
    created_by: str
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        return _content(value) if isinstance(value, Release) else value


class ReleaseView(ReleaseSummaryView):
    """A release and how far it is: of its latest open promotion, or else of its last one."""

    status: ReleaseWord
    next_step: NextStep | None = None
    promotion_id: PromotionId | None = None
    environment: str | None = None
    strategy: str | None = None
    required_approvals: int = 0
    approvals_granted: int = 0
    url: str | None = None
    cause: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        if not isinstance(value, ReleaseState):
            return value
        shown, promotion = _content(value.release), value.promotion
        if promotion is None:
            return shown | {"status": "Planned"}
        return shown | {
            "status": status_word(promotion),
            "next_step": next_step(promotion),
            "promotion_id": promotion.id,
            "environment": promotion.environment_name,
            "strategy": promotion.strategy,
            "required_approvals": promotion.required_approvals,
            "approvals_granted": promotion.approvals_granted,
            "url": promotion.url,
            "cause": promotion.cause,
        }


def _content(release: Release) -> dict[str, Any]:
    return {
        "release_id": release.id,
        "name": release.name,
        "version": release.version,
        "number": release.number,
        "project_id": release.project,
        "module_id": release.module,
        "lifecycle": release.status,
        "release_digest": release.release_digest,
        "components": release.components,
        "source": release.source,
        "created_by": release.created_by,
        "created_at": release.created_at,
    }


class ApproveRelease(Body):
    """`environment` is needed only where two promotions of the release are open."""

    tenant_id: str | None = None
    approver: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    decision: Literal["Approved", "Rejected", "Delayed"]
    comment: Comment = ""
    environment: EnvironmentName | None = None

    def verdict(self) -> Decision:
        return Decision(self.decision.lower())


class VoteView(View):
    """What a vote has come to: Approved once the quorum is met, PendingApproval before, Rejected."""

    release_id: ReleaseId
    approval_id: ApprovalId
    promotion_id: PromotionId
    environment: str
    status: Literal["Approved", "PendingApproval", "Rejected"]
    next_step: NextStep | None = None

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        if not isinstance(value, Vote):
            return value
        promotion = value.promotion
        if promotion.status is PromotionStatus.REJECTED:
            status = "Rejected"
        else:
            enough = promotion.approvals_granted >= promotion.required_approvals
            status = "Approved" if enough else "PendingApproval"
        return {
            "release_id": promotion.release,
            "approval_id": value.approval.id,
            "promotion_id": promotion.id,
            "environment": promotion.environment_name,
            "status": status,
            "next_step": next_step(promotion),
        }


class CancelRelease(Body):
    tenant_id: str | None = None
    reason: Comment = ""
    environment: EnvironmentName | None = None


class ApprovalView(View):
    approval_id: Annotated[ApprovalId, Field(validation_alias="id")]
    promotion_id: Annotated[PromotionId, Field(validation_alias="promotion")]
    release_id: Annotated[ReleaseId, Field(validation_alias="release")]
    release_digest: str
    approver: str
    on_behalf_of: Annotated[str | None, Field(validation_alias="approver_for")]
    approver_kind: PascalStatus
    decision: PascalStatus
    comment: str
    status: PascalStatus
    created_at: datetime
