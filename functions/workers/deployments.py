"""Queue `deployments`: an approved promotion becomes desired state in git."""

from functions.workers.consumer import Consumer, Job
from shared.names import DEPLOYMENTS

deployments = Consumer(DEPLOYMENTS)


@deployments.on("DeploymentRequested")
async def commit_desired_state(job: Job) -> None:
    await job.app.deployments.run(job.actor, job.payload)


@deployments.on("DeploymentRequestedAgain")
async def remind_of_deployment(job: Job) -> None:
    await job.app.deployments.run(job.actor, job.payload, again=True)
