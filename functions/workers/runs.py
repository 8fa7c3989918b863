"""Queue `runs`: pipeline runs are executed here, one message a run."""

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
