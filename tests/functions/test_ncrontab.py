"""NCRONTAB schedules: what they match, and what is no schedule."""

from datetime import UTC, datetime

import pytest

from local.ncrontab import BadSchedule, Schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("* * * * * *", "2026-06-11T09:00:00", "2026-06-11T09:00:01"),
        ("* * * * * *", "2026-06-11T09:00:00.999", "2026-06-11T09:00:01"),
        ("*/15 * * * * *", "2026-06-11T09:00:50", "2026-06-11T09:01:00"),
        ("0 * * * * *", "2026-06-11T09:00:00", "2026-06-11T09:01:00"),
        ("* * * * *", "2026-06-11T09:00:00", "2026-06-11T09:01:00"),
        ("0 */5 * * * *", "2026-06-11T09:57:00", "2026-06-11T10:00:00"),
        ("0 3/20 * * * *", "2026-06-11T09:04:00", "2026-06-11T09:23:00"),
        ("0 10-50/20 * * * *", "2026-06-11T09:31:00", "2026-06-11T09:50:00"),
        ("0 0,30 8-10 * * *", "2026-06-11T10:30:00", "2026-06-12T08:00:00"),
        ("30 5 0 * * *", "2026-12-31T00:05:30", "2027-01-01T00:05:30"),
        ("0 30 9 * * Mon-Fri", "2026-06-12T09:30:00", "2026-06-15T09:30:00"),
        ("0 0 0 * * 0", "2026-06-11T00:00:00", "2026-06-14T00:00:00"),
        ("0 0 0 1 * *", "2026-06-11T00:00:00", "2026-07-01T00:00:00"),
        ("0 0 0 31 * *", "2026-06-11T00:00:00", "2026-07-31T00:00:00"),
        ("0 0 0 1 jan,JUL *", "2026-06-11T00:00:00", "2026-07-01T00:00:00"),
        ("0 0 0 29 2 *", "2026-06-11T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 29 2 *", "2096-03-01T00:00:00", "2104-02-29T00:00:00"),
        ("0 0 0 13 * 5", "2026-06-11T00:00:00", "2026-11-13T00:00:00"),
    ],
)
def test_the_next_time_is_the_first_that_fits_every_field(schedule: str, after: str, due: str) -> None:
    assert Schedule.parse(schedule).next(at(after)) == at(due)


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "every day",
        "* * * *",
        "* * * * * * *",
        "60 * * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * * 13 *",
        "* * * * * 7",
        "5-1 * * * * *",
        "*/0 * * * * *",
        "*/ * * * * *",
        "1,,2 * * * * *",
        "-5 * * * * *",
        "1- * * * * *",
        "* * * * * mon-",
        "* * * * tue *",
        "\u0661 * * * * *",
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(schedule: str) -> None:
    with pytest.raises(BadSchedule):
        Schedule.parse(schedule)


def test_a_schedule_that_never_comes_says_so() -> None:
    with pytest.raises(BadSchedule, match="never comes"):
        Schedule.parse("0 0 0 30 2 *").next(at("2026-06-11T00:00:00"))
