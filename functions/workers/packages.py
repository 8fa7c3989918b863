"""Queue `packages`: what builds have made is published in its feed."""

from functions.workers.consumer import Consumer, Job
from shared.names import PACKAGES

packages = Consumer(PACKAGES)


@packages.on("PublishPackage")
@packages.on("PublishPackageAgain")
async def publish_package(job: Job) -> None:
    await job.app.packages.publish(job.actor, job.payload)
