"""Queue `checks`: pull requests get their build started and its verdict recorded."""

from functions.workers.consumer import Consumer, Job
from shared.names import CHECKS

checks = Consumer(CHECKS)


@checks.on("PullRequestOpened")
@checks.on("PullRequestUpdated")
async def start_build(job: Job) -> None:
    await job.app.checks.start_build(job.actor, job.payload, job.once)


@checks.on("PipelineRunCompleted")
async def record_build(job: Job) -> None:
    await job.app.checks.record_build(job.actor, job.payload, job.once)
