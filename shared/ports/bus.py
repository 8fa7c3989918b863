"""The message bus: Service Bus semantics. Services never send; the relay does, from the outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.domain.kernel.errors import Transient

MAX_DELIVERY_COUNT = 3


class LockLost(Transient):
    """The lock has passed to another receiver, or the message is settled already. Drop it: it comes again."""

    code = "lock_lost"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `message_id` is what duplicate detection compares; `session_id` is the order it keeps.

    A work queue on Service Bus refuses a message without a session.
    """

    message_id: str
    body: bytes
    subject: str = ""
    session_id: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message under peek-lock. `delivery_count` is 1 on the first delivery."""

    queue: str
    message: Message
    lock_token: str
    delivery_count: int
    enqueued_at: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, with why. `sequence` orders them.

    `dead_at` is when it was given up or, where the bus does not keep that (Service Bus), when it was
    enqueued.
    """

    queue: str
    message: Message
    sequence: int
    delivery_count: int
    reason: str
    description: str
    dead_at: datetime


class Sender(Protocol):
    """What the relay needs."""

    async def send(self, queue: str, messages: Sequence[Message]) -> None:
        """Enqueue all or none. A message whose id the queue has seen within the detection window is
        dropped."""


class Bus(Sender, Protocol):
    """What the local platform and operators need besides. On Azure the Functions host does the receiving.

    A queue that was never made holds nothing, or is refused with Permanent where queues have to be made.
    """

    async def receive(
        self, queue: str, *, limit: int = 1, lock_for: float = 60.0, wait: float = 0.0
    ) -> list[Received]:
        """Lock up to `limit` messages: of a session the oldest, of several sessions in any order.

        A session with a locked message gives no other message; a message not yet due is not given. A message
        delivered 3 times without settlement is dead-lettered. If there is none, waits up to `wait` seconds
        for the first; a bus behind a network needs about a second to know that there is none. `lock_for` is
        seconds; a queue on Service Bus has a lock time of its own, which counts instead.
        """

    async def renew(self, received: Received, *, lock_for: float = 60.0) -> None: ...

    async def complete(self, received: Received) -> None:
        """Raises LockLost (as do renew, abandon, dead_letter) when the lock has passed to someone else."""

    async def abandon(self, received: Received) -> None: ...

    async def dead_letter(self, received: Received, reason: str, description: str) -> None: ...

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]: ...

    async def redrive(self, queue: str) -> int:
        """Put every dead-lettered message of the queue back, delivery count 0. Returns how many.

        To duplicate detection each is a new message, so its id may be another. None is lost if the process
        dies in between: it is dead still, or back, or both, and then the same call again makes it one.
        """

    async def depth(self, queue: str) -> int:
        """Active and scheduled messages, locked ones included."""
