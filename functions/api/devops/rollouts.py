"""What people do to a release on its way: look why it waits, go on, abort, try again, roll back."""

from functions.api.devops.models_promotions import DeploymentView, PromotionView
from functions.api.devops.models_releases import PromotionId, ReleaseId, VoteView
from functions.api.devops.models_rollouts import (
    AbortPromotion,
    AdvanceRollout,
    EligibilityQuery,
    EligibilityView,
    OverrideFreeze,
    RejectRelease,
    RetryRelease,
    RollBackRelease,
    RolloutView,
)
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.approvals.model import Decision
from shared.domain.deployments.model import Deployment
from shared.domain.deployments.rollout import ProgressiveRollout
from shared.domain.promotions.model import Promotion
from shared.services.promotions import Eligibility, Vote

WRITE = "devops.promotions.write"


@devops.get("/releases/{releaseId}/eligibility", scope="devops.releases.read", returns=EligibilityView)
async def get_release_eligibility(call: Call, release_id: ReleaseId, query: EligibilityQuery) -> Eligibility:
    """Say whether a release may enter an environment now, and every reason why not."""
    return await call.app.promotions.eligibility(call.actor, release_id, query.environment)


@devops.post(
    "/releases/{releaseId}/reject",
    scope="devops.releases.approve",
    returns=VoteView,
    examples={"tenantId": "connectsoft", "reason": "It drops a column that 1.3 still reads"},
)
async def reject_release(call: Call, release_id: ReleaseId, body: RejectRelease) -> Vote:
    """Reject a planned release; its planner may not decide."""
    return await call.app.releases.decide(
        call.actor,
        release_id,
        body.environment,
        Decision.REJECTED,
        body.reason,
        approver=None,
        once=call.once,
    )


@devops.post(
    "/releases/{releaseId}/retry",
    scope=WRITE,
    returns=PromotionView,
    status=201,
    location="/promotions/{id}",
    examples={"tenantId": "connectsoft", "reason": "The registry is back", "environment": "staging"},
)
async def retry_release(call: Call, release_id: ReleaseId, body: RetryRelease) -> Promotion:
    """Promote a release once more into an environment where it failed; votes are cast anew."""
    return await call.app.promotions.retry(call.actor, release_id, body.environment, body.reason, call.once)


@devops.post(
    "/releases/{releaseId}/rollback",
    scope="devops.releases.rollback",
    returns=DeploymentView,
    status=201,
    location="/deployments/{id}",
    examples={"tenantId": "connectsoft", "reason": "Bookings fail since 1.4.0", "environment": "prod"},
)
async def roll_back_release(call: Call, release_id: ReleaseId, body: RollBackRelease) -> Deployment:
    """Bring back what ran before a release; no freeze and no vote is waited for."""
    return await call.app.rollout_controls.roll_back(
        call.actor, release_id, body.environment, body.reason, call.once
    )


@devops.get("/promotions/{promotionId}/rollout", scope="devops.promotions.read", returns=RolloutView)
async def get_rollout(call: Call, promotion_id: PromotionId) -> ProgressiveRollout:
    """Retrieve how far the rollout of a promotion is."""
    return await call.app.rollout_controls.get(call.actor, promotion_id)


@devops.post(
    "/promotions/{promotionId}/advance",
    scope=WRITE,
    returns=RolloutView,
    examples={"tenantId": "connectsoft", "reason": "Error rates are flat"},
)
async def advance_rollout(call: Call, promotion_id: PromotionId, body: AdvanceRollout) -> ProgressiveRollout:
    """End the pause of a rollout and go to its next step."""
    return await call.app.rollout_controls.advance(call.actor, promotion_id, body.reason, call.once)


@devops.post(
    "/promotions/{promotionId}/abort",
    scope=WRITE,
    returns=PromotionView,
    examples={"tenantId": "connectsoft", "reason": "Latency has doubled"},
)
async def abort_promotion(call: Call, promotion_id: PromotionId, body: AbortPromotion) -> Promotion:
    """Stop a deployment under way and bring back what ran before."""
    return await call.app.rollout_controls.abort(call.actor, promotion_id, body.reason, call.once)


@devops.post(
    "/promotions/{promotionId}/override-freeze",
    scope="devops.freezes.override",
    returns=PromotionView,
    examples={"tenantId": "connectsoft", "reason": "Mends the outage of 2026-06-11"},
)
async def override_freeze(call: Call, promotion_id: PromotionId, body: OverrideFreeze) -> Promotion:
    """Let a promotion in although starts are frozen; an emergency, and only a person may."""
    return await call.app.promotions.override_freeze(call.actor, promotion_id, body.reason, call.once)
