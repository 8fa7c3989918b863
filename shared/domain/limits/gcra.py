"""The generic cell rate algorithm: a token bucket that is one number, when it will be full again.

That number, the theoretical arrival time, is `now` or earlier in a bucket that is full. Each request moves it
on by one interval, and may not move it further ahead of now than the whole bucket.
"""

from dataclasses import dataclass

from shared.domain.limits.model import Rate


@dataclass(frozen=True, slots=True)
class Decision:
    """`arrival` is the bucket after it, `remaining` what it would admit next at this moment, `retry_after`
    the span until it would admit what it refused (0 where it did not), `reset` when it is full again."""

    allowed: bool
    arrival: int
    remaining: int
    retry_after: int
    reset: int


def decide(rate: Rate, arrival: int, now: int, count: int = 1) -> Decision:
    """Whether `count` requests, at most a burst, may pass at once. A refusal costs nothing."""
    after = max(arrival, now) + count * rate.interval
    retry_after = after - rate.burst * rate.interval - now
    if retry_after > 0:
        return Decision(False, arrival, room(rate, arrival, now), retry_after, max(arrival, now))
    return Decision(True, after, room(rate, after, now), 0, after)


def room(rate: Rate, arrival: int, now: int) -> int:
    """How many requests the bucket admits at this moment."""
    ahead = max(arrival - now, 0)
    return max(rate.burst - -(-ahead // rate.interval), 0)
