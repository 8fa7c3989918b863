"""The four numbers of delivery performance from made-up deployments."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.kernel.errors import Invalid
from shared.domain.metrics.performance import (
    Band,
    Bucket,
    DeploymentFact,
    Outcome,
    buckets,
    by_bucket,
    figures,
    require_period,
)

START = datetime(2026, 6, 1, tzinfo=UTC)
END = START + timedelta(days=10)
HOUR = timedelta(hours=1)


def a_fact(
    number: int,
    outcome: Outcome = Outcome.DEPLOYED,
    *,
    at: timedelta,
    lead: timedelta | None = None,
    promotion: str = "",
    module: str = "orders",
    took: timedelta = timedelta(minutes=5),
) -> DeploymentFact:
    when = START + at
    return DeploymentFact(
        deployment=f"d{number}",
        promotion=promotion or f"p{number}",
        module=module,
        environment="prod",
        outcome=outcome,
        started_at=when - took,
        at=when,
        committed_at=None if lead is None else when - lead,
    )


def test_lead_times_are_from_commit_to_deployment_by_nearest_rank() -> None:
    facts = [a_fact(n, at=n * HOUR, lead=n * HOUR) for n in range(1, 11)]
    lead = figures(facts, START, END).lead_time
    assert (lead.samples, lead.p50, lead.p90, lead.band) == (10, 5 * 3600, 9 * 3600, Band.ELITE)


def test_a_commit_that_is_not_known_is_no_sample_and_a_clock_that_goes_wrong_no_negative_one() -> None:
    facts = [a_fact(1, at=HOUR), a_fact(2, at=2 * HOUR, lead=-HOUR)]
    lead = figures(facts, START, END).lead_time
    assert (lead.samples, lead.p50) == (1, 0.0)


@pytest.mark.parametrize(("number", "band"), [(10, Band.ELITE), (2, Band.HIGH), (1, Band.MEDIUM), (0, None)])
def test_frequency_counts_what_arrived(number: int, band: Band | None) -> None:
    facts = [a_fact(n, at=n * HOUR) for n in range(number)]
    facts.append(a_fact(99, Outcome.FAILED, at=HOUR))
    found = figures(facts, START, END).deployment_frequency
    assert (found.deployments, found.per_day, found.band) == (number, number / 10, band)


def test_what_failed_and_what_was_undone_later_are_failures() -> None:
    facts = [
        *(a_fact(n, at=n * HOUR) for n in range(1, 8)),
        a_fact(8, Outcome.FAILED, at=8 * HOUR),
        a_fact(9, Outcome.ROLLED_BACK, at=9 * HOUR),
        a_fact(10, at=10 * HOUR),
        a_fact(11, Outcome.UNDONE, at=12 * HOUR, promotion="p10"),
    ]
    found = figures(facts, START, END).change_failure_rate
    assert (found.changes, found.failures, found.rate, found.band) == (10, 3, 0.3, Band.LOW)


def test_time_to_restore_is_until_users_had_what_works() -> None:
    facts = [
        a_fact(1, Outcome.FAILED, at=HOUR),
        a_fact(2, at=2 * HOUR, module="billing"),
        a_fact(3, at=5 * HOUR),
        a_fact(4, Outcome.ROLLED_BACK, at=9 * HOUR, took=timedelta(minutes=10)),
        a_fact(5, at=10 * HOUR),
        a_fact(6, Outcome.UNDONE, at=12 * HOUR, promotion="p5"),
        a_fact(7, Outcome.FAILED, at=20 * HOUR),
    ]
    found = figures(facts, START, END)
    assert (found.time_to_restore.samples, found.open_failures) == (3, 1)
    assert (found.time_to_restore.p50, found.time_to_restore.p90) == (2 * 3600, 4 * 3600)


def test_a_failure_belongs_to_the_period_of_its_deployment_wherever_it_is_made_good() -> None:
    facts = [a_fact(1, at=HOUR), a_fact(2, Outcome.UNDONE, at=timedelta(days=12), promotion="p1")]
    first, second = figures(facts, START, END), figures(facts, END, END + timedelta(days=10))
    assert (first.change_failure_rate.failures, first.open_failures) == (1, 0)
    assert second.change_failure_rate.changes == 0


def test_an_empty_period_says_so() -> None:
    found = figures([], START, END)
    assert found.deployment_frequency.deployments == found.change_failure_rate.changes == 0
    assert found.lead_time.samples == found.time_to_restore.samples == 0
    assert (found.change_failure_rate.rate, found.lead_time.p50, found.time_to_restore.p90) == (None,) * 3
    assert found.deployment_frequency.band is None


def test_weeks_begin_on_monday_and_the_first_and_last_are_cut() -> None:
    start, end = datetime(2026, 6, 3, 12, tzinfo=UTC), datetime(2026, 6, 16, 1, tzinfo=UTC)
    edges = [(a.day, b.day) for a, b in buckets(start, end, Bucket.WEEK)]
    assert edges == [(3, 8), (8, 15), (15, 16)]


@pytest.mark.parametrize(("days", "ok"), [(0, False), (-1, False), (366, True), (367, False)])
def test_a_period_is_neither_empty_nor_endless(days: int, ok: bool) -> None:
    if ok:
        require_period(START, START + timedelta(days=days))
    else:
        with pytest.raises(Invalid):
            require_period(START, START + timedelta(days=days))


FACTS = st.lists(
    st.builds(
        a_fact,
        st.integers(0, 30),
        st.sampled_from(Outcome),
        at=st.integers(0, 14 * 24).map(lambda hours: hours * HOUR),
        lead=st.none() | st.integers(0, 500).map(lambda hours: hours * HOUR),
        promotion=st.sampled_from(["", "p1", "p2", "p3"]),
    ),
    max_size=25,
    unique_by=lambda fact: fact.deployment,
)


@given(facts=FACTS, order=st.randoms(use_true_random=False), bucket=st.sampled_from(Bucket))
def test_order_and_repeats_change_nothing_and_buckets_add_up(
    facts: list[DeploymentFact], order: Random, bucket: Bucket
) -> None:
    mixed = [*facts, *facts[::2]]
    order.shuffle(mixed)
    whole = figures(facts, START, END)
    assert figures(sorted(mixed, key=lambda fact: fact.at), START, END) == whole
    parts = by_bucket(facts, START, END, bucket)
    assert (parts[0].start, parts[-1].end) == (START, END)
    for name in ("changes", "failures"):
        total = getattr(whole.change_failure_rate, name)
        assert sum(getattr(part.change_failure_rate, name) for part in parts) == total
    live = sum(part.deployment_frequency.deployments for part in parts)
    assert live == whole.deployment_frequency.deployments
    assert sum(part.lead_time.samples for part in parts) == whole.lead_time.samples
