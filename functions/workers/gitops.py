"""Queue `gitops`: the live state of an environment is made equal to the desired one."""

from functions.workers.consumer import Consumer, Job
from shared.names import GITOPS

gitops = Consumer(GITOPS)


@gitops.on("ReconcileRequested")
async def reconcile(job: Job) -> None:
    await job.app.gitops.sync(job.actor, job.payload, job.once)
