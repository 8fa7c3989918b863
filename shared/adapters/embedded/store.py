"""The document store on SQLite: Cosmos semantics in one file. Knows documents, never what they mean.

A document's etag is the sequence of its last write: new at every write, and never used twice.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from shared.adapters.documents import Indexes, by_question, checked, lost, refuse_residual, serving, walk
from shared.adapters.embedded.query_tables import QueryTable, install, query_sql, tables_for
from shared.adapters.embedded.sqlite import Database, Run, Value, advance, micros
from shared.domain.kernel.ids import Root
from shared.ports.clock import Clock
from shared.ports.index import Index
from shared.ports.store import Document, Query, Stretch, Walk, Write

# The sequence is the row's own number: the feed reads on from a place in the table, and the documents of one
# batch lie side by side.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    sequence INTEGER PRIMARY KEY, tenant TEXT NOT NULL, root TEXT NOT NULL, id TEXT NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL, expires_at INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS documents_key ON documents (tenant, root, id);
CREATE INDEX IF NOT EXISTS documents_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL;
"""
_SELECT = "SELECT sequence, tenant, root, id, kind, body FROM documents"
_ALIVE = "(expires_at IS NULL OR expires_at > ?)"
_SCAN = f"{_SELECT} WHERE tenant = ? AND root = ? AND id >= ? AND id < ? AND {_ALIVE} ORDER BY id LIMIT ?"
_CHANGES = f"{_SELECT} WHERE sequence > ? AND {_ALIVE} ORDER BY sequence LIMIT ?"
_UPSERT = """
INSERT INTO documents (sequence, tenant, root, id, kind, body, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, root, id) DO UPDATE SET
    sequence = excluded.sequence, kind = excluded.kind, body = excluded.body, expires_at = excluded.expires_at
"""
_CREATE = f"{_UPSERT} WHERE documents.expires_at <= ?"
_CURRENT = f"tenant = ? AND root = ? AND id = ? AND sequence = ? AND {_ALIVE}"
_REPLACE = f"UPDATE documents SET sequence = ?, kind = ?, body = ?, expires_at = ? WHERE {_CURRENT}"  # noqa: S608
_DELETE = f"DELETE FROM documents WHERE {_CURRENT}"  # noqa: S608
_PURGE = """
DELETE FROM documents WHERE sequence IN
    (SELECT sequence FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
RETURNING kind, tenant, root, id
"""
_LAST = "\U0010ffff"
"""Sorts after every character that ids are made of."""


class SqliteStore:
    """Implements Store and ChangeFeed. `indexes` are the only queries there are; others are dropped at start.

    An indexed query gives the documents that have the order field; equality is by JSON type too, so that
    `true` is not `1`. Ids are taken to be unique within a kind and a tenant, as the keyset goes by them.
    Expired documents are gone at once by the clock; `purge` frees their space.
    """

    def __init__(self, path: Path, indexes: Sequence[Index], clock: Clock) -> None:
        self._clock = clock
        self._indexes = by_question(indexes)
        self._tables = tables_for(indexes)
        self._database = Database(path, _SCHEMA)
        with self._database.transaction() as run:
            install(run, self._tables.values())

    def open(self, tenant: str) -> "SqliteTenant":
        return SqliteTenant(self._database, self._clock, self._indexes, self._tables, tenant)

    async def ready(self) -> None:
        self._database.check()

    async def changes(self, after: int, limit: int) -> list[Document]:
        return _documents(self._database.durable_rows(_CHANGES, (after, micros(self._clock.now()), limit)))

    async def read(self, position: str, limit: int) -> Stretch:
        documents = await self.changes(int(position or 0), limit)
        return Stretch(documents, str(documents[-1].sequence) if documents else position)

    async def wait(self, timeout: float) -> None:
        """Return once this process has committed something since the last wait, or after `timeout` s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._database.committed.wait()
        self._database.committed.clear()

    async def purge(self, limit: int = 500) -> int:
        """Remove at most `limit` expired documents for good, oldest first; returns how many."""
        with self._database.transaction() as run:
            gone = run(_PURGE, (micros(self._clock.now()), limit)).fetchall()
            for kind, *key in gone:
                if (table := self._tables.get(kind)) is not None:
                    run(table.delete, key)
            return len(gone)

    async def aclose(self) -> None:
        self._database.close()


@dataclass(frozen=True, slots=True)
class SqliteTenant:
    """One tenant's documents."""

    database: Database
    clock: Clock
    indexes: Indexes
    tables: dict[str, QueryTable]
    tenant: str

    def partition(self, root: Root) -> "SqlitePartition":
        return SqlitePartition(self.database, self.clock, self.tables, self.tenant, str(root))

    async def query(self, query: Query) -> list[Document]:
        refuse_residual(query)
        return _documents(self._rows(query))

    async def walk(self, query: Query) -> Walk:
        async def page(ahead: Query) -> list[Document]:
            return _documents(self._rows(ahead))

        return await walk(query, page)

    def _rows(self, query: Query) -> list[tuple[Any, ...]]:
        index = serving(self.indexes, query)
        same = (self.tenant, *(to_json(query.where[name]).decode() for name in index.equal))
        now = micros(self.clock.now())
        if query.after is None:
            sql = query_sql(index, "first", query.descending)
            return self.database.durable_rows(sql, (*same, now, query.limit, query.skip))
        # Two exact ranges: the rest of the last item's equals, then what lies beyond them. Comparing the pair
        # at once would make SQLite walk the index from its start.
        value, last_id = query.after
        sql = query_sql(index, "equals", query.descending)
        rows = self.database.durable_rows(sql, (*same, value, last_id, now, query.limit, 0))
        if len(rows) < query.limit:
            sql = query_sql(index, "beyond", query.descending)
            rows += self.database.durable_rows(sql, (*same, value, now, query.limit - len(rows), 0))
        return rows


@dataclass(frozen=True, slots=True)
class SqlitePartition:
    """One consistency root."""

    database: Database
    clock: Clock
    tables: dict[str, QueryTable]
    tenant: str
    root: str

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        if not ids:
            return {}
        await self.database.quiet(self._key)
        values: list[Value] = [self.tenant, self.root, *ids, micros(self.clock.now())]
        return {found.id: found for found in _documents(self.database.rows(_read_sql(len(ids)), values))}

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        await self.database.quiet(self._key)
        first = max(prefix, after + "\0")
        values = (self.tenant, self.root, first, prefix + _LAST, micros(self.clock.now()), limit)
        return _documents(self.database.rows(_SCAN, values))

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        bodies = [body.decode() for body in checked(writes)]
        if not writes:
            return {}
        now = micros(self.clock.now())

        def work(run: Run) -> dict[str, str]:
            etags: dict[str, str] = {}
            first = advance(run, len(writes))
            for sequence, (write, body) in enumerate(zip(writes, bodies, strict=True), first):
                if not self._write(run, write, body, sequence, now):
                    raise lost(write)
                if write.op != "delete":
                    etags[write.id] = str(sequence)
            return etags

        return await self.database.write(self._key, work)

    @property
    def _key(self) -> tuple[str, str]:
        return self.tenant, self.root

    def _write(self, run: Run, write: Write, body: str, sequence: int, now: int) -> bool:
        """Whether the operation's condition held."""
        key = (self.tenant, self.root, write.id)
        expires_at = None if write.expires_at is None else micros(write.expires_at)
        match write.op:
            case "create":
                done = run(_CREATE, (sequence, *key, write.kind, body, expires_at, now))
            case "upsert":
                done = run(_UPSERT, (sequence, *key, write.kind, body, expires_at))
            case "replace":
                done = run(_REPLACE, (sequence, write.kind, body, expires_at, *key, write.etag, now))
            case "delete":
                done = run(_DELETE, (*key, write.etag, now))
        if done.rowcount != 1:
            return False
        if (table := self.tables.get(write.kind)) is not None:
            if write.op == "delete":
                run(table.delete, key)
            else:
                run(table.upsert, (*key, sequence, expires_at, body))
        return True


@cache
def _read_sql(count: int) -> str:
    marks = ", ".join("?" * count)
    return f"{_SELECT} WHERE tenant = ? AND root = ? AND id IN ({marks}) AND {_ALIVE}"


def _documents(rows: Iterable[tuple[Any, ...]]) -> list[Document]:
    return [_document(row) for row in rows]


def _document(row: tuple[Any, ...]) -> Document:
    sequence, tenant, root, document_id, kind, body = row
    return Document(tenant, root, document_id, kind, from_json(body), str(sequence), sequence)
