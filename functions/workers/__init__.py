"""The workers of this installation, one per queue."""

from functions.workers.checks import checks
from functions.workers.consumer import Consumer
from functions.workers.deployments import deployments
from functions.workers.gitops import gitops
from functions.workers.images import images
from functions.workers.infrastructure import infrastructure
from functions.workers.packages import packages
from functions.workers.promotions import promotions
from functions.workers.runs import runs
from functions.workers.source import source

CONSUMERS = (source, checks, runs, promotions, deployments, gitops, infrastructure, images, packages)


def consumer_of(queue: str) -> Consumer:
    """The worker of that queue."""
    return next(consumer for consumer in CONSUMERS if consumer.queue == queue)
