"""Freeze windows: when nothing may start in an environment, once or every week, by the clock of a place."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.domain.environments.errors import BadFreezeWindow
from shared.domain.kernel.errors import Problem

LONGEST = 7 * 24 * 60
"""Minutes of a weekly window."""
_JOINED_AT_MOST = 60


class Day(StrEnum):
    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


_DAYS = tuple(Day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """From `start` (HH:MM on the wall clock) of each of the `days`, for `minutes` of that clock."""

    days: tuple[Day, ...]
    start: str
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWindow:
    """Either from `starts_at` until `ends_at`, or `weekly` in `time_zone` (an IANA name)."""

    id: str
    name: str
    reason: str
    time_zone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    weekly: Weekly | None = None
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Frozen:
    """The window that holds things up, and when the last of those that follow on it without a gap ends."""

    window: FreezeWindow
    until: datetime


def check_window(window: FreezeWindow) -> None:
    """BadFreezeWindow where it says neither or both of when it is, ends before it begins, or names no known
    place."""
    once = (window.starts_at, window.ends_at)
    if (window.weekly is None) == (once == (None, None)) or (None in once and once != (None, None)):
        hint = "Give `startsAt` and `endsAt`, or `weekly`."
        raise BadFreezeWindow("A freeze window happens once or every week.", Problem("startsAt", hint))
    if window.starts_at is not None and window.ends_at is not None and window.ends_at <= window.starts_at:
        raise BadFreezeWindow("The window ends before it begins.", Problem("endsAt", "Give a later time."))
    try:
        ZoneInfo(window.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        hint = "Use a name such as Europe/Berlin, or UTC."
        raise BadFreezeWindow("The time zone is not known.", Problem("timeZone", hint)) from None


def frozen(windows: Iterable[FreezeWindow], at: datetime) -> Frozen | None:
    """What holds starts up at this moment, or None."""
    known = tuple(windows)
    holding, until = _longest(known, at)
    if holding is None:
        return None
    for _ in range(_JOINED_AT_MOST):
        following, later = _longest(known, until)
        if following is None:
            break
        until = later
    return Frozen(holding, until)


def _longest(windows: Iterable[FreezeWindow], at: datetime) -> tuple[FreezeWindow | None, datetime]:
    ends = [(end, window.id, window) for window in windows if (end := _end(window, at)) is not None]
    if not ends:
        return None, at
    end, _, window = max(ends)
    return window, end


def _end(window: FreezeWindow, at: datetime) -> datetime | None:
    """When the window that is open at this moment ends; None while it is shut."""
    if window.weekly is None:
        starts, ends = window.starts_at, window.ends_at
        return ends if starts is not None and ends is not None and starts <= at < ends else None
    zone, weekly = ZoneInfo(window.time_zone), window.weekly
    today = at.astimezone(zone).date()
    ends_found = []
    for back in range(LONGEST // (24 * 60) + 1):
        day = today - timedelta(days=back)
        if _DAYS[day.weekday()] in weekly.days:
            start = datetime.combine(day, time.fromisoformat(weekly.start))
            # On the wall clock, so that "until Monday, 8:00" is 8:00 also when the clocks were changed.
            end = (start + timedelta(minutes=weekly.minutes)).replace(tzinfo=zone).astimezone(UTC)
            if start.replace(tzinfo=zone).astimezone(UTC) <= at < end:
                ends_found.append(end)
    return max(ends_found, default=None)
