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
