"""Freeze windows on the calendar: zones, changes of the clock, nights, and windows that meet."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.environments.calendar import Day, FreezeWindow, Weekly, frozen
from tests.support.app import START


def weekly(
    *days: Day, start: str, minutes: int, zone: str = "Europe/Berlin", name: str = "w"
) -> FreezeWindow:
    return FreezeWindow(
        id=name,
        name=name,
        reason="",
        time_zone=zone,
        weekly=Weekly(days=days, start=start, minutes=minutes),
        created_by="user:ann",
        created_at=START,
    )


def once(starts: datetime, ends: datetime, name: str = "o") -> FreezeWindow:
    return FreezeWindow(
        id=name, name=name, reason="", starts_at=starts, ends_at=ends, created_by="", created_at=START
    )


WEEKEND = weekly(Day.FRIDAY, start="18:00", minutes=62 * 60)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-06-12T15:59:59+00:00", None),
        ("2026-06-12T16:00:00+00:00", "2026-06-15T06:00:00+00:00"),
        ("2026-06-15T05:59:59+00:00", "2026-06-15T06:00:00+00:00"),
        ("2026-06-15T06:00:00+00:00", None),
        # The clocks go forward on Sunday: the wall clock rules, and Monday is an hour of UTC earlier.
        ("2026-03-28T12:00:00+00:00", "2026-03-30T06:00:00+00:00"),
        ("2026-10-24T12:00:00+00:00", "2026-10-26T07:00:00+00:00"),
    ],
)
def test_a_weekend_lasts_by_the_wall_clock_of_its_place(at: str, until: str | None) -> None:
    found = frozen([WEEKEND], datetime.fromisoformat(at))
    assert (found.until if found else None) == (datetime.fromisoformat(until) if until else None)


def test_a_night_reaches_into_the_next_day() -> None:
    nights = weekly(*Day, start="22:00", minutes=8 * 60, zone="UTC")
    found = frozen([nights], datetime(2026, 6, 11, 3, tzinfo=UTC))
    assert found is not None
    assert found.until == datetime(2026, 6, 11, 6, tzinfo=UTC)
    assert frozen([nights], datetime(2026, 6, 11, 12, tzinfo=UTC)) is None


def test_windows_that_meet_are_one_wait() -> None:
    hours = [START + timedelta(hours=number) for number in range(5)]
    windows = [once(hours[0], hours[1], "a"), once(hours[1], hours[3], "b"), once(hours[4], hours[4], "c")]
    found = frozen(windows, hours[0])
    assert found is not None
    assert (found.window.name, found.until) == ("a", hours[3])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=8), st.integers(0, 60))
def test_it_is_frozen_until_the_first_moment_that_no_window_holds(
    spans: list[tuple[int, int]], at: int
) -> None:
    windows = [
        once(START + timedelta(hours=start), START + timedelta(hours=start + length), str(number))
        for number, (start, length) in enumerate(spans)
    ]
    held = {hour for start, length in spans for hour in range(start, start + length)}
    found = frozen(windows, START + timedelta(hours=at))
    if at not in held:
        assert found is None
        return
    free = next(hour for hour in range(at, 200) if hour not in held)
    assert found is not None
    assert found.until == START + timedelta(hours=free)
