"""The links of entities: what a sender gets accepted, what a receiver is given, and how it settles."""

import asyncio
from typing import Final, Protocol
from uuid import UUID

from proton import Delivery, Link, symbol

from tests.standins.servicebus.answers import (
    BUSY,
    DETACHED,
    LOST,
    NO_SESSION,
    NO_SESSIONS,
    SESSION_LOST,
    SESSION_TAKEN,
    SESSIONS_ONLY,
    TIMED_OUT,
    Told,
    condition,
    detach,
    refuse,
)
from tests.standins.servicebus.broker import LockLost, NotHere, Queue, Session, Stored
from tests.standins.servicebus.faults import Does, On
from tests.standins.servicebus.namespace import Namespace
from tests.standins.servicebus.sections import Malformed, milliseconds, read

CREDIT: Final = 500
ACCEPT_SECONDS: Final = 60.0
SESSION_FILTER: Final = symbol("com.microsoft:session-filter")
LOCKED_UNTIL: Final = symbol("com.microsoft:locked-until-utc")
TIMEOUT: Final = symbol("com.microsoft:timeout")
TICKS_AT_1970: Final = 621_355_968_000_000_000


class Wire(Protocol):
    """What a link needs of its connection."""

    @property
    def namespace(self) -> Namespace: ...
    def flush(self) -> None:
        """Send soon what the engine has to say."""

    def drop(self) -> None:
        """Cut the connection without a word."""


def accept_link(link: Link) -> None:
    """Echo what was asked for: the SDK compares the source's address byte by byte."""
    link.source.copy(link.remote_source)
    link.target.copy(link.remote_target)
    link.snd_settle_mode = link.remote_snd_settle_mode
    link.rcv_settle_mode = link.remote_rcv_settle_mode


class Producer:
    """A client that sends to a queue."""

    def __init__(self, link: Link, wire: Wire, queue: Queue) -> None:
        self._link = link
        self._wire = wire
        self._queue = queue
        accept_link(link)
        link.max_message_size = queue.settings.max_message_size
        link.open()
        link.flow(CREDIT)

    def flow(self) -> None:
        """A sender's flow says nothing we need."""

    def delivery(self, delivery: Delivery) -> None:
        if delivery.partial or not delivery.readable:
            return
        data = self._link.recv(delivery.pending) or b""
        self._link.advance()
        self._link.flow(1)
        does = self._wire.namespace.faults.strike(On.SEND, self._queue.settings.name)
        match does:
            case Does.DROP:
                self._wire.drop()
                return
            case Does.DETACH:
                detach(self._link, DETACHED)
                return
            case Does.BUSY:
                told: Told | None = BUSY
            case _:
                told = self._enqueue(data)
        if does == Does.DROP_AFTER:
            self._wire.namespace.touch(self._queue)
            self._wire.drop()
            return
        if told is None:
            delivery.update(Delivery.ACCEPTED)
        else:
            delivery.local.condition = condition(told)
            delivery.update(Delivery.REJECTED)
        delivery.settle()
        self._wire.namespace.touch(self._queue)

    def closed(self) -> None:
        """Nothing is held for a sender."""

    def _enqueue(self, data: bytes) -> Told | None:
        """All of a batch or none; why not, if not."""
        limit = self._queue.settings.max_message_size
        try:
            contents = read(data)
        except Malformed as error:
            return "amqp:decode-error", str(error)
        if len(data) > limit:
            return "amqp:link:message-size-exceeded", f"The message is larger than {limit} bytes."
        if self._queue.settings.requires_session and not all(content.session for content in contents):
            return NO_SESSION
        for content in contents:
            self._queue.send(content)
        return None


class Receiver:
    """A client that receives: from a queue, or from one session of it that it names or waits for."""

    def __init__(self, link: Link, wire: Wire, queue: Queue) -> None:
        self.session: Session | None = None
        self._link = link
        self._wire = wire
        self._queue = queue
        self._settled_first = link.remote_snd_settle_mode == Link.SND_SETTLED
        self._patience: asyncio.TimerHandle | None = None

    @property
    def connection(self) -> object:
        return self._wire

    @property
    def credit(self) -> int:
        return int(self._link.credit)

    def attach(self) -> None:
        """Open the link at once, refuse it, or leave it unanswered until a session is free."""
        wanted = _session_filter(self._link)
        needs_session = self._queue.settings.requires_session
        if needs_session and not isinstance(wanted, str | None):
            refuse(self._link, SESSIONS_ONLY)
        elif not needs_session and isinstance(wanted, str | None):
            refuse(self._link, NO_SESSIONS)
        elif isinstance(wanted, str):
            if not self._queue.accept(self, wanted):
                refuse(self._link, SESSION_TAKEN)
        elif needs_session:
            self._queue.waiting.append(self)
            patience = (self._link.remote_properties or {}).get(TIMEOUT, ACCEPT_SECONDS * 1000) / 1000
            self._patience = asyncio.get_running_loop().call_later(patience, self._gave_up)
        else:
            self._open()
            self._queue.consumers.append(self)
        self._wire.namespace.touch(self._queue)

    def granted(self, session: Session) -> None:
        self._stop_waiting()
        self._open(session)

    def lost(self) -> None:
        detach(self._link, SESSION_LOST)
        self._wire.flush()

    def deliver(self, stored: Stored) -> None:
        assert stored.token is not None
        token = stored.token
        delivery = self._link.delivery(token.bytes_le)  # type: ignore[arg-type] # it takes bytes, too
        # The engine would decode the tag as text, so the token goes beside it.
        delivery.token = token
        self._link.send(
            stored.content.wire(stored.deliveries, annotations(self._queue, stored, self._until(stored)))
        )
        if self._settled_first:
            self._queue.complete(token)
            delivery.settle()
        self._link.advance()
        self._wire.flush()

    def flow(self) -> None:
        self._wire.namespace.touch(self._queue)
        if self._link.drain_mode:
            self._link.drained()

    def delivery(self, delivery: Delivery) -> None:
        """A settlement: done, then echoed, for the SDK waits until it hears the same outcome."""
        if not delivery.updated:
            return
        does = self._wire.namespace.faults.strike(On.SETTLE, self._queue.settings.name)
        if does == Does.DROP:
            self._wire.drop()
            return
        if does == Does.LOSE_LOCK:
            self._queue.lose_locks()
        told: Told | None = None
        try:
            self._settle(delivery.token, delivery)
        except LockLost:
            told = LOST if self.session is None else SESSION_LOST
        except NotHere as error:
            told = "amqp:not-allowed", str(error)
        if does == Does.DROP_AFTER:
            self._wire.drop()
        else:
            _echo(delivery, told)
        self._wire.namespace.touch(self._queue)

    def closed(self) -> None:
        self._stop_waiting()
        self._queue.leave(self)
        self._wire.namespace.touch(self._queue)

    def _settle(self, token: UUID, delivery: Delivery) -> None:
        queue = self._queue
        match delivery.remote_state:
            case Delivery.ACCEPTED:
                queue.complete(token)
            case Delivery.RELEASED:
                queue.abandon(token, counted=False)
            case Delivery.MODIFIED if delivery.remote.undeliverable:
                queue.defer(token)
            case Delivery.REJECTED:
                info = getattr(delivery.remote.condition, "info", None) or {}
                queue.bury(
                    token, info.get("DeadLetterReason") or "", info.get("DeadLetterErrorDescription") or ""
                )
            case _:
                queue.abandon(token)

    def _open(self, session: Session | None = None) -> None:
        accept_link(self._link)
        self._link.max_message_size = self._queue.settings.max_message_size
        if session is not None:
            self._link.source.filter.clear()
            self._link.source.filter.put_dict({SESSION_FILTER: session.id})
            self._link.properties = {LOCKED_UNTIL: round(session.until * 10_000_000) + TICKS_AT_1970}
        self._link.open()
        self._wire.flush()

    def _gave_up(self) -> None:
        self._queue.waiting.remove(self)
        self._patience = None
        refuse(self._link, TIMED_OUT)
        self._wire.flush()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _until(self, stored: Stored) -> float | None:
        return self.session.until if self.session is not None else stored.until


def annotations(queue: Queue, stored: Stored, locked_until: float | None) -> dict[str, object]:
    """What the broker says about a message."""
    told: dict[str, object] = {
        "x-opt-sequence-number": stored.sequence,
        "x-opt-enqueued-time": milliseconds(stored.enqueued_at),
        "x-opt-message-state": int(stored.state),
    }
    if locked_until is not None:
        told["x-opt-locked-until"] = milliseconds(locked_until)
    if queue.source is not None:
        told["x-opt-deadletter-source"] = queue.source
    return told


def _echo(delivery: Delivery, told: Told | None) -> None:
    outcome = delivery.remote_state
    if told is not None:
        # An outcome that is not what was asked for, with an error: the settlement did not happen.
        delivery.local.condition = condition(told)
        delivery.update(Delivery.REJECTED)
    else:
        if outcome == Delivery.MODIFIED:
            delivery.local.failed = delivery.remote.failed
            delivery.local.undeliverable = delivery.remote.undeliverable
        delivery.update(outcome)
    delivery.settle()


_ABSENT: Final = object()


def _session_filter(link: Link) -> object:
    """The session it wants, None for whichever is free, and something else when it wants no session."""
    held = link.remote_source.filter
    held.rewind()
    filters = held.get_dict() if held.next() is not None else {}
    return filters.get(SESSION_FILTER, _ABSENT)
