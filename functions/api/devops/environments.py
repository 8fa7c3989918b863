"""One environment: what it asks of those who come in, when it is frozen, and what holds it."""

from functions.api.devops.models_environments import (
    AddFreezeWindow,
    EnvironmentPath,
    EnvironmentRulesView,
    FreezeWindowId,
    FreezeWindowView,
    PolicyView,
    ReleaseHold,
    SetEnvironmentPolicy,
)
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.environments.calendar import FreezeWindow
from shared.domain.environments.policy import EnvironmentPolicy
from shared.services.freeze_windows import EnvironmentRules
from shared.services.unit import Page

READ, WRITE = "devops.environments.read", "devops.environments.write"


@devops.get("/environments/{environmentName}", scope=READ, returns=EnvironmentRulesView)
async def get_environment(call: Call, environment_name: EnvironmentPath) -> EnvironmentRules:
    """Retrieve an environment with its policy, its freeze windows and what holds it."""
    return await call.app.freeze_windows.rules(call.actor, environment_name)


@devops.put(
    "/environments/{environmentName}/policy",
    scope=WRITE,
    returns=PolicyView,
    examples={
        "tenantId": "connectsoft",
        "requiredApprovals": 2,
        "humanRequired": True,
        "reason": "Two people look at every release",
        "allowedStrategies": ["Canary", "BlueGreen"],
        "soakSeconds": 3600,
        "rollout": {"instances": 3, "canary": [{"weight": 10, "pauseSeconds": 300}, {"weight": 50}]},
    },
)
async def set_environment_policy(
    call: Call, environment_name: EnvironmentPath, body: SetEnvironmentPolicy
) -> EnvironmentPolicy:
    """Set what an environment asks of those who come in; its freeze windows stay.

    A release keeps the approvals that it was planned with. What is raised is also asked of promotions that
    still take votes; what is lowered holds for those planned from then on.
    """
    return await call.app.freeze_windows.set_policy(
        call.actor, environment_name, body.draft(), call.if_match, call.once
    )


@devops.get("/environments/{environmentName}/freeze-windows", scope=READ, returns=FreezeWindowView)
async def list_freeze_windows(call: Call, environment_name: EnvironmentPath) -> Page[FreezeWindow]:
    """List when nothing may start in an environment."""
    return Page(await call.app.freeze_windows.list(call.actor, environment_name))


@devops.post(
    "/environments/{environmentName}/freeze-windows",
    scope=WRITE,
    returns=FreezeWindowView,
    status=201,
    examples={
        "tenantId": "connectsoft",
        "name": "Weekend",
        "reason": "Nobody is on call",
        "timeZone": "Europe/Berlin",
        "weekly": {"days": ["Friday"], "start": "18:00", "minutes": 3720},
    },
)
async def add_freeze_window(
    call: Call, environment_name: EnvironmentPath, body: AddFreezeWindow
) -> FreezeWindow:
    """Freeze an environment, once or every week; rollbacks are never frozen."""
    window = body.window(call.app.clock.now())
    return await call.app.freeze_windows.add(call.actor, environment_name, window, call.once)


@devops.delete(
    "/environments/{environmentName}/freeze-windows/{freezeWindowId}", scope=WRITE, returns=None, status=204
)
async def delete_freeze_window(
    call: Call, environment_name: EnvironmentPath, freeze_window_id: FreezeWindowId
) -> None:
    """Delete a freeze window; what waited for its end is asked again."""
    await call.app.freeze_windows.remove(call.actor, environment_name, freeze_window_id, call.once)


@devops.post(
    "/environments/{environmentName}/release-hold",
    scope="devops.environments.release",
    returns=EnvironmentRulesView,
    examples={"tenantId": "connectsoft", "reason": "Found the cause; 1.4.2 mends it"},
)
async def release_environment_hold(
    call: Call, environment_name: EnvironmentPath, body: ReleaseHold
) -> EnvironmentRules:
    """Let releases in again after a rollback; only a person may."""
    return await call.app.freeze_windows.release_hold(call.actor, environment_name, body.reason, call.once)
