"""A run's log as lines of JSON in one growing file; a line is addressed by its byte offset.

The offset is never stored: two attempts may write at once, and only the file knows where a line ended up.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

MAX_TEXT = 8000
"""Characters of one line; a longer one goes on in the next, so that a page always holds a whole line."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*Z(?: |$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """`level`: info for output, warning for error output, error and notice for the platform's own words."""

    offset: int
    timestamp: str
    stage: str
    step: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines from an offset. `next_offset` continues; `complete` says that no line will ever follow."""

    lines: tuple[LogLine, ...]
    next_offset: int
    complete: bool


def encode_lines(text: str, *, at: datetime, level: str, stage: str = "", step: str = "") -> bytes:
    """`text` as stored lines: one, or several where it is too long for one."""
    timestamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    parts = [text[start : start + MAX_TEXT] for start in range(0, len(text), MAX_TEXT)] or [""]
    rows = (
        {"timestamp": timestamp, "stage": stage, "step": step, "level": level, "text": part} for part in parts
    )
    encoded = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return "".join(line + "\n" for line in encoded).encode("utf-8", "replace")


def encode_host_line(text: str, *, at: datetime) -> bytes:
    """A line of a vendor's log, at the time that it opens with, or else at `at`."""
    stamp = _STAMP.match(text)
    if stamp is not None:
        try:
            at = datetime.fromisoformat(f"{stamp[1]}+00:00")
        except ValueError:  # digits in the form of a time, and no time
            stamp = None
    return encode_lines(text[stamp.end() :] if stamp else text, at=at, level="info")


def decode_page(data: bytes, start: int, limit: int) -> tuple[tuple[LogLine, ...], int]:
    """At most `limit` whole lines of `data`, which stands at byte `start` of the log; and the next offset.

    An unfinished last line is left for the next page.
    """
    lines: list[LogLine] = []
    offset = start
    for raw in _whole_lines(data):
        if len(lines) == limit:
            break
        if raw.strip():
            lines.append(_decoded(raw, offset))
        offset += len(raw)
    return tuple(lines), offset


def _whole_lines(data: bytes) -> Iterator[bytes]:
    position = 0
    while (end := data.find(b"\n", position)) >= 0:
        yield data[position : end + 1]
        position = end + 1


def _decoded(raw: bytes, offset: int) -> LogLine:
    try:
        row = json.loads(raw)
        return LogLine(
            offset=offset,
            timestamp=row["timestamp"],
            stage=row["stage"],
            step=row["step"],
            level=row["level"],
            text=row["text"],
        )
    except (ValueError, KeyError, TypeError):
        # The writer died in the middle of a line; show what is there rather than fail the whole page.
        text = raw.decode("utf-8", "replace").rstrip("\n")
        return LogLine(offset=offset, timestamp="", stage="", step="", level="warning", text=text)
