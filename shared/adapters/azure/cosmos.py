"""The document store on Cosmos DB (NoSQL): one container, partitioned by tenant and root. Knows no meaning.

Nothing here spans tenants but the feed: every operation names a whole partition key, every query its tenant.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.adapters.azure.cosmos_client import Container, Meter
from shared.adapters.azure.cosmos_commit import Commit
from shared.adapters.azure.cosmos_feed import read_feed
from shared.adapters.azure.cosmos_items import Item, document_of, is_alive, micros
from shared.adapters.azure.cosmos_query import (
    Indexes,
    by_question,
    in_order,
    list_statement,
    read_statement,
    scan_statement,
    serving,
)
from shared.adapters.azure.cosmos_retry import Patience, Waits
from shared.adapters.embedded.system import RandomIds
from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.filters import evaluate
from shared.domain.kernel.ids import Root
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.index import Index
from shared.ports.store import Document, Query, Stretch, Walk, Write

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_STRIDE = 200
"""Documents that a walk takes at a time."""


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
        if query.residual is not None:
            raise Permanent(f"A query of {query.kind} has a residual; only a walk takes one.")
        return await self._list("query", query)

    async def walk(self, query: Query) -> Walk:
        """Evaluates the residual here and not in SQL: one meaning of a filter, in every adapter."""
        documents: list[Document] = []
        skipped = examined = 0
        ahead = replace(query, skip=0)
        while examined < query.examine:
            ahead = replace(ahead, limit=min(_STRIDE, query.examine - examined))
            page = await self._list("walk", ahead)
            for document in page:
                if query.residual is not None and not evaluate(query.residual, document.body):
                    continue
                if skipped < query.skip:
                    skipped += 1
                    continue
                documents.append(document)
                if len(documents) == query.limit:
                    return Walk(documents, skipped, None)
            if len(page) < ahead.limit:
                return Walk(documents, skipped, None)
            examined += len(page)
            ahead = replace(ahead, after=(page[-1].body[query.order], page[-1].id))
            await asyncio.sleep(0)  # a long walk must not keep other requests waiting
        return Walk(documents, skipped, ahead.after)

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
