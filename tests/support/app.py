"""The App on embedded adapters in a scratch folder, with a clock and ids that a test can steer."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

START = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)


class SteppingClock:
    """Every look advances it by a millisecond; `advance` moves it further."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    def advance(self, **delta: float) -> None:
        self._now += timedelta(**delta)


class CountingIds:
    """Distinct, and the same in every run of a test."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def new(self) -> str:
        return uuid.uuid5(uuid.NAMESPACE_OID, str(next(self._count))).hex
