"""One SQLite file as one process opens it: durability, transactions, errors. Knows no document.

There is one connection, used inline on the event loop. A read takes microseconds and a commit one fsync of
the log: a thread would add its own hop to each, and need a lock besides. Nothing awaits within a
transaction, so two turns on the loop can never mix their statements.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.domain.kernel.errors import Permanent, Transient

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's commit."""

type Value = str | int | bytes | None
type Run = Callable[[str, Sequence[Value]], sqlite3.Cursor]

# FULL, because under NORMAL a power cut loses commits that were already answered. Checkpoints, which make one
# commit wait for milliseconds, come every 16 MB of log instead of every 4; the cache holds 32 MB.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4096", "cache_size = -32768")

# Sequences come from a table and not from max(): the number of a deleted row must never come back, because a
# reader of the feed may stand on it and a stale etag or lock token may hold it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS counter (last INTEGER NOT NULL) STRICT;
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);
"""
_ADVANCE = "UPDATE counter SET last = last + ? RETURNING last"

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process keeps it locked; try again, or end that process",
    sqlite3.SQLITE_FULL: "its disk is full; free some space",
    sqlite3.SQLITE_IOERR: "its disk does not answer; check the disk, then start again",
    sqlite3.SQLITE_NOTADB: "it is damaged or no database; put a backup in its place, then start again",
    sqlite3.SQLITE_CORRUPT: "it is damaged; put a backup in its place, then start again",
} | dict.fromkeys(
    (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY),
    "it is missing or may not be written; see that the folder exists and that this user may write in it",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Whole microseconds since 1970, so that times compare exactly."""
    return (at - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    return _EPOCH + value * _MICROSECOND


class Database:
    """Opens (and makes) the file and its folder, and runs `schema`, which must be repeatable.

    Raises Permanent, naming the path, where the file cannot be used. Later failures are Transient.
    """

    def __init__(self, path: Path, schema: str, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        self.committed = asyncio.Event()
        """Set by every commit of this process; whoever waits for one clears it."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The composition root may run on another thread than the event loop that uses the connection.
            self._connection = sqlite3.connect(
                path, timeout=busy_timeout, autocommit=True, check_same_thread=False, cached_statements=512
            )
        except (OSError, sqlite3.Error) as error:
            raise Permanent(f"The database {path} cannot be opened: {error}.") from error
        try:
            for pragma in _PRAGMAS:
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {schema} COMMIT;")
        except sqlite3.Error as error:
            self._connection.close()
            raise Permanent(f"The database {path} cannot be used: {_advice(error) or error}.") from error

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Everything that one SELECT gives."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._ours(error) from error

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """All or nothing, alone among writers from the start, so that what is read inside cannot go stale."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection.execute
            self._connection.execute("COMMIT")
            self.committed.set()
        except sqlite3.DatabaseError as error:
            raise self._ours(error) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def check(self) -> None:
        """Commit something to the file that the path names now, or raise Transient.

        By a connection of its own: this one would not notice that the file was deleted or overwritten.
        """
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True)) as fresh:
                fresh.execute("PRAGMA user_version = 1")
        except sqlite3.DatabaseError as error:
            raise self._ours(error) from error

    def close(self) -> None:
        self._connection.close()

    def _ours(self, error: sqlite3.DatabaseError) -> Exception:
        """What the disk or another process did is Transient; the rest are mistakes in our SQL and stay."""
        advice = _advice(error)
        return Transient(f"The database {self.path} does not answer: {advice}.") if advice else error


def advance(run: Run, count: int) -> int:
    """Take the next `count` sequences of the file; returns the first."""
    ((last,),) = run(_ADVANCE, (count,)).fetchall()
    return int(last) - count + 1


def _advice(error: Exception) -> str | None:
    return _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
