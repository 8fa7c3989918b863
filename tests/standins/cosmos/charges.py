"""Request units, by a simple model of the public figures: what grows with what, not the third decimal.

A point read of 1 KB is 1 RU and a write of 1 KB about 5.5, growing with size and indexed values. A query
starts at 2.3 and grows with what the index gives, what has to be loaded without one, and what it returns.
"""

from math import ceil

READ_BASE = 1.0
READ_PER_KB = 0.1
WRITE_BASE = 4.95
WRITE_PER_KB = 0.45
WRITE_PER_INDEXED_VALUE = 0.03
REPLACE_FACTOR = 1.9
"""A replace takes old index terms out and puts new ones in."""
QUERY_BASE = 2.3
QUERY_PER_LOADED = 0.035
QUERY_PER_SCANNED = 0.15
"""An item that was loaded only to be thrown away, as its filter has no index."""
QUERY_PER_KB = 0.03
FEED_BASE = 1.0
FEED_PER_KB = 0.05
METADATA = 1.0
EMPTY = 1.0


def read(size: int) -> float:
    return READ_BASE + READ_PER_KB * max(0, ceil(size / 1024) - 1)


def write(size: int, values: int, *, replaces: bool = False) -> float:
    """Of an item of `size` bytes with that many indexed values."""
    charge = WRITE_BASE + WRITE_PER_KB * ceil(size / 1024) + WRITE_PER_INDEXED_VALUE * values
    return charge * (REPLACE_FACTOR if replaces else 1)


def query(loaded: int, scanned: int, size: int) -> float:
    return QUERY_BASE + QUERY_PER_LOADED * loaded + QUERY_PER_SCANNED * scanned + QUERY_PER_KB * size / 1024


def feed(size: int) -> float:
    return FEED_BASE + FEED_PER_KB * size / 1024
