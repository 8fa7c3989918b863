"""Azure's timer schedules: six fields, from seconds to days of the week, in UTC.

A day must fit the day of the month and the day of the week; classic cron takes either.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: Final = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 6, DAYS),
)
HORIZON: Final = timedelta(days=366 * 8 + 1)
"""How far to look: the 29th of February can be eight years away (1896 to 1904, 2096 to 2104)."""


class BadSchedule(Exception):
    """A schedule that cannot be read, or that never comes."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a timer is due. Every field is the sorted values that fit."""

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Six fields, or five for the full minute. Raises BadSchedule with the field that is wrong."""
        parts = text.split()
        if len(parts) == len(FIELDS) - 1:
            parts = ["0", *parts]
        if len(parts) != len(FIELDS):
            raise BadSchedule(f"The schedule {text!r} has {len(parts)} fields; write six, seconds first.")
        fields = [_field(part, *about) for part, about in zip(parts, FIELDS, strict=True)]
        return cls(text, *fields)

    def next(self, after: datetime) -> datetime:
        """The first time it is due later than `after`. Raises BadSchedule when it never is."""
        start = (after.astimezone(UTC) + timedelta(seconds=1)).replace(microsecond=0)
        day = start.date()
        while day <= start.date() + HORIZON:
            if self._is_due_on(day):
                earliest = start.time() if day == start.date() else time()
                for at in self._times(earliest):
                    return datetime.combine(day, at, UTC)
            day += timedelta(days=1)
        raise BadSchedule(f"The schedule {self.text!r} never comes; check its day and month.")

    def _is_due_on(self, day: date) -> bool:
        # isoweekday counts Sunday as 7, schedules as 0.
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _times(self, earliest: time) -> Iterator[time]:
        for hour in self.hours:
            if hour < earliest.hour:
                continue
            for minute in self.minutes:
                if (hour, minute) < (earliest.hour, earliest.minute):
                    continue
                for second in self.seconds:
                    if (at := time(hour, minute, second)) >= earliest:
                        yield at


def _field(text: str, name: str, low: int, high: int, words: tuple[str, ...]) -> tuple[int, ...]:
    """A list of `*`, values, ranges and steps: `*/5`, `1-5`, `0,30`, `10-50/20`, `mon-fri`."""
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        first_text, dash, last_text = span.partition("-")
        if span == "*":
            first, last = low, high
        else:
            first = _value(first_text, text, name, low, words)
            last = _value(last_text, text, name, low, words) if dash else (high if slash else first)
        step = int(step_text) if step_text.isdecimal() else 0
        if (slash and step < 1) or not low <= first <= last <= high:
            raise BadSchedule(f"The {name} field {text!r} is not within {low}-{high}.")
        values.update(range(first, last + 1, step or 1))
    return tuple(sorted(values))


def _value(part: str, text: str, name: str, low: int, words: tuple[str, ...]) -> int:
    if part.isdecimal() and part.isascii():
        return int(part)
    if part.lower() in words:
        return words.index(part.lower()) + low
    raise BadSchedule(f"The {name} field {text!r} cannot be read; use numbers, `*`, `-`, `/` and `,`.")
