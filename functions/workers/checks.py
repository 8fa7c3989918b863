"""Queue `checks`: pull requests get their build started and its verdict recorded, are weighed against their
target and its policies, and merged where that was ordered."""

from functions.workers.consumer import Consumer, Job
from shared.names import CHECKS

checks = Consumer(CHECKS)


@checks.on("PullRequestOpened")
@checks.on("PullRequestUpdated")
@checks.on("PullRequestReopened")
@checks.on("RerunChecks")
async def start_build(job: Job) -> None:
    await job.app.checks.start_build(job.actor, job.payload, job.once)


@checks.on("PipelineRunCompleted")
async def record_build(job: Job) -> None:
    await job.app.checks.record_build(job.actor, job.payload, job.once)


@checks.on("WeighPullRequests")
async def weigh_pull_requests(job: Job) -> None:
    await job.app.checks.weigh_all(job.actor, job.payload)


@checks.on("BranchPolicyChanged")
async def reflect_policies(job: Job) -> None:
    await job.app.branch_policies.reflect(job.actor, job.payload)


@checks.on("CompletePullRequest")
async def complete_pull_request(job: Job) -> None:
    await job.app.checks.complete(job.actor, job.payload)
