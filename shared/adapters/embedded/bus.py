"""The message bus on SQLite: Service Bus semantics in one file. Knows messages, never what they mean.

A message is `scheduled` until its time, then `waiting` behind its session or `ready` to be locked, and `dead`
once given up. However it comes, by send, schedule or redrive, it joins the end of the queue and gets the next
sequence.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from shared.adapters.embedded.sqlite import Database, Run, Value, advance, micros, moment
from shared.ports.bus import MAX_DELIVERY_COUNT, DeadLetter, LockLost, Message, Received
from shared.ports.clock import Clock

DETECTION_WINDOW = timedelta(minutes=10)

# A session has at most one ready message, its first, and the unique index holds us to it: this keeps its
# order, and finding work never walks over a backlog.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY, queue TEXT NOT NULL, state TEXT NOT NULL, enqueued_at INTEGER NOT NULL,
    message_id TEXT NOT NULL, body BLOB NOT NULL, subject TEXT NOT NULL, session TEXT,
    properties TEXT NOT NULL, not_before INTEGER,
    delivery_count INTEGER NOT NULL DEFAULT 0, lock_token TEXT, locked_until INTEGER,
    dead_at INTEGER, reason TEXT, description TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS messages_state ON messages (queue, state, sequence);
CREATE INDEX IF NOT EXISTS messages_due ON messages (queue, enqueued_at, sequence) WHERE state = 'scheduled';
CREATE INDEX IF NOT EXISTS messages_waiting ON messages (queue, session, sequence) WHERE state = 'waiting';
CREATE UNIQUE INDEX IF NOT EXISTS messages_turn ON messages (queue, session)
    WHERE state = 'ready' AND session IS NOT NULL;
CREATE TABLE IF NOT EXISTS seen (
    queue TEXT NOT NULL, message_id TEXT NOT NULL, seen_at INTEGER NOT NULL, PRIMARY KEY (queue, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_age ON seen (seen_at);
"""
_SEE = """
INSERT INTO seen (queue, message_id, seen_at) VALUES (?, ?, ?)
ON CONFLICT (queue, message_id) DO UPDATE SET seen_at = excluded.seen_at WHERE seen_at <= ?
"""
_FORGET = """
DELETE FROM seen WHERE (queue, message_id) IN
    (SELECT queue, message_id FROM seen WHERE seen_at <= ? ORDER BY seen_at LIMIT 100)
"""
_SCHEDULE = """
INSERT INTO messages
    (sequence, queue, state, enqueued_at, message_id, body, subject, session, properties, not_before)
VALUES (?, ?, 'scheduled', ?, ?, ?, ?, ?, ?, ?)
"""
_DUE = """
SELECT sequence FROM messages WHERE queue = ? AND state = 'scheduled' AND enqueued_at <= ?
ORDER BY enqueued_at, sequence
"""
_JOIN = """
UPDATE messages SET sequence = ?, state = iif(session IS NOT NULL AND EXISTS (
    SELECT 1 FROM messages AS first
    WHERE first.queue = messages.queue AND first.session = messages.session AND first.state = 'ready'
), 'waiting', 'ready') WHERE sequence = ?
"""
_NEXT_DUE = "SELECT min(enqueued_at) FROM messages WHERE queue = ? AND state = 'scheduled'"
_AVAILABLE = """
SELECT sequence, delivery_count, enqueued_at, message_id, body, subject, session, properties, not_before
FROM messages WHERE queue = ? AND state = 'ready' AND (locked_until IS NULL OR locked_until <= ?)
ORDER BY sequence LIMIT ?
"""
_LOCK = "UPDATE messages SET delivery_count = ?, lock_token = ?, locked_until = ? WHERE sequence = ?"
_HELD = "SELECT 1 FROM messages WHERE sequence = ? AND lock_token = ?"
_RENEW = "UPDATE messages SET locked_until = ? WHERE sequence = ?"
_UNLOCK = "UPDATE messages SET lock_token = NULL, locked_until = NULL WHERE sequence = ?"
_UNLOCK_ALL = "UPDATE messages SET lock_token = NULL, locked_until = NULL WHERE lock_token IS NOT NULL"
_DELETE = "DELETE FROM messages WHERE sequence = ?"
_BURY = """
UPDATE messages SET state = 'dead', lock_token = NULL, locked_until = NULL,
    dead_at = ?, reason = ?, description = ? WHERE sequence = ?
"""
_NEXT_TURN = """
UPDATE messages SET state = 'ready' WHERE sequence =
    (SELECT min(sequence) FROM messages WHERE queue = ? AND session = ? AND state = 'waiting')
"""
_DEAD = """
SELECT sequence, delivery_count, reason, description, dead_at,
    message_id, body, subject, session, properties, not_before
FROM messages WHERE queue = ? AND state = 'dead' ORDER BY sequence LIMIT ?
"""
_REDRIVE = """
UPDATE messages SET state = 'scheduled', enqueued_at = ?, delivery_count = 0,
    dead_at = NULL, reason = NULL, description = NULL WHERE queue = ? AND state = 'dead'
"""
_DEPTH = "SELECT count(*) FROM messages WHERE queue = ? AND state IN ('scheduled', 'waiting', 'ready')"


class SqliteBus:
    """Implements Bus. A queue comes into being with its first message."""

    def __init__(self, path: Path, clock: Clock, *, detection_window: timedelta = DETECTION_WINDOW) -> None:
        self._clock = clock
        self._window = detection_window // timedelta(microseconds=1)
        self._database = Database(path, _SCHEMA)
        self._stirred: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def send(self, queue: str, messages: Sequence[Message]) -> None:
        now = self._now()
        with self._database.transaction() as run:
            for message in messages:
                if run(_SEE, (queue, message.message_id, now, now - self._window)).rowcount:
                    run(_SCHEDULE, (advance(run, 1), queue, *_row(message, now)))
            run(_FORGET, (now - self._window,))
            _join_due(run, queue, now)
        self._stir(queue)

    async def receive(
        self, queue: str, *, limit: int = 1, lock_for: float = 60.0, wait: float = 0.0
    ) -> list[Received]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while not (taken := self._take(queue, limit, lock_for)) and (left := deadline - loop.time()) > 0:
            due = await self.next_due(queue)
            until_due = left if due is None else (due - self._clock.now()).total_seconds()
            await self.wait(queue, max(0.0, min(left, until_due)))
        return taken

    def _take(self, queue: str, limit: int, lock_for: float) -> list[Received]:
        now = self._now()
        taken: list[Received] = []
        with self._database.transaction() as run:
            _join_due(run, queue, now)
            # Burying one lets the next of its session come forward, so look again until nothing is left.
            while len(taken) < limit and (
                rows := run(_AVAILABLE, (queue, now, limit - len(taken))).fetchall()
            ):
                for sequence, deliveries, enqueued_at, *fields in rows:
                    message = _message(*fields)
                    if deliveries >= MAX_DELIVERY_COUNT:
                        _bury_exhausted(run, queue, message.session_id, sequence, now)
                        continue
                    token = f"{sequence}-{deliveries + 1}"
                    run(_LOCK, (deliveries + 1, token, _until(now, lock_for), sequence))
                    taken.append(
                        Received(queue, message, token, deliveries + 1, moment(enqueued_at), sequence)
                    )
        return taken

    async def renew(self, received: Received, *, lock_for: float = 60.0) -> None:
        with self._settling(received) as run:
            run(_RENEW, (_until(self._now(), lock_for), received.sequence))

    async def complete(self, received: Received) -> None:
        with self._settling(received) as run:
            run(_DELETE, (received.sequence,))
            _next_turn(run, received.queue, received.message.session_id)

    async def abandon(self, received: Received) -> None:
        with self._settling(received) as run:
            run(_UNLOCK, (received.sequence,))
            if received.delivery_count >= MAX_DELIVERY_COUNT:
                session = received.message.session_id
                _bury_exhausted(run, received.queue, session, received.sequence, self._now())

    async def dead_letter(self, received: Received, reason: str, description: str) -> None:
        with self._settling(received) as run:
            run(_BURY, (self._now(), reason, description, received.sequence))
            _next_turn(run, received.queue, received.message.session_id)

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        return [
            DeadLetter(queue, _message(*fields), sequence, deliveries, reason, description, moment(dead_at))
            for sequence, deliveries, reason, description, dead_at, *fields in self._database.rows(
                _DEAD, (queue, limit)
            )
        ]

    async def redrive(self, queue: str) -> int:
        now = self._now()
        with self._database.transaction() as run:
            count = run(_REDRIVE, (now, queue)).rowcount
            _join_due(run, queue, now)
        self._stir(queue)
        return count

    async def depth(self, queue: str) -> int:
        ((count,),) = self._database.rows(_DEPTH, (queue,))
        return int(count)

    async def next_due(self, queue: str) -> datetime | None:
        """When the next scheduled message joins the queue; None where none is scheduled."""
        ((due,),) = self._database.rows(_NEXT_DUE, (queue,))
        return None if due is None else moment(due)

    async def wait(self, queue: str, timeout: float) -> None:
        """Return once this process has made a message available since the last wait, or after `timeout` s.

        Messages that come due and locks that run out wake nobody.
        """
        stirred = self._stirred[queue]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await stirred.wait()
        stirred.clear()

    async def recover(self) -> int:
        """Release every lock: those of a process that died, where no other receives. Returns how many.

        The deliveries count, so that a message which kills its process ends as a dead letter.
        """
        with self._database.transaction() as run:
            return run(_UNLOCK_ALL, ()).rowcount

    async def ready(self) -> None:
        """Return when the bus answers; raise Transient with what to do when it does not."""
        self._database.check()

    async def aclose(self) -> None:
        self._database.close()

    @contextmanager
    def _settling(self, received: Received) -> Iterator[Run]:
        """A lock that ran out still counts while nobody else has got the message."""
        with self._database.transaction() as run:
            if not run(_HELD, (received.sequence, received.lock_token)).fetchall():
                raise LockLost(
                    f"The lock on message {received.message.message_id} of {received.queue} is lost;"
                    " drop the message, whoever holds it now will settle it."
                )
            yield run
        self._stir(received.queue)

    def _stir(self, queue: str) -> None:
        self._stirred[queue].set()

    def _now(self) -> int:
        return micros(self._clock.now())


def _join_due(run: Run, queue: str, now: int) -> None:
    due = run(_DUE, (queue, now)).fetchall()
    if due:
        for sequence, (scheduled,) in enumerate(due, advance(run, len(due))):
            run(_JOIN, (sequence, scheduled))


def _next_turn(run: Run, queue: str, session: str | None) -> None:
    if session is not None:
        run(_NEXT_TURN, (queue, session))


def _bury_exhausted(run: Run, queue: str, session: str | None, sequence: int, now: int) -> None:
    description = f"It was delivered {MAX_DELIVERY_COUNT} times and never settled."
    run(_BURY, (now, "MaxDeliveryCountExceeded", description, sequence))
    _next_turn(run, queue, session)


def _until(now: int, lock_for: float) -> int:
    return now + round(lock_for * 1_000_000)


def _row(message: Message, now: int) -> tuple[Value, ...]:
    """When it joins the queue, then the message's own columns."""
    not_before = None if message.not_before is None else micros(message.not_before)
    return (
        max(now, not_before or now),
        message.message_id,
        message.body,
        message.subject,
        message.session_id,
        json.dumps(dict(message.properties)),
        not_before,
    )


def _message(
    message_id: str, body: bytes, subject: str, session: str | None, properties: str, not_before: int | None
) -> Message:
    due = None if not_before is None else moment(not_before)
    return Message(message_id, body, subject, session, json.loads(properties), due)
