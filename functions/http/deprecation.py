"""How a deprecated endpoint says since when, and until when it is served (RFC 9745 and RFC 8594)."""

from datetime import UTC, date, datetime, time
from email.utils import format_datetime


def farewell(interval: str) -> dict[str, str]:
    """The headers for `2026-06-30/2026-12-31`: deprecated on the first day, served to the end of the last.

    Raises ValueError with a sentence for anything that is no such interval.
    """
    try:
        since, until = (date.fromisoformat(day) for day in interval.split("/"))
    except ValueError:
        raise ValueError("must be two days, such as 2026-06-30/2026-12-31") from None
    if until < since:
        raise ValueError("must end after it begins")
    begins = datetime.combine(since, time.min, UTC)
    ends = datetime.combine(until, time(23, 59, 59), UTC)
    return {"Deprecation": f"@{int(begins.timestamp())}", "Sunset": format_datetime(ends, usegmt=True)}
