"""One queue: who may have which message, for how long, and where it goes then. Knows no wire."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol
from uuid import UUID, uuid4

from tests.standins.servicebus.entities import Settings
from tests.standins.servicebus.sections import Content

REASON: Final = "DeadLetterReason"
DESCRIPTION: Final = "DeadLetterErrorDescription"
TOO_OFTEN: Final = "MaxDeliveryCountExceeded"
TOO_LATE: Final = "TTLExpiredException"


class State(IntEnum):
    """As peek tells it."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


class LockLost(Exception):
    """The message is someone else's by now, or gone."""


class SessionLost(Exception):
    """The session is someone else's by now."""


class NotHere(Exception):
    """What was asked for has no meaning for this queue."""


class Consumer(Protocol):
    """A receiving link, as a queue sees it. A consumer of a session gets messages of that session alone."""

    session: "Session | None"

    @property
    def connection(self) -> object: ...
    @property
    def credit(self) -> int: ...
    def granted(self, session: "Session") -> None: ...
    def deliver(self, stored: "Stored") -> None: ...
    def lost(self) -> None:
        """The lock of its session ran out or was taken."""


@dataclass(eq=False, slots=True)
class Stored:
    """`deliveries` counts those that failed; `until` is when the lock ends, None while a session holds it."""

    sequence: int
    content: Content
    enqueued_at: float
    state: State = State.ACTIVE
    due: float | None = None
    expires_at: float | None = None
    deliveries: int = 0
    token: UUID | None = None
    holder: Consumer | None = None
    until: float | None = None


@dataclass(eq=False, slots=True)
class Session:
    id: str
    line: list[int] = field(default_factory=list)
    holder: Consumer | None = None
    until: float = 0.0


class Queue:
    """Every method is a moment: call `pump` after it, and again at `next_moment`."""

    def __init__(self, settings: Settings, now: Callable[[], float], source: str | None = None) -> None:
        self.settings = settings
        self.dead = Queue(_of_the_dead(settings), now, settings.name) if source is None else None
        self.messages: dict[int, Stored] = {}
        self.waiting: deque[Consumer] = deque()
        self.consumers: deque[Consumer] = deque()
        self._source = source
        self._now = now
        self._sequences = itertools.count(1)
        self._line: list[int] = []
        self._sessions: dict[str, Session] = {}
        self._locked: dict[UUID, Stored] = {}
        self._seen: dict[str, float] = {}
        self._moments: list[tuple[float, int, Stored | Session]] = []
        self._ties = itertools.count()

    @property
    def source(self) -> str | None:
        """The queue whose given-up messages these are."""
        return self._source

    def send(self, content: Content, due: float | None = None) -> int:
        """Its sequence number; 0 when the queue has seen the id and drops it."""
        now = self._now()
        if self.settings.requires_duplicate_detection and not self._is_new(content.message_id, now):
            return 0
        due = content.scheduled_for if due is None else due
        stored = Stored(next(self._sequences), content, now)
        self.messages[stored.sequence] = stored
        if due is not None and due > now:
            stored.state, stored.due = State.SCHEDULED, due
            self._remind(due, stored)
        else:
            self._activate(stored)
        return stored.sequence

    def cancel(self, sequence: int) -> bool:
        stored = self.messages.get(sequence)
        if stored is None or stored.state != State.SCHEDULED:
            return False
        del self.messages[sequence]
        return True

    def accept(self, consumer: Consumer, session_id: str) -> bool:
        """Lock the session of that name, whether or not it has messages."""
        session = self._sessions.setdefault(session_id, Session(session_id))
        if session.holder is not None:
            return False
        self._grant(consumer, session)
        return True

    def renew_session(self, session_id: str, connection: object) -> float:
        """For the connection that holds it: who has lost a session cannot renew it for its new holder."""
        session = self._sessions.get(session_id)
        if session is None or session.holder is None or session.holder.connection is not connection:
            raise SessionLost
        session.until = self._now() + self.settings.lock_duration
        self._remind(session.until, session)
        return session.until

    def leave(self, consumer: Consumer) -> None:
        """The link is gone. What it held comes again: at once and uncounted from a session, else in time."""
        for line in (self.waiting, self.consumers):
            if consumer in line:
                line.remove(consumer)
        if (session := consumer.session) is not None and session.holder is consumer:
            self._free(session, counted=False)

    def complete(self, token: UUID) -> None:
        del self.messages[self._held(token).sequence]
        del self._locked[token]

    def abandon(self, token: UUID, *, counted: bool = True) -> None:
        self._return(self._unlocked(token), counted=counted)

    def defer(self, token: UUID) -> None:
        stored = self._unlocked(token)
        stored.state = State.DEFERRED
        stored.deliveries += 1

    def bury(self, token: UUID, reason: str, description: str) -> None:
        if self.dead is None:
            raise NotHere("A dead letter cannot be dead-lettered again.")
        stored = self._unlocked(token)
        stored.deliveries += 1
        self._bury(stored, reason, description)

    def renew(self, token: UUID) -> float:
        stored = self._held(token)
        if stored.until is None:
            raise LockLost
        stored.until = self._now() + self.settings.lock_duration
        self._remind(stored.until, stored)
        return stored.until

    def take_deferred(self, sequence: int, session_id: str | None) -> Stored | None:
        """Lock a deferred message, for whoever holds its session if the queue has sessions."""
        stored = self.messages.get(sequence)
        if stored is None or stored.state != State.DEFERRED or stored.token is not None:
            return None
        session = self._sessions.get(session_id or "")
        if self.settings.requires_session and (session is None or session.holder is None):
            raise SessionLost
        self._lock(stored, session.holder if session is not None else None)
        return stored

    def peek(self, first: int, count: int, session_id: str | None) -> list[Stored]:
        """In the order of the queue, whatever their state; locked ones too."""
        found = (
            self.messages[sequence]
            for sequence in sorted(self.messages)
            if sequence >= first
            and (session_id is None or self.messages[sequence].content.session == session_id)
        )
        return list(itertools.islice(found, count))

    def sessions(self) -> list[str]:
        """Those with an active message."""
        return sorted(
            {each.content.session or "" for each in self.messages.values() if each.state == State.ACTIVE}
        )

    def counts(self) -> tuple[int, int, int]:
        """Active, scheduled, dead-lettered."""
        states = [stored.state for stored in self.messages.values()]
        dead = len(self.dead.messages) if self.dead is not None else 0
        return states.count(State.ACTIVE), states.count(State.SCHEDULED), dead

    def clear(self) -> None:
        """As if made anew, for those who stay attached."""
        for session in list(self._sessions.values()):
            if session.holder is not None:
                self._lose(session)
        for lost in (self.messages, self._sessions, self._locked, self._seen, self._moments, self._line):
            lost.clear()
        if self.dead is not None:
            self.dead.clear()

    def lose_locks(self) -> None:
        """Every lock ends now, as locks do when a broker moves."""
        for session in list(self._sessions.values()):
            if session.holder is not None:
                self._lose(session)
        for token in list(self._locked):
            self.abandon(token)

    def next_moment(self) -> float | None:
        return self._moments[0][0] if self._moments else None

    def pump(self) -> None:
        """Do what is due, then give everything away that somebody waits for."""
        now = self._now()
        while self._moments and self._moments[0][0] <= now:
            self._due(heapq.heappop(self._moments)[2], now)
        while self.waiting and (session := self._next_session()) is not None:
            self._grant(self.waiting.popleft(), session)
        served = True
        while served:
            served = False
            for consumer in list(self.consumers):
                if consumer.credit > 0 and (stored := self._next(consumer)) is not None:
                    self._lock(stored, consumer)
                    consumer.deliver(stored)
                    served = True
            self.consumers.rotate(-1)

    def _due(self, what: Stored | Session, now: float) -> None:
        if isinstance(what, Session):
            if what.holder is not None and what.until <= now:
                self._lose(what)
        elif self.messages.get(what.sequence) is not what:
            return  # gone, or given up since
        elif what.state == State.SCHEDULED:
            self._join(what)
        elif what.token is not None:
            if what.until is not None and what.until <= now:
                self.abandon(what.token)
        elif what.expires_at is not None and what.expires_at <= now:
            self._expire(what)

    def _join(self, stored: Stored) -> None:
        """A message that comes due is appended as if it were sent now: it gets another sequence number."""
        del self.messages[stored.sequence]
        stored.sequence = next(self._sequences)
        stored.enqueued_at = max(stored.due or 0.0, stored.enqueued_at)
        self.messages[stored.sequence] = stored
        self._activate(stored)

    def _activate(self, stored: Stored) -> None:
        stored.state = State.ACTIVE
        lives = [
            seconds
            for seconds in (stored.content.time_to_live, self.settings.default_message_time_to_live)
            if seconds is not None
        ]
        if lives and self._source is None:
            stored.expires_at = stored.enqueued_at + min(lives)
            self._remind(stored.expires_at, stored)
        heapq.heappush(self._line_of(stored), stored.sequence)

    def _line_of(self, stored: Stored) -> list[int]:
        if not self.settings.requires_session:
            return self._line
        name = stored.content.session or ""
        return self._sessions.setdefault(name, Session(name)).line

    def _next_session(self) -> Session | None:
        """The free session whose first message is the oldest."""
        free = (each for each in self._sessions.values() if each.holder is None and self._first(each.line))
        return min(free, key=lambda session: session.line[0], default=None)

    def _first(self, line: list[int]) -> int | None:
        while line:
            stored = self.messages.get(line[0])
            if stored is not None and stored.state == State.ACTIVE and stored.token is None:
                return line[0]
            heapq.heappop(line)
        return None

    def _next(self, consumer: Consumer) -> Stored | None:
        line = self._line if consumer.session is None else consumer.session.line
        first = self._first(line)
        return None if first is None else self.messages[heapq.heappop(line)]

    def _grant(self, consumer: Consumer, session: Session) -> None:
        session.holder = consumer
        session.until = self._now() + self.settings.lock_duration
        self._remind(session.until, session)
        consumer.session = session
        self.consumers.append(consumer)
        consumer.granted(session)

    def _lose(self, session: Session) -> None:
        holder = session.holder
        assert holder is not None
        self.consumers.remove(holder)
        self._free(session, counted=True)
        holder.lost()

    def _free(self, session: Session, *, counted: bool) -> None:
        holder, session.holder = session.holder, None
        for token, stored in list(self._locked.items()):
            if stored.holder is holder:
                self.abandon(token, counted=counted)

    def _lock(self, stored: Stored, consumer: Consumer | None) -> None:
        stored.token, stored.holder = uuid4(), consumer
        if consumer is None or consumer.session is None:
            stored.until = self._now() + self.settings.lock_duration
            self._remind(stored.until, stored)
        self._locked[stored.token] = stored

    def _held(self, token: UUID) -> Stored:
        stored = self._locked.get(token)
        if stored is None:
            raise LockLost
        return stored

    def _unlocked(self, token: UUID) -> Stored:
        stored = self._held(token)
        del self._locked[token]
        stored.token = stored.holder = stored.until = None
        return stored

    def _return(self, stored: Stored, *, counted: bool) -> None:
        stored.deliveries += counted
        if stored.state == State.DEFERRED:
            return
        if self._source is None and stored.deliveries >= self.settings.max_delivery_count:
            often = self.settings.max_delivery_count
            told = f"Message could not be consumed after {often} delivery attempts."
            self._bury(stored, TOO_OFTEN, told)
        elif stored.expires_at is not None and stored.expires_at <= self._now():
            self._expire(stored)
        else:
            heapq.heappush(self._line_of(stored), stored.sequence)

    def _expire(self, stored: Stored) -> None:
        if self.settings.dead_lettering_on_message_expiration:
            self._bury(stored, TOO_LATE, "The message expired and was dead lettered.")
        else:
            del self.messages[stored.sequence]

    def _bury(self, stored: Stored, reason: str, description: str) -> None:
        """It keeps its sequence number and the time it was enqueued."""
        assert self.dead is not None
        del self.messages[stored.sequence]
        stored.content.application.update({REASON: reason, DESCRIPTION: description})
        stored.state, stored.expires_at = State.ACTIVE, None
        self.dead.messages[stored.sequence] = stored
        heapq.heappush(self.dead._line, stored.sequence)

    def _is_new(self, message_id: str, now: float) -> bool:
        window = self.settings.duplicate_detection_history_time_window
        for old, seen_at in self._oldest_seen():
            if seen_at + window > now:
                break
            del self._seen[old]
        if message_id in self._seen:
            return False
        self._seen[message_id] = now
        return True

    def _oldest_seen(self) -> Iterator[tuple[str, float]]:
        while self._seen:
            yield next(iter(self._seen.items()))

    def _remind(self, when: float, what: Stored | Session) -> None:
        heapq.heappush(self._moments, (when, next(self._ties), what))


def _of_the_dead(settings: Settings) -> Settings:
    return Settings(
        name=f"{settings.name}/$DeadLetterQueue",
        lock_duration=settings.lock_duration,
        max_message_size=settings.max_message_size,
    )
