"""How instances share one allowance: each leases a chunk of it from a counter that all of them see."""

from dataclasses import dataclass

from shared.domain.limits.gcra import decide, room
from shared.domain.limits.model import MINUTE, Rate

MOST_SKEW = 5_000_000
"""How far the clocks of two instances may be apart. What is further ahead is not believed."""
_SHARE = 4
"""A lease takes at most this part of what is left, so that chunks shrink as the edge comes near."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What all instances know of one principal: how many requests were `granted` in the minute of `at`, and
    the bucket's theoretical arrival. `at` is the latest time that any of them has said."""

    at: int
    granted: int
    arrival: int


@dataclass(frozen=True, slots=True)
class Lease:
    """`count` requests that one instance may admit until `ends`. `unleased` are left in that minute for
    everybody. Where there are none, asking again makes sense after `retry_after`."""

    count: int
    ends: int
    unleased: int
    retry_after: int


def grant(rate: Rate, counter: Counter | None, now: int, owed: int) -> tuple[Counter, Lease]:
    """The counter after a lease, and the lease. `owed` were admitted before anybody was asked.

    A lease is paid from both measures at once, the minute's count and the bucket, so that it can be spent
    without looking at either.
    """
    known = counter or Counter(now, 0, now)
    # One time for all: else the fastest clock would take the whole bucket, and begin minutes of its own.
    at = max(now, min(known.at, now + MOST_SKEW))
    minute = at // MINUTE
    granted = owed + (known.granted if known.at // MINUTE >= minute else 0)
    # A clock that was far ahead must not close the bucket for longer than it takes to fill.
    arrival = min(known.arrival, at + rate.burst * rate.interval)
    arrival = max(arrival, at) + owed * rate.interval
    unleased = max(rate.limit - granted, 0)
    left = min(unleased, room(rate, arrival, at))
    count = min(left, max(1, min(left // _SHARE, rate.chunk)))
    ends = (minute + 1) * MINUTE
    after = Counter(at, granted + count, arrival + count * rate.interval)
    if count:
        return after, Lease(count, ends, unleased - count, 0)
    wait = ends - at if unleased == 0 else decide(rate, arrival, at).retry_after
    return after, Lease(0, ends, unleased, wait)
