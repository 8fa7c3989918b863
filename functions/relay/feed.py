"""How a function reads the change feed: in batches with a lease of its own, and what failed comes again."""

from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func

from shared.names import COSMOS, DATABASE, DOCUMENTS, LEASES

type Batch = list[dict[str, Any]]


def on_feed(
    app: func.FunctionApp,
    name: str,
    handle: Callable[[Batch], Awaitable[object]],
    *,
    leases: str | None = None,
) -> None:
    """Declare a function of that name. `leases` keeps its place in the feed apart from another reader's."""

    async def entry(documents: func.DocumentList) -> None:
        await handle([dict(document) for document in documents])

    entry.__name__ = name
    trigger = app.cosmos_db_trigger(
        arg_name="documents",
        connection=COSMOS,
        database_name=DATABASE,
        container_name=DOCUMENTS,
        lease_container_name=LEASES,
        lease_container_prefix=leases,
        create_lease_container_if_not_exists=False,
        max_items_per_invocation=100,
    )
    # What failed must hold the lease and come again; skipped, its facts would never be told.
    retry = app.retry(
        strategy="exponential_backoff",
        max_retry_count="-1",
        minimum_interval="00:00:01",
        maximum_interval="00:01:00",
    )
    app.function_name(name)(trigger(retry(entry)))
