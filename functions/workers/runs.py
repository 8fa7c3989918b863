"""Queue `runs`: pipeline runs are executed here, one message a run; a vendor's are followed turn by turn."""

from functions.workers.consumer import Consumer, Job
from shared.names import RUNS

runs = Consumer(RUNS)


@runs.on("RunPipeline")
@runs.on("RunPipelineAgain")
async def execute_run(job: Job) -> None:
    await job.app.runs.execute(job.actor, job.payload, job.once)


@runs.on("RunOverdue")
async def expire_run(job: Job) -> None:
    await job.app.runs.expire(job.actor, job.payload, job.once)


@runs.on("FollowRun")
async def follow_run(job: Job) -> None:
    await job.app.runs.follow(job.actor, job.payload, job.once)


@runs.on("CancelHostRun")
async def cancel_host_run(job: Job) -> None:
    await job.app.runs.vendor_runs.stop(job.actor, job.payload, job.once)
