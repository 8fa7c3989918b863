"""Requests and views of rollouts under way, of rollbacks, and of why a release may not go on."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, model_validator

from functions.api.devops.models_promotions import DeploymentId, VerdictView
from functions.api.devops.models_releases import Comment, EnvironmentName, PromotionId, ReleaseId
from functions.http.fields import Body, PascalStatus, Query, View
from shared.domain.promotions.model import Outcome, Result
from shared.services.promotions import Eligibility


class AdvanceRollout(Body):
    tenant_id: str | None = None
    reason: Comment = ""


class AbortPromotion(Body):
    tenant_id: str | None = None
    reason: Comment = ""


class OverrideFreeze(Body):
    tenant_id: str | None = None
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class RejectRelease(Body):
    """`environment` is needed only where two promotions of the release are open."""

    tenant_id: str | None = None
    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    environment: EnvironmentName | None = None


class RetryRelease(Body):
    tenant_id: str | None = None
    reason: Comment = ""
    environment: EnvironmentName | None = None


class RollBackRelease(Body):
    tenant_id: str | None = None
    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    environment: EnvironmentName | None = None


class EligibilityQuery(Query):
    """`environment` is the one that is asked about; by default the one after the furthest reached."""

    environment: EnvironmentName | None = None


class StepView(View):
    instances: int
    others: int
    weight: int
    pause_seconds: int | None


class StepVerdictView(View):
    step: int
    weight: int
    healthy: bool
    reason: str
    at: datetime


class RolloutView(View):
    """How far a rollout is: `step` counts from 0, `weight` is the new version's share of requests in
    percent."""

    promotion_id: Annotated[PromotionId, Field(validation_alias="promotion")]
    deployment_id: Annotated[DeploymentId, Field(validation_alias="deployment")]
    environment: Annotated[str, Field(validation_alias="environment_name")]
    strategy: str
    status: PascalStatus
    step: Annotated[int, Field(validation_alias="position")]
    weight: int
    steps: tuple[StepView, ...]
    verdicts: tuple[StepVerdictView, ...]
    due: datetime | None
    created_at: datetime
    updated_at: datetime


class ReasonView(View):
    """Why not: a code for programs, a sentence for people, and when it ends by itself."""

    code: str
    message: str
    outcome: PascalStatus
    until: datetime | None


class EligibilityView(View):
    release_id: ReleaseId
    environment: str
    eligible: bool
    result: PascalStatus
    reasons: tuple[ReasonView, ...]
    gates: tuple[VerdictView, ...]

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: Any) -> Any:
        if not isinstance(value, Eligibility):
            return value
        evaluation = value.evaluation
        reasons = [
            {"code": row.code, "message": row.reason, "outcome": row.outcome, "until": row.until}
            for row in evaluation.verdicts
            if row.outcome is not Outcome.PASSED
        ]
        return {
            "release_id": value.promotion.release,
            "environment": value.promotion.environment_name,
            "eligible": evaluation.result is Result.ALLOW,
            "result": evaluation.result,
            "reasons": reasons,
            "gates": evaluation.verdicts,
        }
