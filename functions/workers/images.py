"""Queue `images`: container images are brought into their registries, and judged by their scans."""

from functions.workers.consumer import Consumer, Job
from shared.names import IMAGES

images = Consumer(IMAGES)


@images.on("PushContainerImage")
@images.on("PushContainerImageAgain")
async def push_image(job: Job) -> None:
    await job.app.container_images.push(job.actor, job.payload)


@images.on("ContainerImagePushed")
async def scan_image(job: Job) -> None:
    await job.app.container_images.scan(job.actor, job.payload)
