"""The receiving side of one queue: which receivers are open, and which of them holds which message.

A receiver of the SDK is one connection and knows one session, and opening it takes half a second, most of it
asleep. So receivers are kept: a few always wait for the next free session, and one that has a session stays
for its next message.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from shared.adapters.azure.servicebus_messages import (
    RECEIVER,
    close_quietly,
    in_our_words,
    lock_lost,
    told,
)
from shared.ports.bus import LockLost

OPENING: Final = 1.0
"""Seconds until a new receiver has surely asked the service; the SDK does not say when."""
ANSWER: Final = 0.25
"""Seconds that the service gets to answer a receiver that has asked."""
ASKING: Final = 60.0
"""Seconds that the service may keep a receiver waiting for a free session."""
CLOSING: Final = 5.0
"""Seconds that the SDK gets to close what it failed to open; else it logs a warning with its stack."""
SESSION_IDLE: Final = 0.2
"""Seconds that a session without a message is kept."""
LINGER: Final = 1.0
"""Seconds after the last `take` until receivers give back what nobody came for."""
STANDING: Final = 2
"""Receivers that wait for a free session while none is busy: the first messages are met without opening."""


class Delivery:
    """One message and the receiver through which it has to be settled."""

    def __init__(
        self, queue: str, raw: ServiceBusReceivedMessage, receiver: ServiceBusReceiver, gate: asyncio.Lock
    ) -> None:
        self.raw = raw
        self.settled = asyncio.Event()
        self.lost = False
        self._queue = queue
        self._receiver = receiver
        self._gate = gate

    async def complete(self) -> None:
        await self._settle(lambda: self._receiver.complete_message(self.raw))

    async def abandon(self) -> None:
        await self._settle(lambda: self._receiver.abandon_message(self.raw))

    async def dead_letter(self, reason: str, description: str) -> None:
        await self._settle(
            lambda: self._receiver.dead_letter_message(self.raw, reason=reason, error_description=description)
        )

    async def renew(self) -> None:
        async with self._gate:
            if self.settled.is_set():
                raise lock_lost(self._queue, self.raw.message_id or "")
            try:
                with told(self._queue, RECEIVER):
                    if self._receiver.session is not None:
                        await self._receiver.session.renew_lock()
                    else:
                        await self._receiver.renew_message_lock(self.raw)
            except (LockLost, ValueError) as error:
                raise lock_lost(self._queue, self.raw.message_id or "") from error

    def drop(self) -> None:
        """Nobody will settle it here: the service gives it to someone else."""
        self.lost = True
        self.settled.set()

    async def _settle(self, settling: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with self._gate:
            if self.settled.is_set():
                raise lock_lost(self._queue, self.raw.message_id or "")
            self.lost = True
            try:
                with told(self._queue, RECEIVER):
                    await settling()
                self.lost = False
            except (LockLost, ValueError) as error:
                # The SDK says ValueError where a receiver closed or a message was settled before.
                raise lock_lost(self._queue, self.raw.message_id or "") from error
            finally:
                self.settled.set()


class Intake(Protocol):
    async def take(self, limit: int, wait: float) -> list[Delivery]:
        """Up to `limit` messages, as soon as there is one; none after `wait` seconds."""

    def release(self) -> None:
        """Give back what waits here to be taken."""

    def rest(self) -> None:
        """And ask for no more, until the next `take`."""

    async def aclose(self) -> None:
        """What was taken and not settled comes again, elsewhere."""


class PlainIntake:
    """A queue without sessions: one receiver serves all."""

    def __init__(
        self, queue: str, open_receiver: Callable[[], ServiceBusReceiver], patience: float = OPENING
    ) -> None:
        self._queue = queue
        self._receiver = open_receiver()
        self._patience = patience
        self._gate = asyncio.Lock()
        self._open = False

    async def take(self, limit: int, wait: float) -> list[Delivery]:
        async with self._gate:
            with told(self._queue, RECEIVER):
                if not self._open:
                    # First, because the time it takes would count as waiting.
                    await self._receiver.__aenter__()
                    self._open = True
                raws = await self._receiver.receive_messages(limit, max_wait_time=max(wait, self._patience))
        return [Delivery(self._queue, raw, self._receiver, self._gate) for raw in raws]

    def release(self) -> None:
        """Nothing waits here: what comes is taken."""

    def rest(self) -> None:
        """It asks only while somebody takes."""

    async def aclose(self) -> None:
        await close_quietly(self._receiver)


class SessionIntake:
    """A queue with sessions: one message of a session at a time, many sessions at once."""

    def __init__(
        self, queue: str, open_receiver: Callable[[], ServiceBusReceiver], opening: float = OPENING
    ) -> None:
        self._queue = queue
        self._open_receiver = open_receiver
        self._opening = opening
        self._lines: set[asyncio.Task[None]] = set()
        self._asking: dict[asyncio.Task[None], float] = {}
        self._busy: dict[asyncio.Task[None], Delivery] = {}
        self._ready: deque[Delivery] = deque()
        self._stirred = asyncio.Event()
        self._failure: BaseException | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._retirement: asyncio.TimerHandle | None = None

    async def take(self, limit: int, wait: float) -> list[Delivery]:
        self._stay()
        loop = asyncio.get_running_loop()
        # One that was opened just now says nothing yet about what there is.
        asked_at = min(self._asking.values(), default=loop.time()) + self._opening
        deadline = max(asked_at, loop.time() + max(wait, ANSWER))
        try:
            while not self._ready and (left := deadline - loop.time()) > 0:
                self._raise_failure()
                self._grow(limit)
                self._stirred.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._stirred.wait()
            self._raise_failure()
            return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        finally:
            self._retirement = loop.call_later(LINGER, self.rest)

    def release(self) -> None:
        while self._ready:
            self._ready.popleft().drop()

    def rest(self) -> None:
        """Free the sessions and messages that others could work on."""
        for line in self._lines:
            if line not in self._busy:
                line.cancel()
        self.release()

    async def aclose(self) -> None:
        self._stay()
        self.release()
        lines = list(self._lines)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _grow(self, limit: int) -> None:
        idle = len(self._lines) - len(self._busy)
        for _ in range(idle, min(limit, STANDING + len(self._busy))):
            line = asyncio.create_task(self._line(), name=f"line of {self._queue}")
            self._lines.add(line)
            self._asking[line] = asyncio.get_running_loop().time()
            line.add_done_callback(self._line_ended)

    async def _line(self) -> None:
        """One receiver's life: wait for a session, hand out its messages one by one, give it back."""
        receiver = self._open_receiver()
        gate = asyncio.Lock()
        try:
            # A little longer than the service waits: it says no, and the SDK has time to close in peace.
            raws = await receiver.receive_messages(1, max_wait_time=ASKING + CLOSING)
            while raws and await self._hand_over(Delivery(self._queue, raws[0], receiver, gate)):
                raws = await receiver.receive_messages(1, max_wait_time=SESSION_IDLE)
                if raws and receiver.session is not None:
                    # The lock is the session's and runs since it was granted, over all its messages.
                    await receiver.session.renew_lock()
        except (OperationTimeoutError, SessionLockLostError, SessionCannotBeLockedError):
            # No session was free, or this one went away while it was idle. The next take asks anew.
            self._stirred.set()
        except (AzureError, OSError) as error:
            self._failure = in_our_words(error, self._queue, RECEIVER)
            self._stirred.set()
        finally:
            # Closing takes up to a second; nobody has to wait for it but aclose.
            closing = asyncio.create_task(close_quietly(receiver))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _hand_over(self, delivery: Delivery) -> bool:
        """Whether the receiver can go on, once the message is settled."""
        line = asyncio.current_task()
        assert line is not None
        self._asking.pop(line, None)
        for other in self._busy.values():
            if other.raw.session_id == delivery.raw.session_id:
                other.drop()  # the session came to us again, so its former receiver has lost it
        self._busy[line] = delivery
        self._ready.append(delivery)
        self._stirred.set()
        try:
            await delivery.settled.wait()
        finally:
            del self._busy[line]
        return not delivery.lost

    def _line_ended(self, line: asyncio.Task[None]) -> None:
        self._lines.discard(line)
        self._asking.pop(line, None)
        self._stirred.set()
        if not line.cancelled() and (error := line.exception()) is not None:
            self._failure = error

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None and not self._ready:
            raise failure

    def _stay(self) -> None:
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
