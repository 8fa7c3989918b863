"""Tiers, and the cell rate algorithm against a bucket that is counted drop by drop."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.limits.gcra import decide, room
from shared.domain.limits.model import MINUTE, PREMIUM, RATES, STANDARD, Rate, Tariff, published

START = 1_781_168_400_000_000
RATE = st.builds(
    Rate, st.just("any"), limit=st.integers(1, 200_000), burst=st.integers(1, 2_000)
) | st.sampled_from([STANDARD, PREMIUM])
GAPS = st.lists(st.one_of(st.just(0), st.integers(0, 200_000), st.integers(0, 90_000_000)), max_size=60)
ASKED = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 40)), max_size=80)


class Bucket:
    """Tokens as exact fractions, refilled by the span since they were last looked at."""

    def __init__(self, rate: Rate, now: int) -> None:
        self.rate = rate
        self.tokens = Fraction(rate.burst)
        self.at = now

    def take(self, now: int, count: int) -> bool:
        refill = Fraction(now - self.at, self.rate.interval)
        self.tokens, self.at = min(self.tokens + refill, Fraction(self.rate.burst)), now
        if self.tokens < count:
            return False
        self.tokens -= count
        return True


@given(RATE, ASKED)
def test_it_decides_as_a_token_bucket_does(rate: Rate, asked: list[tuple[int, int]]) -> None:
    bucket, arrival, now = Bucket(rate, START), START, START
    for gap, count in asked:
        now += gap
        decision = decide(rate, arrival, now, count)
        assert decision.allowed == bucket.take(now, count)
        assert decision.remaining == int(bucket.tokens)
        assert decision.allowed or decision.arrival == arrival
        arrival = decision.arrival


@given(RATE, GAPS)
def test_no_minute_holds_more_than_the_limit_and_one_burst(rate: Rate, gaps: list[int]) -> None:
    arrival, now, passed = START, START, []
    for gap in gaps:
        now += gap
        for _ in range(5):
            decision = decide(rate, arrival, now)
            arrival = decision.arrival
            passed += [now] * decision.allowed
    for first in passed:
        assert sum(first <= at <= first + MINUTE for at in passed) <= rate.limit + rate.burst


@given(RATE, GAPS, st.integers(1, 50))
def test_a_refusal_says_exactly_when_it_would_pass(rate: Rate, gaps: list[int], count: int) -> None:
    count = min(count, rate.burst)
    arrival, now = START, START
    for gap in gaps:
        now += gap
        decision = decide(rate, arrival, now, count)
        arrival = decision.arrival
        if decision.allowed:
            assert decision.retry_after == 0
            continue
        assert not decide(rate, arrival, now + decision.retry_after - 1, count).allowed
        assert decide(rate, arrival, now + decision.retry_after, count).allowed


@given(RATE, GAPS)
def test_room_is_how_many_single_requests_pass_at_once(rate: Rate, gaps: list[int]) -> None:
    arrival, now = START, START
    for gap in gaps:
        now += gap
        free = room(rate, arrival, now)
        assert 0 <= free <= rate.burst
        assert free == 0 or decide(rate, arrival, now, free).allowed
        assert not decide(rate, arrival, now, free + 1).allowed
        arrival = decide(rate, arrival, now, min(free + 1, 7)).arrival


@pytest.mark.parametrize(
    ("rate", "seconds", "expected"), [(STANDARD, 60, 1100), (PREMIUM, 60, 5500), (STANDARD, 0, 100)]
)
def test_a_caller_that_never_stops_gets_its_tier_and_no_more(rate: Rate, seconds: int, expected: int) -> None:
    arrival, passed = START, 0
    for now in range(START, START + seconds * 1_000_000 + 1, 1_000):
        while (decision := decide(rate, arrival, now)).allowed:
            arrival, passed = decision.arrival, passed + 1
    assert passed == expected


def test_a_full_bucket_resets_now_and_an_empty_one_when_it_is_full_again() -> None:
    assert decide(STANDARD, 0, START, 0).reset == START
    emptied = decide(STANDARD, 0, START, STANDARD.burst)
    assert emptied.reset == START + 6_000_000
    assert decide(STANDARD, emptied.arrival, emptied.reset, STANDARD.burst).allowed


def test_the_published_tiers_are_these() -> None:
    assert {(rate.tier, rate.limit, rate.burst, rate.interval) for rate in RATES.values()} == {
        ("standard", 1000, 100, 60_000),
        ("premium", 5000, 500, 12_000),
    }


@pytest.mark.parametrize(
    ("tenants", "claimed", "expected"),
    [
        ({}, None, STANDARD),
        ({}, "premium", PREMIUM),
        ({}, "gold", STANDARD),
        ({}, "unmetered", STANDARD),
        ({"acme": "premium"}, None, PREMIUM),
        ({"acme": "premium"}, "standard", STANDARD),
        ({"acme": "premium"}, "gold", PREMIUM),
        ({"other": "premium"}, None, STANDARD),
        ({"*": "premium"}, None, PREMIUM),
        ({"*": "premium", "acme": "standard"}, None, STANDARD),
        ({"acme": "unmetered"}, None, None),
        ({"acme": "unmetered"}, "premium", PREMIUM),
        ({"*": "unmetered"}, "unmetered", None),
    ],
)
def test_the_tier_is_the_tokens_then_the_tenants_then_standard(
    tenants: dict[str, str], claimed: str | None, expected: Rate | None
) -> None:
    assert Tariff(tenants).rate_of("acme", claimed) == expected


def test_every_other_limit_is_published_by_name() -> None:
    assert {limit.name: limit.limit for limit in published(100)} == {
        "concurrentRuns": 100,
        "concurrentDeployments": 50,
        "requestBody": 10 * 1024 * 1024,
        "responseBody": 50 * 1024 * 1024,
        "pageSize": 100,
    }
