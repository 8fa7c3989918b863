"""Which tenants there are, projected from the change feed: for work that nobody asks for.

The store cannot be opened for all of them; whoever works through them opens it for one after the other.
"""

from collections.abc import Iterable

from shared.domain.kernel.ids import Root
from shared.ports.store import Document, Store, Write
from shared.services.views import PLATFORM

_KNOWN = Root("view", "tenants")
_TENANT = "tenant:"
_AT_ONCE = 500


class Tenants:
    """One document per tenant, in a partition of the platform's own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: set[str] = set()

    async def project(self, documents: Iterable[Document]) -> None:
        """Write down whose documents these are; what this process has written before costs nothing."""
        for tenant in {document.tenant for document in documents} - self._seen - {PLATFORM}:
            write = Write("upsert", _TENANT + tenant, "tenant", {"tenant": tenant})
            await self._store.open(PLATFORM).partition(_KNOWN).commit([write])
            self._seen.add(tenant)

    async def list(self) -> list[str]:
        """Every tenant that ever wrote anything, by name."""
        partition, found, after = self._store.open(PLATFORM).partition(_KNOWN), list[str](), ""
        while documents := await partition.scan(_TENANT, after=after, limit=_AT_ONCE):
            found += [document.body["tenant"] for document in documents]
            after = documents[-1].id
        return found
