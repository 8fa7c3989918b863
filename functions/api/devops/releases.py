"""Releases: plan, look, decide, cancel. A verb on a release acts on its open promotion."""

from functions.api.devops.models_promotions import PromotionView
from functions.api.devops.models_releases import (
    ApprovalView,
    ApproveRelease,
    CancelRelease,
    PlanRelease,
    PlanView,
    ReleaseId,
    ReleaseSummaryView,
    ReleaseView,
    VoteView,
)
from functions.api.devops.queries import ReleasesQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.approvals.model import Approval
from shared.domain.promotions.model import Promotion
from shared.domain.releases.model import Release
from shared.services.promotions import Vote
from shared.services.releases import Plan, ReleaseState
from shared.services.unit import Page

READ = "devops.releases.read"


@devops.post(
    "/releases",
    scope="devops.releases.plan",
    returns=PlanView,
    status=201,
    location="/releases/{id}",
    examples={
        "tenantId": "connectsoft",
        "projectId": "proj-booking-saas",
        "moduleId": "module-reservations-api",
        "buildResultId": "build-7711",
        "targetEnvironment": "staging",
        "strategy": "RollingUpdate",
    },
)
async def plan_release(call: Call, body: PlanRelease) -> Plan:
    """Plan a release of a build into an environment."""
    return await call.app.releases.plan(call.actor, body.draft(), call.once)


@devops.get("/releases/{releaseId}", scope=READ, returns=ReleaseView)
async def get_release(call: Call, release_id: ReleaseId) -> ReleaseState:
    """Retrieve a release and how far it is."""
    return await call.app.releases.get(call.actor, release_id)


@devops.get("/releases", scope=READ, returns=ReleaseSummaryView)
async def list_releases(call: Call, query: ReleasesQuery) -> Page[Release]:
    """List releases, newest first."""
    return await call.app.releases.list(call.actor, query.wanted())


@devops.post(
    "/releases/{releaseId}/approve",
    scope="devops.releases.approve",
    returns=VoteView,
    examples={
        "tenantId": "connectsoft",
        "approver": "agent:ReleaseManager",
        "decision": "Approved",
        "comment": "Policy gate passed; staging soak complete",
    },
)
async def approve_release(call: Call, release_id: ReleaseId, body: ApproveRelease) -> Vote:
    """Approve or reject a planned release; its planner may not decide."""
    return await call.app.releases.decide(
        call.actor,
        release_id,
        body.environment,
        body.verdict(),
        body.comment,
        approver=body.approver,
        once=call.once,
    )


@devops.post(
    "/releases/{releaseId}/cancel",
    scope="devops.releases.cancel",
    returns=PromotionView,
    examples={"tenantId": "connectsoft", "reason": "Superseded by 1.4.1", "environment": "staging"},
)
async def cancel_release(call: Call, release_id: ReleaseId, body: CancelRelease) -> Promotion:
    """Cancel a release's promotion before it is deployed."""
    return await call.app.releases.cancel(call.actor, release_id, body.environment, body.reason, call.once)


@devops.get("/releases/{releaseId}/approvals", scope=READ, returns=ApprovalView)
async def list_release_approvals(call: Call, release_id: ReleaseId) -> Page[Approval]:
    """List every vote on a release, in whichever environment."""
    return Page(await call.app.releases.approvals(call.actor, release_id))
