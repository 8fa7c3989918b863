"""The change feed, latest versions: in the order of the log, and never cut inside one transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from tests.standins.cosmos.documents import Documents
from tests.standins.cosmos.errors import MAX_OPERATIONS, bad_request

MAX_PAGE_BYTES = 4 * 1024 * 1024
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class Span:
    """A range of effective partition keys, `high` exclusive; or one key, where there is no `high`."""

    low: str = ""
    high: str | None = "FF"

    def sql(self) -> tuple[str, list[Any]]:
        if self.high is None:
            return "epk = ?", [self.low]
        return "epk >= ? AND epk < ?", [self.low, self.high]

    def within(self, other: "Span") -> "Span":
        if self.high is None or other.high is None:
            return self if self.high is None else other
        return Span(max(self.low, other.low), min(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Page:
    texts: list[str]
    etag: str


def read(documents: Documents, span: Span, after: str | None, since: str | None, limit: int) -> Page:
    """What changed after the etag `after` (`*` is now, None the start) and not before the date `since`."""
    if after == "*":
        return Page([], f'"{documents.lsn}"')
    start = _lsn(after)
    where, values = span.sql()
    where += " AND lsn > ?"
    values.append(start)
    if since:
        where += " AND doc ->> '$._ts' >= ?"
        values.append(_seconds(since))
    # A transaction has at most 100 operations: so many more rows hold the rest of the last one.
    rows = documents.rows(where, values, "lsn, nth", limit + MAX_OPERATIONS)
    texts: list[str] = []
    size = 0
    last = start
    for transaction in _transactions(rows):
        if texts and (len(texts) >= limit or size >= MAX_PAGE_BYTES):
            break
        last = transaction[0][2]
        for _, doc, lsn in transaction:
            texts.append(f'{doc[:-1]},"_lsn":{lsn}}}')
            size += len(doc)
    # With nothing left behind it the reader may go on from the end of the log, as it does in Azure.
    return Page(texts, f'"{last if texts else max(start, documents.lsn)}"')


def _transactions(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    held: list[tuple[Any, ...]] = []
    for row in rows:
        if held and held[-1][2] != row[2]:
            yield held
            held = []
        held.append(row)
    if held:
        yield held


def _lsn(etag: str | None) -> int:
    if etag is None:
        return 0
    if not etag.strip('"').isdigit():
        raise bad_request(f"The etag {etag} is not a continuation of this change feed.")
    return int(etag.strip('"'))


def _seconds(date: str) -> int:
    try:
        return int(parsedate_to_datetime(date).astimezone(UTC).timestamp())
    except ValueError:
        raise bad_request(f"The If-Modified-Since {date} is not a date.") from None
