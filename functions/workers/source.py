"""Queue `source`: repositories whose provisioning has to be finished."""

from functions.workers.consumer import Consumer, Job
from shared.domain.kernel.events import id_in
from shared.names import SOURCE

source = Consumer(SOURCE)


@source.on("ProvisionRepository")
async def provision_repository(job: Job) -> None:
    repository_id = id_in(job.payload, "repositoryId", "repo")
    await job.app.repositories.complete(job.actor, repository_id, job.once)
