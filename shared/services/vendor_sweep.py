"""Bringing our records to where repositories are on vendors' hosts, which keep no journal of what moved."""

import logging
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.errors import DeliveryError
from shared.domain.source.host_records import HostWatch, watch_id
from shared.domain.source.model import Provider, PullRequestIndex, Repository, RepositoryStatus
from shared.ports.store import Query
from shared.services.branches import Branches, index_id
from shared.services.host_hooks import HostHooks
from shared.services.host_requests import HostRequests
from shared.services.unit import Units

FOLLOWED_EVERY = timedelta(minutes=10)
"""How often pull requests are compared that a webhook tells of, or where none is open. Each comparison is two
requests, and one for every open pull request."""

log = logging.getLogger("slipway.source")


@dataclass(frozen=True, slots=True)
class VendorSweep:
    """`tenants` are those that have an organization on a vendor's host."""

    units: Units
    branches: Branches
    requests: HostRequests
    hooks: HostHooks
    tenants: Collection[str]

    async def run(self) -> int:
        """Compare every repository on a vendor's host with our records; how many branches and pull requests
        were not alike.

        One that cannot be read is named in the log and does not stop the others; the next run looks again.
        """
        moved = 0
        for tenant in sorted(self.tenants):
            actor = system_actor(tenant, "source")
            async for repository in self._repositories(actor):
                try:
                    moved += await self._compare(actor, repository)
                except DeliveryError as error:
                    log.warning(
                        "%s/%s could not be compared: %s", tenant, repository.full_name, error.message
                    )
        return moved

    async def _compare(self, actor: Actor, repository: Repository) -> int:
        if repository.status is RepositoryStatus.ARCHIVED:
            await self.hooks.remove(actor, repository)
            return 0
        moved = await self.branches.catch_up(actor, repository)
        await self.hooks.ensure(actor, repository)
        if await self._is_due(actor, repository):
            moved += await self.requests.follow(actor, repository)
        return moved

    async def _is_due(self, actor: Actor, repository: Repository) -> bool:
        """Whether its pull requests are to be compared in this run: in every one where some are open and no
        webhook tells of them."""
        watch = await self.units.find(actor, HostWatch, watch_id(repository.id))
        if watch is None or watch.followed_at is None:
            return True
        if self.units.clock.now() - watch.followed_at >= FOLLOWED_EVERY:
            return True
        if watch.hook_url is not None:
            return False
        index = await self.units.find(actor, PullRequestIndex, index_id(repository.id))
        return index is not None and bool(index.open)

    async def _repositories(self, actor: Actor) -> AsyncIterator[Repository]:
        query = Query("repository", {}, "created_at", limit=100)
        async for repository in self.units.every(actor, Repository, query):
            there = repository.status in (RepositoryStatus.PROVISIONED, RepositoryStatus.ARCHIVED)
            if there and repository.provider is not Provider.EMBEDDED:
                yield repository
