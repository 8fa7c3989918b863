"""One SQLite file as one process opens it: durability, transactions, errors. Knows no document.

SQLite is used inline on the event loop. A read takes microseconds and a commit one fsync of the log: a thread
would add its own hop to each, and need a lock besides. Nothing awaits between the statements of one write, so
two turns on the loop can never mix theirs.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any

from shared.domain.kernel.errors import Permanent, Transient

log = logging.getLogger("slipway.store")

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's commit."""

type Value = str | int | bytes | None
type Run = Callable[[str, Sequence[Value]], sqlite3.Cursor]

# FULL, because under NORMAL a power cut loses commits that were already answered. SQLite's own checkpoints,
# which make one commit wait for milliseconds, come only when ours are 64 MB behind; the cache holds 32 MB.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 16384", "cache_size = -32768")
CHECKPOINT_EVERY = 3000
"""Changed rows, of one process."""
_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"

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


@dataclass(slots=True)
class _Group:
    """Writes that share one commit, and so one fsync: those of a single pass of the event loop. `keys` are
    what they touch; whoever waits is told what kept the group from being committed, if anything did."""

    keys: set[Hashable] = field(default_factory=set)
    waiting: list[asyncio.Future[Exception | None]] = field(default_factory=list)


_holders: "dict[Path, Database]" = {}
"""Who has an open group, by file. Two of one process must not wait for each other's lock: what would free it
runs on the same loop."""


class Database:
    """Opens (and makes) the file and its folder, and runs `schema`, which must be repeatable.

    Raises Permanent, naming the path, where the file cannot be used. Later failures are Transient.
    """

    def __init__(self, path: Path, schema: str, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        self._file = path.absolute()
        self._group: _Group | None = None
        self._checkpointing: Thread | None = None
        self._checkpointed = 0
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
        return self._fetched(self._connection, sql, values)

    def durable_rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """The same, of what is committed: without what an open group has written and may yet lose."""
        return self._fetched(self._reader, sql, values)

    async def write[R](self, key: Hashable, work: Callable[[Run], R]) -> R:
        """Run `work`, all or nothing, and return what it gave once that is committed.

        The writes of one pass of the event loop are committed together: a busy server pays one fsync for all
        of them. `key` names what is touched, for `quiet`.
        """
        group = self._group or self._open_group()
        try:
            self._connection.execute("SAVEPOINT work")
            result = work(self._connection.execute)
            self._connection.execute("RELEASE work")
        except sqlite3.DatabaseError as error:
            self._undo(error)
            raise self._ours(error) from error
        except BaseException as error:
            self._undo(error)
            raise
        group.keys.add(key)
        if (failure := await self._settled(group)) is not None:
            raise failure
        return result

    async def quiet(self, key: Hashable) -> None:
        """Return when nothing about `key` waits to be committed: what is read next, without an await between,
        is there to stay."""
        while (group := self._group) is not None and key in group.keys:
            await self._settled(group)

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """All or nothing, alone among writers from the start, so that what is read inside cannot go stale."""
        try:
            self._begin()
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
        self._settle()
        if self._checkpointing is not None:
            self._checkpointing.join()
        self._connection.close()
        if "_reader" in self.__dict__:
            self._reader.close()

    @cached_property
    def _reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, autocommit=True, check_same_thread=False, cached_statements=512
        )
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -32768")
        return connection

    def _fetched(
        self, connection: sqlite3.Connection, sql: str, values: Sequence[Value]
    ) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._ours(error) from error

    def _begin(self) -> None:
        if (holder := _holders.get(self._file)) is not None:
            holder._settle()
        self._connection.execute("BEGIN IMMEDIATE")

    def _open_group(self) -> _Group:
        try:
            self._begin()
        except sqlite3.DatabaseError as error:
            raise self._ours(error) from error
        self._group = _Group()
        _holders[self._file] = self
        asyncio.get_running_loop().call_soon(self._settle)
        return self._group

    def _undo(self, error: BaseException) -> None:
        """Take back one piece of work. A full disk takes back the whole group, and then all hear it."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
        elif isinstance(error, sqlite3.DatabaseError):
            self._end_group(self._ours(error))

    def _settle(self) -> None:
        """Commit the open group, if there is one."""
        if self._group is None:
            return
        failure = None
        try:
            self._connection.execute("COMMIT")
            self.committed.set()
            self._checkpoint()
        except sqlite3.DatabaseError as error:
            failure = self._ours(error)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._end_group(failure)

    def _checkpoint(self) -> None:
        """Fold the log into the file beside the loop, which goes on committing meanwhile; then fold here what
        came since. That is little, and only with nothing left over does the log begin anew."""
        if self._checkpointing is not None:
            if not self._checkpointing.is_alive():
                self._connection.execute(_CHECKPOINT)
                self._checkpointing = None
        elif self._connection.total_changes - self._checkpointed >= CHECKPOINT_EVERY:
            self._checkpointed = self._connection.total_changes
            self._checkpointing = Thread(target=self._fold, name=f"checkpoint {self.path.name}")
            self._checkpointing.start()

    def _fold(self) -> None:
        try:
            with closing(sqlite3.connect(self.path, autocommit=True)) as fresh:
                fresh.execute("PRAGMA synchronous = FULL")
                fresh.execute(_CHECKPOINT)
        except sqlite3.Error as error:
            log.warning("The log of %s could not be folded in: %s", self.path, _advice(error) or error)

    def _end_group(self, failure: Exception | None) -> None:
        group, self._group = self._group, None
        _holders.pop(self._file, None)
        for waiter in group.waiting if group is not None else ():
            if not waiter.done():
                waiter.set_result(failure)

    async def _settled(self, group: _Group) -> Exception | None:
        """How the group ended. A future for each who waits: cancelling one must not wake the others."""
        waiter = asyncio.get_running_loop().create_future()
        group.waiting.append(waiter)
        failure: Exception | None = await waiter
        return failure

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
