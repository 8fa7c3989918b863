"""What is told as it happens comes to what a recount of the same days comes to."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.metrics.performance import DeploymentFact, Outcome, figures
from shared.domain.metrics.standing import MAX_LIVE, WINDOW, Standing, after

START = datetime(2026, 6, 1, tzinfo=UTC)
STEPS = st.lists(
    st.tuples(st.sampled_from(Outcome), st.integers(1, 40_000), st.integers(1, 5)), min_size=1, max_size=40
)


def a_history(steps: list[tuple[Outcome, int, int]]) -> list[DeploymentFact]:
    """One after the other; what is undone is one of the last deployments, or nothing that is known."""
    facts: list[DeploymentFact] = []
    at = START
    for number, (outcome, seconds, back) in enumerate(steps):
        at += timedelta(seconds=seconds)
        undone = number - back if outcome is Outcome.UNDONE else number
        facts.append(
            DeploymentFact(
                deployment=str(number),
                promotion=str(undone),
                module="module-y",
                environment="dev",
                outcome=outcome,
                started_at=at - timedelta(seconds=30),
                at=at,
            )
        )
    return facts


@given(STEPS)
def test_one_after_the_other_is_as_all_at_once(steps: list[tuple[Outcome, int, int]]) -> None:
    facts = a_history(steps)
    standing, recovered = Standing(), list[float]()
    for fact in facts:
        standing, more = after(standing, fact)
        recovered += more
    counted = figures(facts, START, START + WINDOW)
    assert standing.failure_rate == counted.change_failure_rate.rate
    assert len(recovered) == counted.time_to_restore.samples
    if recovered:
        at_rank = sorted(recovered)[-(-len(recovered) // 2) - 1]
        assert at_rank == counted.time_to_restore.p50
    assert len(standing.broken) == counted.open_failures


def test_what_is_older_than_the_window_no_longer_counts() -> None:
    failed, worked = a_history([(Outcome.FAILED, 1, 1), (Outcome.DEPLOYED, 1, 1)])
    standing, _ = after(Standing(), failed)
    assert standing.failure_rate == 1.0
    later = DeploymentFact(
        deployment="later",
        promotion="later",
        module="module-y",
        environment="dev",
        outcome=Outcome.DEPLOYED,
        started_at=worked.at + WINDOW,
        at=worked.at + WINDOW,
    )
    standing, recovered = after(standing, later)
    assert standing.failure_rate == 0.0
    assert recovered == ((later.at - failed.at).total_seconds(),)


def test_it_stays_small_however_long_it_goes_on() -> None:
    standing = Standing()
    for outcome in (Outcome.DEPLOYED, Outcome.FAILED):
        for fact in a_history([(outcome, 60, 1)] * (3 * MAX_LIVE)):
            standing, _ = after(standing, fact)
    assert (len(standing.live), len(standing.broken)) == (MAX_LIVE, MAX_LIVE)
