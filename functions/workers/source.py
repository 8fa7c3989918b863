"""Queue `source`: repositories whose provisioning has to be finished, and what flows between them and their
vendors."""

from functions.workers.consumer import Consumer, Job
from shared.domain.kernel.events import id_in
from shared.names import SOURCE
from shared.ports.ci_host import HookEvent

source = Consumer(SOURCE)


@source.on("ProvisionRepository")
async def provision_repository(job: Job) -> None:
    repository_id = id_in(job.payload, "repositoryId", "repo")
    repository = await job.app.repositories.complete(job.actor, repository_id)
    await job.app.host_hooks.settle(job.actor, repository)


@source.on("RepositoryArchived")
async def leave_vendor(job: Job) -> None:
    await _settle(job)


@source.on("RepositoryUnarchived")
async def take_back(job: Job) -> None:
    await _settle(job)
    await job.app.checks.resume(job.actor, job.payload)


async def _settle(job: Job) -> None:
    """As the repository is by now, whichever of its events came last."""
    repository = await job.app.repositories.get(job.actor, id_in(job.payload, "repositoryId", "repo"))
    await job.app.host_hooks.settle(job.actor, repository)


@source.on("MirrorPullRequest")
@source.on("MirrorPullRequestAgain")
async def mirror_pull_request(job: Job) -> None:
    await job.app.host_requests.mirror(job.actor, job.payload, job.once)


@source.on("HostChanged")
@source.on("HostChangedAgain")
async def hear_host(job: Job) -> None:
    if job.payload["about"] == HookEvent.RUN:
        await job.app.runs.vendor_runs.nudge(job.actor, id_in(job.payload, "repositoryId", "repo"))
    else:
        await job.app.host_requests.hear(job.actor, job.payload, job.once)
