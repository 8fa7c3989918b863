"""One effect per request and per message: the marker that is written in the same batch as the effect."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

IDEMPOTENCY_KEPT_FOR = timedelta(days=7)
INBOX_KEPT_FOR = timedelta(days=10)


class AlreadyDone(Exception):
    """Raised before anything is decided when the marker is found in the partition."""

    def __init__(self, marker: dict[str, Any]) -> None:
        super().__init__("already done")
        self.marker = marker


class Once(Protocol):
    """Names one request or one message, and what to keep of its effect.

    The HTTP kit keeps the whole answer, so that a retry is answered byte for byte; a message keeps nothing.
    """

    @property
    def document(self) -> str:
        """The marker's document id, unique to caller, operation and key within a partition."""

    @property
    def seed(self) -> str:
        """What ids of new things derive from, so that a retry makes the same thing."""

    def marker(self, result: object) -> dict[str, Any]: ...

    def check(self, marker: dict[str, Any]) -> None:
        """Raise where the marker belongs to another request under the same key."""

    def kept_until(self, now: datetime) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Inbox:
    """A message handled by one consumer."""

    consumer: str
    message_id: str

    @property
    def document(self) -> str:
        return f"inbox:{self.consumer}:{self.message_id}"

    @property
    def seed(self) -> str:
        return f"{self.consumer}:{self.message_id}"

    def marker(self, result: object) -> dict[str, Any]:
        return {}

    def check(self, marker: dict[str, Any]) -> None:
        """A message id never comes back with another body."""

    def kept_until(self, now: datetime) -> datetime:
        return now + INBOX_KEPT_FOR
