"""Infrastructure as code: provision a stack of a registered program, look at the plan, decide on it."""

from typing import cast

from functions.api.devops.models_iac import (
    CancelPlan,
    DecidePlan,
    InfrastructurePlanId,
    PlanView,
    ProvisionInfrastructure,
    ProvisionView,
    ResourceChangeView,
    ResourcesQuery,
    StackId,
    StackSummaryView,
    StackView,
)
from functions.api.devops.models_pipelines import LogPageView, LogsQuery
from functions.api.devops.queries_iac import InfrastructurePlansQuery, StacksQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.infrastructure.model import InfrastructurePlan, Stack
from shared.domain.pipelines.logs import LogPage
from shared.ports.provisioner import Action, ResourceChange
from shared.services.stacks import StackState
from shared.services.unit import Page

PROVISION, APPROVE, READ = "devops.iac.provision", "devops.iac.approve", "devops.iac.read"


@devops.post(
    "/iac/provision",
    scope=PROVISION,
    returns=ProvisionView,
    status=201,
    location="/iac/plans/{id}",
    examples={
        "tenantId": "connectsoft",
        "projectId": "proj-booking-saas",
        "environment": "staging",
        "engine": "Pulumi",
        "stack": "booking-saas-staging",
        "program": "ConnectSoft.Factory.DevOps.Infra.BookingSaas",
    },
)
async def provision_infrastructure(call: Call, body: ProvisionInfrastructure) -> InfrastructurePlan:
    """Preview a stack of a registered program, and apply it unless the plan needs an approval."""
    environment = call.app.environments.resolve(body.environment)
    plans = call.app.infrastructure_plans
    return await plans.provision(call.actor, body.place(environment.name), body.draft(), call.once)


@devops.get("/iac/plans", scope=READ, returns=PlanView)
async def list_infrastructure_plans(call: Call, query: InfrastructurePlansQuery) -> Page[InfrastructurePlan]:
    """List infrastructure plans, newest first."""
    where = call.app.environments.named(query.environment)
    return await call.app.infrastructure_plans.list(call.actor, query.wanted(where))


@devops.get("/iac/plans/{infrastructurePlanId}", scope=READ, returns=PlanView)
async def get_infrastructure_plan(
    call: Call, infrastructure_plan_id: InfrastructurePlanId
) -> InfrastructurePlan:
    """Retrieve an infrastructure plan and how far it is."""
    return await call.app.infrastructure_plans.get(call.actor, infrastructure_plan_id)


@devops.get("/iac/plans/{infrastructurePlanId}/resources", scope=READ, returns=ResourceChangeView)
async def list_planned_resources(
    call: Call, infrastructure_plan_id: InfrastructurePlanId, query: ResourcesQuery
) -> Page[ResourceChange]:
    """List what a plan does to each resource, dependencies first."""
    position = query.after()
    return await call.app.infrastructure_plans.resources(
        call.actor,
        infrastructure_plan_id,
        action=cast(Action, query.action.lower()) if query.action else None,
        after=int(position[0]) if position else 0,
        limit=query.limit,
    )


@devops.get("/iac/plans/{infrastructurePlanId}/log", scope=READ, returns=LogPageView)
async def get_infrastructure_plan_log(
    call: Call, infrastructure_plan_id: InfrastructurePlanId, query: LogsQuery
) -> LogPage:
    """Read a plan's log from an offset, or follow it while the plan goes on."""
    return await call.app.infrastructure_plans.log(
        call.actor,
        infrastructure_plan_id,
        offset=query.offset,
        limit=query.limit,
        follow=query.follow,
        wait=query.wait,
    )


@devops.post(
    "/iac/plans/{infrastructurePlanId}/approve",
    scope=APPROVE,
    returns=PlanView,
    examples={"tenantId": "connectsoft", "decision": "Approved", "comment": "The queue may go"},
)
async def approve_infrastructure_plan(
    call: Call, infrastructure_plan_id: InfrastructurePlanId, body: DecidePlan
) -> InfrastructurePlan:
    """Approve or reject a previewed plan; its requester may not decide."""
    return await call.app.infrastructure_plans.decide(
        call.actor,
        infrastructure_plan_id,
        body.verdict(),
        comment=body.comment,
        digest=body.plan_digest,
        once=call.once,
    )


@devops.post(
    "/iac/plans/{infrastructurePlanId}/cancel",
    scope=PROVISION,
    returns=PlanView,
    examples={"tenantId": "connectsoft", "reason": "Wrong branch"},
)
async def cancel_infrastructure_plan(
    call: Call, infrastructure_plan_id: InfrastructurePlanId, body: CancelPlan
) -> InfrastructurePlan:
    """Cancel a plan, whatever it is doing; the stack stays as it was last recorded."""
    return await call.app.infrastructure_plans.cancel(
        call.actor, infrastructure_plan_id, body.reason, call.once
    )


@devops.get("/iac/stacks", scope=READ, returns=StackSummaryView)
async def list_stacks(call: Call, query: StacksQuery) -> Page[Stack]:
    """List stacks, newest first."""
    where = call.app.environments.named(query.environment)
    return await call.app.stacks.list(call.actor, query.wanted(where))


@devops.get("/iac/stacks/{stackId}", scope=READ, returns=StackView)
async def get_stack(call: Call, stack_id: StackId) -> StackState:
    """Retrieve a stack with its outputs."""
    return await call.app.stacks.get(call.actor, stack_id)


@devops.post(
    "/iac/stacks/{stackId}/destroy",
    scope=PROVISION,
    returns=ProvisionView,
    status=201,
    location="/iac/plans/{id}",
)
async def destroy_stack(call: Call, stack_id: StackId) -> InfrastructurePlan:
    """Plan to delete what a stack holds; another one has to approve the plan."""
    return await call.app.infrastructure_plans.destroy(call.actor, stack_id, call.once)
