"""Promotions: the hops of a release from environment to environment, their deployments, and the environments
themselves."""

from functions.api.devops.models_promotions import (
    DeploymentId,
    DeploymentView,
    EnvironmentView,
    PromoteRelease,
    PromotionView,
)
from functions.api.devops.models_releases import PromotionId
from functions.api.devops.queries import DeploymentsQuery, PromotionsQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.deployments.model import Deployment
from shared.domain.promotions.model import Promotion
from shared.services.environments import EnvironmentState
from shared.services.unit import Page

WRITE, READ = "devops.promotions.write", "devops.promotions.read"


@devops.post(
    "/promotions",
    scope=WRITE,
    returns=PromotionView,
    status=201,
    location="/promotions/{id}",
    examples={
        "tenantId": "connectsoft",
        "releaseId": "rel-31200f4e9b2d4c55a0e6d1f38b9c2a10",
        "toEnvironment": "staging",
    },
)
async def promote_release(call: Call, body: PromoteRelease) -> Promotion:
    """Promote a release into the next environment."""
    return await call.app.promotions.open_next(call.actor, body.release_id, body.to_environment, call.once)


@devops.get("/promotions/{promotionId}", scope=READ, returns=PromotionView)
async def get_promotion(call: Call, promotion_id: PromotionId) -> Promotion:
    """Retrieve a promotion with what its gates say."""
    return await call.app.promotions.get(call.actor, promotion_id)


@devops.get("/promotions", scope=READ, returns=PromotionView)
async def list_promotions(call: Call, query: PromotionsQuery) -> Page[Promotion]:
    """List promotions, newest first."""
    where = call.app.environments.named(query.environment)
    return await call.app.promotions.list(call.actor, query.wanted(where))


@devops.get("/deployments/{deploymentId}", scope="devops.deployments.read", returns=DeploymentView)
async def get_deployment(call: Call, deployment_id: DeploymentId) -> Deployment:
    """Retrieve a deployment."""
    return await call.app.deployments.get(call.actor, deployment_id)


@devops.get("/deployments", scope="devops.deployments.read", returns=DeploymentView)
async def list_deployments(call: Call, query: DeploymentsQuery) -> Page[Deployment]:
    """List deployments, newest first."""
    where = call.app.environments.named(query.environment)
    return await call.app.deployments.list(call.actor, query.wanted(where))


@devops.get("/environments", scope="devops.environments.read", returns=EnvironmentView)
async def list_environments(call: Call) -> Page[EnvironmentState]:
    """List the environments in the order of promotion, with the releases that run in them."""
    return Page(await call.app.environments.list(call.actor))
