"""What is tried of infrastructure plans: every endpoint that changes one, and every message."""

from tests.faults.crash_points.operations import Operation, Request
from tests.faults.crash_points.scenarios import APPROVER, scenario
from tests.faults.crash_points.stage import Stage
from tests.support.api import STACK


def a_stack(name: str, environment: str) -> dict[str, str]:
    return {**STACK, "stack": name, "environment": environment}


@scenario("POST /iac/provision")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/iac/provision", a_stack("booking-test", "test"))


@scenario("POST /iac/stacks/{stackId}/destroy")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/iac/stacks/{stackId}/destroy"))


@scenario("POST /iac/plans/{infrastructurePlanId}/approve")
async def _(stage: Stage) -> Operation:
    plan = await stage.post(stage.path("/iac/stacks/{stackId}/destroy"))
    path = f"/iac/plans/{plan['infrastructurePlanId']}/approve"
    return Request("POST", path, {"decision": "Approved"}, APPROVER)


@scenario("POST /iac/plans/{infrastructurePlanId}/cancel", "while it is applied")
async def _(stage: Stage) -> Operation:
    plan = await stage.post("/iac/provision", a_stack("booking-test", "test"))
    return Request("POST", f"/iac/plans/{plan['infrastructurePlanId']}/cancel", {})


@scenario("ProvisionInfrastructure", "to apply")
async def _(stage: Stage) -> Operation:
    await stage.post("/iac/provision", a_stack("booking-test", "test"))
    return await stage.delivery("ProvisionInfrastructure")


@scenario("ProvisionInfrastructure", "to destroy")
async def _(stage: Stage) -> Operation:
    plan = await stage.post(stage.path("/iac/stacks/{stackId}/destroy"))
    path = f"/iac/plans/{plan['infrastructurePlanId']}/approve"
    await stage.post(path, {"decision": "Approved"}, APPROVER)
    return await stage.delivery("ProvisionInfrastructure")


@scenario("ProvisionInfrastructure", "of a plan that was cancelled when it was carried out")
async def _(stage: Stage) -> Operation:
    plan = await stage.post("/iac/provision", a_stack("booking-test", "test"))
    await stage.die_in(await stage.delivery("ProvisionInfrastructure"), "store.commit")
    await stage.post(f"/iac/plans/{plan['infrastructurePlanId']}/cancel", {})
    return await stage.delivery("ProvisionInfrastructure")


@scenario("ProvisionInfrastructureAgain", "whose caller died")
async def _(stage: Stage) -> Operation:
    wanted = Request("POST", "/iac/provision", a_stack("booking-test", "test"))
    await stage.die_in(wanted, "provisioner.preview")
    return await stage.delivery_after_loss("ProvisionInfrastructureAgain")


@scenario("InfrastructureOverdue")
async def _(stage: Stage) -> Operation:
    await stage.post("/iac/provision", a_stack("booking-test", "test"))
    return await stage.delivery_after_loss("InfrastructureOverdue")
