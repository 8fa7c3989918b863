"""Runs at a vendor, tried at every crash point: begun, followed and stopped."""

from tests.faults.crash_points.operations import Operation, Request
from tests.faults.crash_points.scenarios import scenario
from tests.faults.crash_points.stage import Stage

JOBS = {"Build and test": {"Build": "success", "Test": "running"}}


async def ordered(stage: Stage) -> str:
    """A run of a pipeline at the vendor, not yet begun; its path."""
    draft = {"projectId": "proj-y", "moduleId": "module-y", "name": "theirs", "provider": "GitHub"}
    repository = (await stage.post("/repositories", draft))["repositoryId"]
    wanted = {"repositoryId": repository, "moduleId": "module-y", "moduleType": "Worker"}
    pipeline = (await stage.post("/pipelines/generate", wanted))["pipelineId"]
    await stage.drain()
    started = await stage.post(f"/pipelines/{pipeline}/run", {"reason": "ci"})
    return f"/pipeline-runs/{started['pipelineRunId']}"


@scenario("RunPipeline", "at a vendor")
async def _(stage: Stage) -> Operation:
    await ordered(stage)
    return await stage.delivery("RunPipeline")


@scenario("FollowRun", "of a run under way")
async def _(stage: Stage) -> Operation:
    await ordered(stage)
    turn = await stage.delivery("FollowRun")
    stage.installation.vendor.ci.change("1", jobs=JOBS, log="built\n")
    return turn


@scenario("FollowRun", "of a run that is over")
async def _(stage: Stage) -> Operation:
    await ordered(stage)
    turn = await stage.delivery("FollowRun")
    stage.installation.vendor.ci.complete("1")
    return turn


@scenario("FollowRun", "of a run that was deleted")
async def _(stage: Stage) -> Operation:
    await ordered(stage)
    turn = await stage.delivery("FollowRun")
    stage.installation.vendor.ci.delete("1")
    return turn


@scenario("POST /pipeline-runs/{pipelineRunId}/cancel", "at a vendor")
async def _(stage: Stage) -> Operation:
    run = await ordered(stage)
    await stage.drain()
    return Request("POST", f"{run}/cancel")


@scenario("CancelHostRun", "of a run that a dead worker had begun")
async def _(stage: Stage) -> Operation:
    run = await ordered(stage)
    await stage.die_in(await stage.delivery("RunPipeline"), "store.commit")
    await stage.post(f"{run}/cancel")
    return await stage.delivery("CancelHostRun")


@scenario("CancelHostRun")
async def _(stage: Stage) -> Operation:
    run = await ordered(stage)
    await stage.drain()
    await stage.post(f"{run}/cancel")
    return await stage.delivery("CancelHostRun")
