"""Queue `promotions`: what was planned gets its promotion, and what waited is looked at again."""

from functions.workers.consumer import Consumer, Job
from shared.names import PROMOTIONS

promotions = Consumer(PROMOTIONS)


@promotions.on("ReleasePlanned")
@promotions.on("PromotionReady")
async def open_promotion(job: Job) -> None:
    await job.app.promotions.on_hop(job.actor, job.payload)


@promotions.on("DeploymentPromoted")
async def reevaluate_next(job: Job) -> None:
    await job.app.promotions.on_deployed(job.actor, job.payload)


@promotions.on("ContainerImageScanned")
async def reevaluate_with_images(job: Job) -> None:
    await job.app.promotions.on_image_judged(job.actor, job.payload)


@promotions.on("PromotionDue")
async def ask_again(job: Job) -> None:
    await job.app.promotions.on_due(job.actor, job.payload, job.once)


@promotions.on("EnvironmentRulesChanged")
async def reevaluate_all(job: Job) -> None:
    await job.app.promotions.on_rules_changed(job.actor, job.payload)
