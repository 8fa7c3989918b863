"""What one counter grants to many instances, each with a clock of its own."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.limits.lease import MOST_SKEW, Counter, grant
from shared.domain.limits.model import MINUTE, PREMIUM, STANDARD, Rate

START = 1_781_168_400_000_000
assert START % MINUTE == 0
TIERS = st.sampled_from([STANDARD, PREMIUM])
# An instance asks: how long after the one before, how far its clock is ahead, what it owes.
ASKED = st.lists(
    st.tuples(st.integers(0, 8_000_000), st.integers(0, MOST_SKEW), st.sampled_from([0, 0, 0, 3, 10])),
    max_size=200,
)


@given(TIERS, ASKED)
def test_a_minute_grants_its_limit_and_what_was_owed_and_no_more(
    rate: Rate, asked: list[tuple[int, int, int]]
) -> None:
    counter, now, granted, owed_in = None, START, {0: 0}, {0: 0}
    for gap, skew, owed in asked:
        now += gap
        counter, lease = grant(rate, counter, now + skew, owed)
        minute = lease.ends // MINUTE
        granted[minute] = granted.get(minute, 0) + lease.count
        owed_in[minute] = owed_in.get(minute, 0) + owed
        assert granted[minute] <= rate.limit
        assert granted[minute] + owed_in[minute] <= max(rate.limit, counter.granted)
        assert 0 <= lease.count <= rate.chunk
        assert lease.unleased == max(rate.limit - counter.granted, 0)
        assert (lease.count == 0) == (lease.retry_after > 0)


@given(TIERS, ASKED)
def test_any_span_grants_a_burst_and_its_pace_and_the_skew(
    rate: Rate, asked: list[tuple[int, int, int]]
) -> None:
    counter, now, grants = None, START, []
    for gap, skew, _ in asked:
        now += gap
        counter, lease = grant(rate, counter, now + skew, 0)
        grants.append((now, lease.count))
    for at, (begin, _) in enumerate(grants):
        total = 0
        for end, count in grants[at:]:
            total += count
            assert total <= rate.burst + (end - begin + MOST_SKEW) // rate.interval + 1


@given(TIERS, st.integers(0, MINUTE - 1), st.integers(0, 600), st.integers(0, 20))
def test_a_refused_lease_is_granted_once_its_wait_is_over(
    rate: Rate, offset: int, taken: int, owed: int
) -> None:
    now = START + offset
    counter, lease = Counter(now, taken, now + taken * rate.interval), None
    while lease is None or lease.count:
        counter, lease = grant(rate, counter, now, owed if lease is None else 0)
    _, early = grant(rate, counter, now + lease.retry_after - 1, 0)
    _, due = grant(rate, counter, now + lease.retry_after, 0)
    assert (early.count, due.count > 0) == (0, True)


def test_chunks_shrink_as_the_edge_comes_near() -> None:
    counter: Counter | None = None
    chunks: list[int] = []
    while not chunks or chunks[-1]:
        counter, lease = grant(STANDARD, counter, START, 0)
        chunks.append(lease.count)
    assert chunks[:6] == [25, 18, 14, 10, 8, 6]
    assert chunks[-4:] == [1, 1, 1, 0]
    assert sum(chunks) == STANDARD.burst


def test_a_used_up_minute_is_closed_until_it_ends() -> None:
    now = START + 20_000_000
    after, lease = grant(STANDARD, Counter(now, STANDARD.limit, now), now, 0)
    assert (lease.count, lease.unleased, lease.retry_after) == (0, 0, 40_000_000)
    assert after.granted == STANDARD.limit
    _, next_minute = grant(STANDARD, after, now + 40_000_000, 0)
    assert next_minute.count == STANDARD.chunk


def test_debts_are_counted_even_where_nothing_is_left() -> None:
    after, lease = grant(STANDARD, Counter(START, STANDARD.limit - 4, START), START, 10)
    assert (lease.count, after.granted) == (0, STANDARD.limit + 6)


def test_a_slower_clock_takes_part_in_the_minute_that_a_faster_one_began() -> None:
    fast = START + MINUTE + 1_000_000
    counter, _ = grant(STANDARD, None, fast, 0)
    slow = fast - 4_000_000
    after, lease = grant(STANDARD, counter, slow, 0)
    assert lease.ends == START + 2 * MINUTE
    assert after == Counter(fast, 25 + 18, counter.arrival + 18 * STANDARD.interval)


@pytest.mark.parametrize("ahead", [2 * MOST_SKEW, MINUTE, 60 * MINUTE])
def test_a_clock_far_ahead_closes_the_bucket_no_longer_than_it_takes_to_fill(ahead: int) -> None:
    now = START + MINUTE // 2
    wild = Counter(now + ahead, 25, now + ahead + STANDARD.burst * STANDARD.interval)
    after, lease = grant(STANDARD, wild, now, 0)
    assert lease.retry_after <= STANDARD.interval
    assert after.at <= now + MOST_SKEW
    assert grant(STANDARD, after, after.at + 6_000_000, 0)[1].count > 0


def test_a_clock_far_ahead_does_not_give_the_minute_anew() -> None:
    now = START + 10_000_000
    wild = Counter(now + 60 * MINUTE, STANDARD.limit, now)
    assert grant(STANDARD, wild, now, 0)[1].count == 0
    assert grant(STANDARD, replace(wild, granted=0), now, 0)[1].count == STANDARD.chunk
