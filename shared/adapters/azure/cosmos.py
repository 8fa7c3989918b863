"""The document store on Cosmos DB (NoSQL): one container, partitioned by tenant and root. Knows no meaning.

Nothing here spans tenants but the feed: every operation names a whole partition key, every query its tenant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from shared.adapters.azure.cosmos_client import Container, Meter
from shared.adapters.azure.cosmos_commit import Commit
from shared.adapters.azure.cosmos_feed import read_feed
from shared.adapters.azure.cosmos_indexing import ordering
from shared.adapters.azure.cosmos_items import Item, document_of, is_alive, micros
from shared.adapters.azure.cosmos_query import in_order, list_statement, read_statement, scan_statement
from shared.adapters.azure.cosmos_retry import Patience, Waits
from shared.adapters.documents import Indexes, by_question, refuse_residual, serving, walk
from shared.adapters.embedded.system import RandomIds
from shared.domain.kernel.ids import Root
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.index import Index
from shared.ports.store import Document, Query, Stretch, Walk, Write

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


class CosmosStore:
    """Implements Store and Feed. `indexes` are the only queries there are; their composites must be deployed.

    An indexed query gives the documents that have the order field; equality is by JSON type too. Ids are
    taken to be unique within a kind and a tenant, as the keyset goes by them. Expired documents are gone at
    once by the clock, and Cosmos removes them later. The account's consistency has to be Strong, so that what
    one process has written is what the next one reads.
    """

    def __init__(
        self,
        endpoint: str,
        database: str,
        indexes: Sequence[Index],
        credential: "AsyncTokenCredential",
        clock: Clock,
        *,
        meter: Meter | None = None,
        ids: Ids | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._clock = clock
        for index in indexes:
            ordering(index)  # raises ValueError for one that cannot be had
        self._indexes = by_question(indexes)
        self._container = Container(
            endpoint, database, credential, ids or RandomIds(), meter, patience or Patience()
        )

    def open(self, tenant: str) -> "CosmosTenant":
        return CosmosTenant(self._container, self._clock, self._indexes, tenant)

    async def ready(self) -> None:
        await self._container.check()

    async def read(self, position: str, limit: int) -> Stretch:
        """Goes on while a page holds nothing but documents that have expired."""
        while True:
            items, position = await read_feed(self._container, position, limit)
            now = micros(self._clock.now())
            documents = [document_of(item) for item in items if is_alive(item, now)]
            if documents or not items:
                return Stretch(documents, position)

    async def aclose(self) -> None:
        await self._container.aclose()


@dataclass(frozen=True, slots=True)
class CosmosTenant:
    """One tenant's documents."""

    container: Container
    clock: Clock
    indexes: Indexes
    tenant: str

    def partition(self, root: Root) -> "CosmosPartition":
        return CosmosPartition(self.container, self.clock, self.tenant, str(root))

    async def query(self, query: Query) -> list[Document]:
        refuse_residual(query)
        return await self._list("query", query)

    async def walk(self, query: Query) -> Walk:
        return await walk(query, partial(self._list, "walk"))

    async def _list(self, operation: str, query: Query) -> list[Document]:
        index = serving(self.indexes, query)
        if query.limit < 1:
            return []
        is_spread = await self.container.is_spread(self.tenant)
        while True:
            # A tenant that has outgrown one partition range is answered range by range, each with its own
            # order, offset and limit: then take enough of each, and merge.
            asked = replace(query, skip=0, limit=query.skip + query.limit) if is_spread else query
            statement = list_statement(self.tenant, index, asked, micros(self.clock.now()))
            items = await self.container.query(operation, (self.tenant,), statement, asked.limit)
            documents = [document_of(item) for item in items]
            if is_spread:
                return in_order(documents, query)
            is_spread = await self.container.is_spread(self.tenant)
            if not is_spread:  # else it has been split while it was read
                return documents


@dataclass(frozen=True, slots=True)
class CosmosPartition:
    """One consistency root."""

    container: Container
    clock: Clock
    tenant: str
    root: str

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        if not ids:
            return {}
        found = await self._fetch(ids)
        now = micros(self.clock.now())
        return {name: document_of(item) for name, item in found.items() if is_alive(item, now)}

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        if limit < 1:
            return []
        statement = scan_statement(prefix, after, limit, micros(self.clock.now()))
        items = await self.container.query("scan", self._key, statement, limit)
        return [document_of(item) for item in items]

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        commit = Commit(self.container, self._key, writes, self.clock.now(), self._fetch)
        return await commit.run() if writes else {}

    async def _fetch(self, ids: Sequence[str], waits: Waits | None = None) -> Mapping[str, Item]:
        """The items with these ids, expired ones too: one request, a point read where it is one id.

        Not the SDK's read_items: for a hierarchical key it compares the whole key with its first path, and so
        finds nothing. Not a batch of reads: one id that is missing fails all of them.
        """
        if len(ids) == 1:
            found = await self.container.read(self._key, ids[0], waits)
            return {} if found is None else {ids[0]: found}
        statement = read_statement(list(dict.fromkeys(ids)))
        items = await self.container.query("read", self._key, statement, len(ids), waits)
        return {item["id"]: item for item in items}

    @property
    def _key(self) -> tuple[str, str]:
        return self.tenant, self.root
