"""A store that counts what is asked of it, and what Cosmos would charge. It changes no answer."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic_core import to_json

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.ids import Root
from shared.ports.store import Document, Partition, Query, Stretch, TenantStore, Walk, Write

# KB of an item -> request units of a point read and of a write; Microsoft's table, with session consistency.
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 1024)
_READ = (1.0, 1.04, 1.14, 1.33, 1.67, 2.19, 4.76, 9.95, 145.9)
_WRITE = (4.95, 6.29, 6.67, 7.04, 9.52, 11.23, 22.67, 48.19, 625.0)
_QUERY = 2.8
"""Of a query that an index serves, before what it returns."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the store. `documents` were named, returned or written; `units` is an estimate."""

    kind: str
    """read, scan, query, walk or batch."""
    root: str
    """The kind of the partition's root; the kind asked for where a query spans roots."""
    documents: int
    units: float


@dataclass
class CountingStore:
    """Around the embedded store, with everything that the composition needs of it."""

    store: SqliteStore
    operations: list[Operation] = field(default_factory=list)

    def open(self, tenant: str) -> TenantStore:
        return CountingTenant(self.store.open(tenant), self.operations)

    async def ready(self) -> None:
        await self.store.ready()

    async def changes(self, after: int, limit: int) -> list[Document]:
        return await self.store.changes(after, limit)

    async def read(self, position: str, limit: int) -> Stretch:
        return await self.store.read(position, limit)

    async def wait(self, timeout: float) -> None:
        await self.store.wait(timeout)

    async def purge(self, limit: int = 500) -> int:
        return await self.store.purge(limit)

    async def aclose(self) -> None:
        await self.store.aclose()


@dataclass(frozen=True, slots=True)
class CountingTenant:
    tenant: TenantStore
    operations: list[Operation]

    def partition(self, root: Root) -> Partition:
        return _Partition(self.tenant.partition(root), root.kind, self.operations)

    async def query(self, query: Query) -> list[Document]:
        found = await self.tenant.query(query)
        self.operations.append(Operation("query", query.kind, len(found), _QUERY + _reading(found)))
        return found

    async def walk(self, query: Query) -> Walk:
        walked = await self.tenant.walk(query)
        found = walked.documents
        self.operations.append(Operation("walk", query.kind, len(found), _QUERY + _reading(found)))
        return walked


@dataclass(frozen=True, slots=True)
class _Partition:
    partition: Partition
    root: str
    operations: list[Operation]

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        found = await self.partition.read(ids)
        missing = len(set(ids)) - len(found)  # looking for what is not there costs as much as the smallest
        units = _reading(list(found.values())) + missing
        self.operations.append(Operation("read", self.root, len(ids), units))
        return found

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        found = await self.partition.scan(prefix, after=after, limit=limit)
        self.operations.append(Operation("scan", self.root, len(found), _QUERY + _reading(found)))
        return found

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        etags = await self.partition.commit(writes)
        units = sum(_units(_WRITE, len(to_json(write.body))) for write in writes)
        self.operations.append(Operation("batch", self.root, len(writes), units))
        return etags


def _reading(documents: Sequence[Document]) -> float:
    return sum(_units(_READ, len(to_json(document.body))) for document in documents)


def _units(table: Sequence[float], size: int) -> float:
    """The row of the next larger size: an estimate that errs to the dear side."""
    return table[min(bisect_left(_SIZES, size / 1024), len(_SIZES) - 1)]
