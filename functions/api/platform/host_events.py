"""Where vendors tell of what happens in a repository. Whoever calls is known by the signature of the body."""

from dataclasses import replace
from typing import Literal

from functions.api.platform.surface import platform
from functions.http import limits
from functions.http.endpoint import Call
from functions.http.fields import View
from shared.domain.kernel.actor import system_actor
from shared.domain.kernel.policy import PUBLIC


class TakenView(View):
    status: Literal["taken"]


TAKEN = TakenView(status="taken")


@platform.post(
    "/host-events/{tenantId}/{repositoryId}",
    scope=PUBLIC,
    returns=TakenView,
    status=202,
    consumes=("application/json",),
)
async def receive_host_event(call: Call, tenant_id: str, repository_id: str, body: bytes) -> TakenView:
    """Take a vendor's message of a repository; what it tells of is looked up there."""
    hooks, headers = call.app.host_hooks, call.request.headers
    repository = await hooks.admit(tenant_id, repository_id, headers, body)
    # Of its own account: a noisy repository must not take from the rate of anybody else.
    vendor = replace(system_actor(tenant_id, "host-events"), subject=f"system:host-events:{repository.id}")
    limits.check_rate(await call.app.limits.admit(vendor))
    await hooks.note(repository, headers, body)
    return TAKEN
