"""Queue `infrastructure`: plans are previewed and carried out here, one at a time per stack."""

from functions.workers.consumer import Consumer, Job
from shared.names import INFRASTRUCTURE

infrastructure = Consumer(INFRASTRUCTURE)


@infrastructure.on("ProvisionInfrastructure")
@infrastructure.on("ProvisionInfrastructureAgain")
async def work_on_plan(job: Job) -> None:
    await job.app.provisioning.work(job.actor, job.payload)


@infrastructure.on("InfrastructureOverdue")
async def expire_plan(job: Job) -> None:
    await job.app.provisioning.expire(job.actor, job.payload)
