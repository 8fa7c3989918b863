"""Scenarios of rollouts, rollbacks and freezes: what precedes each, and the operation itself."""

from typing import Any

from functions.relay.looks import command
from functions.relay.outbox import to_message
from shared.domain.kernel.actor import system_actor
from shared.names import GITOPS
from shared.ports.source_host import FileChange, Place, Signature
from shared.services.trace import new_trace
from tests.faults.crash_points.operations import Delivery, Operation, Request
from tests.faults.crash_points.scenarios import APPROVER, HOME, PLANNER, scenario
from tests.faults.crash_points.stage import Stage
from tests.support.api import Api

FREEZE = {"name": "Quiet", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2190-01-01T00:00:00Z"}


async def _planned(stage: Stage, **more: Any) -> Any:
    """A second release on its way into dev, where the first one runs."""
    plan = {**HOME, "buildResultId": await stage.build(), "targetEnvironment": "dev", **more}
    planned = await stage.post("/releases", plan, PLANNER)
    await stage.drain()
    return planned


async def _canary(stage: Stage) -> Any:
    """The same as a canary that waits at its first step."""
    return await _planned(stage, strategy="Canary", rollout={"canary": [{"weight": 20}]})


async def _rolled_back(stage: Stage) -> Any:
    planned = await _canary(stage)
    await stage.post(f"/promotions/{planned['promotionId']}/abort", {"reason": "slow"})
    await stage.drain()
    return planned


@scenario("POST /promotions/{promotionId}/advance")
async def _(stage: Stage) -> Operation:
    planned = await _canary(stage)
    return Request("POST", f"/promotions/{planned['promotionId']}/advance", {"reason": "flat"})


@scenario("POST /promotions/{promotionId}/abort")
async def _(stage: Stage) -> Operation:
    planned = await _canary(stage)
    return Request("POST", f"/promotions/{planned['promotionId']}/abort", {"reason": "slow"})


@scenario("POST /promotions/{promotionId}/override-freeze")
async def _(stage: Stage) -> Operation:
    await stage.post("/environments/dev/freeze-windows", FREEZE)
    planned = await _planned(stage)
    return Request("POST", f"/promotions/{planned['promotionId']}/override-freeze", {"reason": "outage"})


@scenario("POST /releases/{releaseId}/reject")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/releases/{releaseId}/reject"), {"reason": "no"}, APPROVER)


@scenario("POST /releases/{releaseId}/retry")
async def _(stage: Stage) -> Operation:
    planned = await _rolled_back(stage)
    return Request("POST", f"/releases/{planned['releaseId']}/retry", {"reason": "mended"})


@scenario("POST /releases/{releaseId}/rollback")
async def _(stage: Stage) -> Operation:
    planned = await _planned(stage)
    return Request("POST", f"/releases/{planned['releaseId']}/rollback", {"reason": "bad"})


@scenario("PUT /environments/{environmentName}/policy")
async def _(stage: Stage) -> Operation:
    return Request("PUT", "/environments/dev/policy", {"soakSeconds": 60})


@scenario("POST /environments/{environmentName}/freeze-windows")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/environments/dev/freeze-windows", FREEZE)


@scenario("DELETE /environments/{environmentName}/freeze-windows/{freezeWindowId}")
async def _(stage: Stage) -> Operation:
    return Request("DELETE", stage.path("/environments/dev/freeze-windows/{freezeWindowId}"))


@scenario("POST /environments/{environmentName}/release-hold", "that a release waits for")
async def _(stage: Stage) -> Operation:
    planned = await _rolled_back(stage)
    await stage.post(f"/releases/{planned['releaseId']}/retry", {"reason": "mended"})
    await stage.drain()
    await stage.post("/releases/{releaseId}/cancel".format(**planned), {"reason": "later"})
    return Request("POST", "/environments/dev/release-hold", {"reason": "mended"})


@scenario("RolloutDue", "to the last step of a canary")
async def _(stage: Stage) -> Operation:
    planned = await _canary(stage)
    await stage.post(f"/promotions/{planned['promotionId']}/advance", {"reason": "flat"})
    return await stage.delivery("RolloutDue")


@scenario("RolloutDueAgain", "after three processes have died of it")
async def _(stage: Stage) -> Operation:
    planned = await _canary(stage)
    await stage.post(f"/promotions/{planned['promotionId']}/advance", {"reason": "flat"})
    return await stage.delivery_after_loss("RolloutDueAgain")


@scenario("RetirementDue")
async def _(stage: Stage) -> Operation:
    plan = {**HOME, "buildResultId": await stage.build(), "targetEnvironment": "dev"}
    settings = {"rollout": {"instances": 2}}
    await stage.post("/releases", {**plan, **settings, "strategy": "BlueGreen"}, PLANNER)
    return await stage.delivery("RetirementDue")


@scenario("CheckDrift", "that finds something gone")
async def _(stage: Stage) -> Operation:
    await stage.drain()
    app, actor = stage.installation.app, system_actor("acme", "gitops")
    (folder,) = (stage.installation.folder / "environments" / "acme" / "dev").iterdir()
    await app.target.remove("acme", "dev", folder.name)
    ((environment, after),) = [turn async for turn in app.drifts.due(actor)]
    body = command(actor, environment, after, stage.installation.clock.now(), new_trace())
    await app.bus.send(GITOPS, [to_message(body)])
    return Delivery({**body, "notBefore": None})


@scenario("DesiredStateCommitted", "by a person who takes something away")
async def _(stage: Stage) -> Operation:
    await _swept(stage)
    await stage.drain()
    author = Signature("Ann", "ann@example.com", stage.installation.clock.now())
    gone = FileChange(f"dev/{HOME['projectId']}/{HOME['moduleId']}/release.yaml", "delete")
    place = Place("acme", "gitops", "environments")
    await stage.installation.app.source_host.commit(place, "main", [gone], message="stop", author=author)
    await _swept(stage)
    return await stage.delivery("DesiredStateCommitted")


async def _swept(stage: Stage) -> None:
    for update in await stage.installation.app.source_host.pending(older_than=0):
        await stage.installation.app.branches.record_update(update)


@scenario("PromotionDue", "before its time")
async def _(stage: Stage) -> Operation:
    await stage.post("/environments/dev/freeze-windows", FREEZE)
    plan = {**HOME, "buildResultId": await stage.build(), "targetEnvironment": "dev"}
    await stage.post("/releases", plan, PLANNER)
    return await stage.delivery("PromotionDue")


@scenario("EnvironmentRulesChanged", "that lets in who waited")
async def _(stage: Stage) -> Operation:
    await stage.post("/environments/dev/freeze-windows", FREEZE)
    await _planned(stage)
    await stage.post("/environments/test/freeze-windows", FREEZE)
    await stage.drain()
    await _thaw(stage)
    return await stage.delivery("EnvironmentRulesChanged")


async def _thaw(stage: Stage) -> None:
    api = Api(stage.installation.app)
    windows = await api.expect(200, "GET", "/environments/dev/freeze-windows")
    for window in windows["items"]:
        if window["name"] == FREEZE["name"]:
            path = f"/environments/dev/freeze-windows/{window['freezeWindowId']}"
            await api.expect(204, "DELETE", path)
