"""Bringing our records to where branches are on vendors' hosts, which keep no journal of what moved."""

import logging
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace

from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.errors import DeliveryError
from shared.domain.source.model import Provider, Repository, RepositoryStatus
from shared.ports.store import Query
from shared.services.branches import Branches
from shared.services.unit import Units

log = logging.getLogger("slipway.source")


@dataclass(frozen=True, slots=True)
class VendorSweep:
    """`tenants` are those that have an organization on a vendor's host."""

    units: Units
    branches: Branches
    tenants: Collection[str]

    async def run(self) -> int:
        """Compare every repository on a vendor's host with our records; how many branches had moved.

        One that cannot be read is named in the log and does not stop the others; the next run looks again.
        """
        moved = 0
        for tenant in sorted(self.tenants):
            actor = system_actor(tenant, "source")
            async for repository in self._repositories(actor):
                try:
                    moved += await self.branches.catch_up(actor, repository)
                except DeliveryError as error:
                    log.warning(
                        "the branches of %s/%s could not be compared: %s",
                        tenant,
                        repository.full_name,
                        error.message,
                    )
        return moved

    async def _repositories(self, actor: Actor) -> AsyncIterator[Repository]:
        query = Query("repository", {}, "created_at", limit=100)
        while True:
            page = await self.units.list(actor, Repository, query)
            for repository in page.items:
                there = repository.status is RepositoryStatus.PROVISIONED
                if there and repository.provider is not Provider.EMBEDDED:
                    yield repository
            if page.next is None:
                return
            query = replace(query, after=page.next)
