"""Queue `gitops`: the live state of an environment is made equal to the desired one."""

from functions.workers.consumer import Consumer, Job
from shared.names import GITOPS

gitops = Consumer(GITOPS)


@gitops.on("ReconcileRequested")
async def reconcile(job: Job) -> None:
    await job.app.gitops.sync(job.actor, job.payload, job.once)


@gitops.on("CheckDrift")
async def look(job: Job) -> None:
    """The look is left out where it has waited for too long; there is no marker, as it says nothing twice."""
    await job.app.drifts.check(job.actor, job.payload, job.envelope.occurred_at)


@gitops.on("DesiredStateCommitted")
async def follow_git(job: Job) -> None:
    await job.app.gitops.on_committed(job.actor, job.payload)


@gitops.on("RolloutDue")
@gitops.on("RolloutDueAgain")
async def take_next_turn(job: Job) -> None:
    await job.app.rollouts.on_due(job.actor, job.payload)


@gitops.on("RetirementDue")
async def retire(job: Job) -> None:
    await job.app.rollouts.retire(job.actor, job.payload)
