"""The items of one container in SQLite: a turn is a transaction and takes one log sequence number (lsn)."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from tests.standins.cosmos import charges
from tests.standins.cosmos.catalogue import Container, Path
from tests.standins.cosmos.errors import conflict, not_found, precondition_failed
from tests.standins.cosmos.items import Item, Key

type Now = Callable[[], float]

# AUTOINCREMENT, so that the `_rid` of a deleted item is never given to another one.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS {table} (
    number INTEGER PRIMARY KEY AUTOINCREMENT, pk TEXT NOT NULL, epk TEXT NOT NULL, id TEXT NOT NULL,
    doc TEXT NOT NULL, etag TEXT NOT NULL, lsn INTEGER NOT NULL, nth INTEGER NOT NULL, expires INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS "{name}/key" ON {table} (pk, id);
CREATE INDEX IF NOT EXISTS "{name}/epk" ON {table} (epk, number, id);
CREATE INDEX IF NOT EXISTS "{name}/feed" ON {table} (lsn, nth);
CREATE INDEX IF NOT EXISTS "{name}/expiry" ON {table} (expires) WHERE expires IS NOT NULL;
"""
_LSNS = "CREATE TABLE IF NOT EXISTS lsns (name TEXT PRIMARY KEY, lsn INTEGER NOT NULL) STRICT;"


@dataclass(frozen=True, slots=True)
class Stored:
    """An item as it is kept: `text` is its JSON with what the service adds."""

    number: int
    text: str
    etag: str
    charge: float


class Documents:
    """Every method but `turn` answers at once and alone; writes belong inside a turn."""

    def __init__(self, connection: sqlite3.Connection, container: Container, now: Now) -> None:
        self.container = container
        self._now = now
        self._name = f"{container.database}/{container.id}"
        self.table = '"' + self._name.replace('"', '""') + '"'
        self._run = connection.execute
        connection.executescript(_LSNS + _SCHEMA.format(table=self.table, name=self._name.replace('"', '""')))
        for number, paths in enumerate(container.unique):
            columns = ", ".join(f"coalesce(doc -> '{json_path(path)}', 'null')" for path in paths)
            self._run(f'CREATE UNIQUE INDEX IF NOT EXISTS "{self._name}/unique{number}" '
                      f"ON {self.table} (pk, {columns})")  # fmt: skip
        row = self._run("SELECT lsn FROM lsns WHERE name = ?", (self._name,)).fetchone()
        self.lsn: int = row[0] if row else 0
        self._nth = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """All that is written inside, or nothing where the block raises."""
        self._run("BEGIN IMMEDIATE")
        self.lsn += 1
        self._nth = 0
        try:
            # What has expired is gone: it holds neither its id nor its unique keys any longer.
            self._run(f"DELETE FROM {self.table} WHERE expires <= ?", (self._now(),))
            yield
            self._run("INSERT OR REPLACE INTO lsns (name, lsn) VALUES (?, ?)", (self._name, self.lsn))
        except BaseException:
            self._run("ROLLBACK")
            self.lsn -= 1
            raise
        self._run("COMMIT")

    def read(self, key: Key, item_id: str) -> Stored:
        row = self._find(key, item_id)
        if row is None:
            raise not_found()
        number, text, etag = row
        return Stored(number, text, etag, charges.read(len(text)))

    def create(self, key: Key, item: Item) -> Stored:
        try:
            cursor = self._run(
                f"INSERT INTO {self.table} (pk, epk, id, doc, etag, lsn, nth) VALUES (?, ?, ?, ?, '', 0, 0)",
                (key.text, key.epk, item.id, item.text),
            )
        except sqlite3.IntegrityError:
            raise conflict() from None
        assert cursor.lastrowid is not None
        return self._write(cursor.lastrowid, item, replaces=False)

    def replace(self, key: Key, item: Item, if_match: str | None) -> Stored:
        return self._write(self._current(key, item.id, if_match)[0], item, replaces=True)

    def upsert(self, key: Key, item: Item, if_match: str | None) -> tuple[Stored, bool]:
        """And whether it was created. A condition is looked at only where the item exists."""
        row = self._find(key, item.id)
        if row is None:
            return self.create(key, item), True
        _check(row[2], if_match)
        return self._write(row[0], item, replaces=True), False

    def delete(self, key: Key, item_id: str, if_match: str | None) -> float:
        """Its charge."""
        number, text, _ = self._current(key, item_id, if_match)
        self._run(f"DELETE FROM {self.table} WHERE number = ?", (number,))
        return charges.write(len(text), self.container.indexing.terms(from_json(text)))

    def named(self, number: int) -> tuple[str, str]:
        """The partition key (JSON) and the id of the item with that number in its `_rid`."""
        row = self._run(f"SELECT pk, id FROM {self.table} WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise not_found()
        return row[0], row[1]

    def rows(self, where: str, values: list[Any], order: str, limit: int = -1) -> Iterator[tuple[Any, ...]]:
        """(number, doc, lsn) of what has not expired, as the SQL terms say."""
        return self._run(
            f"SELECT number, doc, lsn FROM {self.table} WHERE {where} AND (expires IS NULL OR expires > ?) "
            f"ORDER BY {order} LIMIT ?",
            (*values, self._now(), limit),
        )

    def _find(self, key: Key, item_id: str) -> tuple[int, str, str] | None:
        found: tuple[int, str, str] | None = self._run(
            f"SELECT number, doc, etag FROM {self.table} "
            "WHERE pk = ? AND id = ? AND (expires IS NULL OR expires > ?)",
            (key.text, item_id, self._now()),
        ).fetchone()
        return found

    def _current(self, key: Key, item_id: str, if_match: str | None) -> tuple[int, str, str]:
        row = self._find(key, item_id)
        if row is None:
            raise not_found()
        _check(row[2], if_match)
        return row

    def _write(self, number: int, item: Item, *, replaces: bool) -> Stored:
        self._nth += 1
        timestamp = int(self._now())
        etag = f'"{self.lsn:08x}-0000-{self._nth:04x}-0000-{timestamp:012x}"'
        rid = self.container.item_rid(number)
        text = (
            f'{item.text[:-1]},"_rid":"{rid}","_self":"{self.container.self_link}docs/{rid}/",'
            f'"_etag":"\\"{etag[1:-1]}\\"","_attachments":"attachments/","_ts":{timestamp}}}'
        )
        expires = None if item.ttl is None else timestamp + item.ttl
        try:
            self._run(
                f"UPDATE {self.table} SET doc = ?, etag = ?, lsn = ?, nth = ?, expires = ? WHERE number = ?",
                (text, etag, self.lsn, self._nth, expires, number),
            )
        except sqlite3.IntegrityError:
            raise conflict() from None
        charge = charges.write(len(text), self.container.indexing.terms(item.body), replaces=replaces)
        return Stored(number, text, etag, charge)


def json_path(path: Path) -> str:
    """A path of property names for SQLite's JSON functions, to stand between single quotes."""
    quoted = "".join('."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in path)
    return "$" + quoted.replace("'", "''")


def _check(etag: str, if_match: str | None) -> None:
    if if_match not in {None, "*", etag}:
        raise precondition_failed()
