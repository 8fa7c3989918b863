"""What every document store promises in the same words: its limits, its declared indexes, its walks."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from pydantic_core import to_json

from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.filters import evaluate
from shared.ports.index import Index
from shared.ports.store import (
    MAX_BATCH_BYTES,
    MAX_BATCH_OPERATIONS,
    MAX_SKIP,
    BatchTooLarge,
    Document,
    Query,
    StoreConflict,
    Walk,
    Write,
)

type Indexes = dict[tuple[str, frozenset[str], str], Index]
"""By what a query has to ask to be served."""

_STRIDE = 200
"""Documents that a walk takes at a time."""


def by_question(indexes: Iterable[Index]) -> Indexes:
    return {(index.kind, frozenset(index.equal), index.order): index for index in indexes}


def serving(indexes: Indexes, query: Query) -> Index:
    """The index that serves the query; raises Permanent where none does."""
    index = indexes.get((query.kind, frozenset(query.where), query.order))
    if index is None:
        raise Permanent(_no_index(query, indexes.values()))
    if query.skip > MAX_SKIP or (query.skip and query.after):
        raise Permanent(f"A query skips {MAX_SKIP} at most, and nothing after a position.")
    return index


def refuse_residual(query: Query) -> None:
    if query.residual is not None:
        raise Permanent(f"A query of {query.kind} has a residual; only a walk takes one.")


async def walk(query: Query, page: Callable[[Query], Awaitable[list[Document]]]) -> Walk:
    """Evaluates the residual here and not in a store's own language: one meaning of a filter everywhere.

    `page` answers a query without looking at its residual.
    """
    documents: list[Document] = []
    skipped = examined = 0
    ahead = replace(query, skip=0)
    while examined < query.examine:
        ahead = replace(ahead, limit=min(_STRIDE, query.examine - examined))
        found = await page(ahead)
        for document in found:
            if query.residual is not None and not evaluate(query.residual, document.body):
                continue
            if skipped < query.skip:
                skipped += 1
                continue
            documents.append(document)
            if len(documents) == query.limit:
                return Walk(documents, skipped, None)
        if len(found) < ahead.limit:
            return Walk(documents, skipped, None)
        examined += len(found)
        ahead = replace(ahead, after=(found[-1].body[query.order], found[-1].id))
        await asyncio.sleep(0)  # a long walk must not keep other requests waiting
    return Walk(documents, skipped, ahead.after)


def checked(writes: Sequence[Write]) -> list[bytes]:
    """The bodies as JSON, once the batch is known to keep the limits. Raises BatchTooLarge and Permanent."""
    if len(writes) > MAX_BATCH_OPERATIONS:
        raise BatchTooLarge(
            f"A batch has at most {MAX_BATCH_OPERATIONS} operations and this one has {len(writes)}; split it."
        )
    if len({write.id for write in writes}) < len(writes):
        twice = [name for name, count in Counter(write.id for write in writes).items() if count > 1]
        raise Permanent(f"A batch writes a document once, and this one names {', '.join(twice)} more often.")
    bodies = [to_json(write.body) for write in writes]
    if (size := sum(map(len, bodies))) > MAX_BATCH_BYTES:
        raise BatchTooLarge(f"A batch has at most {MAX_BATCH_BYTES} bytes and this one has {size}; split it.")
    return bodies


def lost(write: Write) -> StoreConflict:
    """Why the write's condition did not hold."""
    if write.op == "create":
        return StoreConflict(f"The document {write.id} exists already.", write.id)
    return StoreConflict(f"The document {write.id} is no longer as it was read.", write.id)


def _no_index(query: Query, indexes: Iterable[Index]) -> str:
    usable = [
        f"({', '.join(index.equal) or 'nothing'}) in the order of {index.order}"
        for index in indexes
        if index.kind == query.kind
    ]
    asked = f"({', '.join(query.where) or 'nothing'}) in the order of {query.order}"
    return f"No index serves {query.kind} by {asked}; declared are: {'; '.join(usable) or 'none'}."
