"""The workers of this installation, one per queue."""

from functions.workers.checks import checks
from functions.workers.deployments import deployments
from functions.workers.gitops import gitops
from functions.workers.promotions import promotions
from functions.workers.runs import runs
from functions.workers.source import source

CONSUMERS = (source, checks, runs, promotions, deployments, gitops)
