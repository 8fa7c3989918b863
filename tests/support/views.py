"""Items with counted lists, a store that dies or dawdles at a commit, and the totals by brute force."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.ids import Root
from shared.ports.index import Index
from shared.ports.store import Document, Partition, Query, Store, TenantStore, Walk, Write
from shared.services.views import Views

INDEXES = (
    Index("item", (), "at"),
    Index("item", ("owner",), "at"),
    Index("item", ("owner", "status"), "at"),
    Index("other", ("owner",), "at"),
)
TENANTS = ("acme", "rival")
OWNERS, STATUSES, NUMBERS = ("ann", "bob", None), ("new", "old"), range(6)


class Died(Exception):
    """The process, in a test."""


@dataclass
class Fuse:
    """Lets so many commits of views pass and then dies, before or after the one that follows."""

    left: int | None = None
    is_after: bool = False


@dataclass(frozen=True)
class FrailPartition:
    inner: Partition
    fuse: Fuse

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        await asyncio.sleep(0)
        return await self.inner.read(ids)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        await asyncio.sleep(0)
        return await self.inner.scan(prefix, after=after, limit=limit)

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        await asyncio.sleep(0)
        is_due = self.fuse.left == 0
        if self.fuse.left is not None:
            self.fuse.left -= 1
        if is_due and not self.fuse.is_after:
            raise Died
        etags = await self.inner.commit(writes)
        if is_due:
            raise Died
        return etags


@dataclass(frozen=True)
class FrailTenant:
    inner: TenantStore
    fuse: Fuse

    def partition(self, root: Root) -> Partition:
        return FrailPartition(self.inner.partition(root), self.fuse)

    async def query(self, query: Query) -> list[Document]:
        return await self.inner.query(query)

    async def walk(self, query: Query) -> Walk:
        return await self.inner.walk(query)


@dataclass
class FrailStore:
    """Every operation lets others go first, so that projections mix in any way that awaits allow."""

    inner: Store
    fuse: Fuse = field(default_factory=Fuse)

    def open(self, tenant: str) -> TenantStore:
        return FrailTenant(self.inner.open(tenant), self.fuse)

    async def ready(self) -> None:
        await self.inner.ready()

    async def aclose(self) -> None:
        await self.inner.aclose()


async def put(store: Store, tenant: str, kind: str, number: int, **body: Any) -> None:
    """Create or replace; roots differ, as those of real items do."""
    partition = store.open(tenant).partition(Root("box", str(number % 3)))
    await partition.commit([Write("upsert", f"{kind}:{number}", kind, {"at": number, **body})])


async def recount(store: SqliteStore) -> Counter[tuple[str, str, tuple[tuple[str, Any], ...]]]:
    """Every count of every combination, by reading every document."""
    counted: Counter[tuple[str, str, tuple[tuple[str, Any], ...]]] = Counter()
    for document in await store.changes(0, 1_000_000):
        for equal in {index.equal for index in INDEXES if index.kind == document.kind}:
            bound = tuple((name, document.body.get(name)) for name in equal)
            if all(value is not None for _, value in bound):
                counted[document.tenant, document.kind, bound] += 1
    return counted


async def assert_exact(store: SqliteStore, views: Views) -> None:
    counted = await recount(store)
    for tenant in TENANTS:
        for index in INDEXES:
            for owner in [o for o in OWNERS if o] if "owner" in index.equal else [None]:
                for status in STATUSES if "status" in index.equal else [None]:
                    values = {"owner": owner, "status": status}
                    where = {name: str(values[name]) for name in index.equal}
                    total = await views.total(tenant, Query(index.kind, where, "at"))
                    bound = tuple((name, values[name]) for name in index.equal)
                    assert total.count == counted[tenant, index.kind, bound], (tenant, index)
