"""The machine's own time and randomness: the only place that asks for either."""

import uuid
from datetime import UTC, datetime


class SystemClock:
    """Implements Clock. A clock that is set back stands still until time has caught up."""

    def __init__(self) -> None:
        self._latest = datetime.now(UTC)

    def now(self) -> datetime:
        self._latest = max(self._latest, datetime.now(UTC))
        return self._latest


class RandomIds:
    """Implements Ids."""

    def new(self) -> str:
        return uuid.uuid4().hex
