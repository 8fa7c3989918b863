"""The one connection to a container of Cosmos DB: how it is opened, what it is asked, what is repeated.

The SDK repeats nothing that may have been done: by itself it sends a write again when the connection is lost,
and what has landed once must not land again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from shared.adapters.azure.cosmos_indexing import documents_container
from shared.adapters.azure.cosmos_items import Item
from shared.adapters.azure.cosmos_query import Statement
from shared.adapters.azure.cosmos_retry import Patience, Waits
from shared.adapters.azure.failures import checked_endpoint
from shared.domain.kernel.errors import Transient
from shared.names import DOCUMENTS
from shared.ports.ids import Ids

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

type Meter = Callable[[str, float], None]
"""Told the operation (open, ready, ranges, read, scan, query, walk, batch, feed) and an answer's charge."""
type Key = tuple[str, ...]
"""The tenant and the root; the tenant alone for a query over all its roots."""
type Range = dict[str, Any]
"""A partition range, or part of one, as the SDK writes it."""

_CHARGE = "x-ms-request-charge"
_operation: ContextVar[str] = ContextVar("cosmos_operation", default="open")


class Container:
    """The documents container, opened by its first call. Belongs to one event loop.

    Every method but `batch` repeats until it is answered, and raises what `Waits.after` raises.
    """

    def __init__(
        self,
        endpoint: str,
        database: str,
        credential: "AsyncTokenCredential",
        ids: Ids,
        meter: Meter | None,
        patience: Patience,
    ) -> None:
        self.ids = ids
        self._meter = meter
        self._patience = patience
        self._database = database
        self._client = CosmosClient(
            checked_endpoint(endpoint, "The Cosmos DB endpoint"),
            credential,
            connection_timeout=patience.connect,
            read_timeout=patience.answer,
            # All of these are needed. Without the first four, a batch whose connection was lost is sent
            # again; -1 is never, as 0 stands for the default of 9; without the last, 503 is sent again.
            retry_total=0,
            retry_connect=0,
            retry_read=0,
            retry_status=0,
            retry_throttle_total=-1,
            enable_endpoint_discovery=False,
            enable_compact_utf8_item_writes=True,
            # With them it looks for a proxy and opens ~/.netrc in a thread, for every request.
            transport=AioHttpTransport(use_env_settings=False),
            raw_response_hook=None if meter is None else self._charged,
        )
        self._container = self._client.get_database_client(database).get_container_client(DOCUMENTS)
        self._opening = asyncio.Lock()
        self._is_open = False

    def waits(self) -> Waits:
        return Waits(self._patience, self.ids)

    async def check(self) -> None:
        """Raise Transient where the container is not there or not as it has to be."""
        found = await self._run("ready", lambda container: container.read())
        wanted = documents_container(())["partitionKey"]["paths"]
        if found["partitionKey"]["paths"] != wanted:
            raise Transient(
                f"The container {DOCUMENTS} of the database {self._database} is not partitioned by "
                f"{', '.join(wanted)}. Make it anew by deploying the infrastructure."
            )

    async def read(self, key: Key, name: str, waits: Waits | None = None) -> Item | None:
        """The item with that id, by a point read."""

        async def call(container: ContainerProxy) -> Item | None:
            try:
                return await container.read_item(name, partition_key=key)
            except CosmosResourceNotFoundError as error:
                if error.sub_status:  # not of the item: its container is gone, or the replica is behind
                    raise
                return None

        return await self._run("read", call, waits)

    async def query(
        self, operation: str, key: Key, statement: Statement, limit: int, waits: Waits | None = None
    ) -> list[Item]:
        """Everything that the statement finds. Cosmos ends a page at 4 MB, or earlier as it likes."""
        sql, parameters = statement

        async def call(container: ContainerProxy) -> list[Item]:
            pages = container.query_items(
                sql, parameters=parameters, partition_key=key, max_item_count=limit
            ).by_page()
            return [item async for page in pages async for item in page]

        return await self._run(operation, call, waits)

    async def batch(self, key: Key, operations: Sequence[Any]) -> list[dict[str, Any]]:
        """The result of each operation. Sent once; raises AzureError."""

        async def call(container: ContainerProxy) -> list[dict[str, Any]]:
            return await container.execute_item_batch(operations, partition_key=key)

        return await self._once("batch", call)

    async def ranges(self) -> list[Range]:
        """The partition ranges there are, as far as the SDK has heard: it looks again when one is gone."""

        async def call(container: ContainerProxy) -> list[Range]:
            return [found async for found in container.read_feed_ranges()]

        return await self._run("ranges", call)

    async def is_within(self, part: Range, whole: Range) -> bool:
        return await self._run("ranges", lambda container: container.is_feed_range_subset(whole, part))

    async def is_spread(self, tenant: str) -> bool:
        """Whether the tenant's documents lie in several partition ranges."""
        ranges = await self.ranges()
        if len(ranges) == 1:
            return False
        own = await self._run("ranges", lambda container: container.feed_range_from_partition_key([tenant]))
        for one in ranges:
            if await self.is_within(own, one):
                return False
        return True

    async def changes(self, whole: Range, continuation: str | None, limit: int) -> tuple[list[Item], str]:
        """One page of changes in a range, from its start or after a continuation, and the next continuation.

        Raises ValueError for a continuation that is none of this container's.
        """

        async def call(container: ContainerProxy) -> tuple[list[Item], str]:
            answers: list[Mapping[str, Any]] = []
            start: dict[str, Any] = (
                {"feed_range": whole, "start_time": "Beginning"}
                if continuation is None
                else {"continuation": continuation}
            )
            pages = container.query_items_change_feed(
                max_item_count=limit, response_hook=lambda headers, _: answers.append(headers), **start
            ).by_page()
            items: list[Item] = []
            async for page in pages:
                items = [item async for item in page]
                break
            # Not the client's last headers, which another call may have set since. The SDK puts its
            # continuation where the service put the etag of its answer.
            return items, str(answers[-1]["etag"])

        return await self._run("feed", call)

    async def aclose(self) -> None:
        await self._client.close()

    async def _run[T](
        self, operation: str, call: Callable[[ContainerProxy], Awaitable[T]], waits: Waits | None = None
    ) -> T:
        waits = waits or self.waits()
        while True:
            try:
                return await self._once(operation, call)
            except AzureError as error:
                await waits.after(error)

    async def _once[T](self, operation: str, call: Callable[[ContainerProxy], Awaitable[T]]) -> T:
        token = _operation.set(operation)
        try:
            if not self._is_open:
                await self._open()
            return await call(self._container)
        finally:
            _operation.reset(token)

    async def _open(self) -> None:
        """Read the account and the container, which the SDK wants to know before its first operation.

        A container that is missing is told here: a read of a document would take its 404 for the document's.
        """
        async with self._opening:
            if self._is_open:
                return
            await self._client.__aenter__()
            await self._container.read()
            self._is_open = True

    def _charged(self, response: Any) -> None:
        charge = response.http_response.headers.get(_CHARGE)
        if charge and self._meter is not None:
            self._meter(_operation.get(), float(charge))
