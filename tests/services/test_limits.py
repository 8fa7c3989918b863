"""Rate limits: what one instance does by itself, what several agree on, and what happens without a store."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.limits.model import MINUTE, PREMIUM, STANDARD, Rate, Tariff
from shared.names import INDEXES
from shared.services.limits import ATTEMPTS, KEPT_FOR, Limits
from tests.support.limits import ANN, Fleet, Instant, MemoryStore, SkewedClock, until_refused

TARIFF = Tariff({"rich": "premium", "house": "unmetered"})
SKEW_SECONDS = 5.0


@pytest.fixture
def instant() -> Instant:
    return Instant()


@pytest.fixture
def store(instant: Instant) -> MemoryStore:
    return MemoryStore(instant)


@pytest.fixture
def limits(store: MemoryStore, instant: Instant) -> Limits:
    return Limits(store, SkewedClock(instant), TARIFF)


def actor(subject: str = "user:ann", tenant: str = "acme", tier: str | None = None) -> Actor:
    return Actor(subject, ActorKind.HUMAN, tenant, tier=tier)


@pytest.mark.parametrize(
    ("caller", "rate"),
    [
        (actor(), STANDARD),
        (actor(tier="premium"), PREMIUM),
        (actor(tenant="rich"), PREMIUM),
        (actor(tier="gold"), STANDARD),
    ],
)
async def test_a_burst_passes_and_then_it_is_closed(limits: Limits, caller: Actor, rate: Rate) -> None:
    passed, refusal = await until_refused(limits, caller)
    assert passed == rate.burst
    assert refusal.limit == rate.limit
    assert refusal.remaining == rate.limit - passed
    assert refusal.retry_after == 1


async def test_who_is_not_counted_gets_no_standing(limits: Limits, store: MemoryStore) -> None:
    assert await limits.admit(actor(tenant="house")) is None
    assert limits.standing(actor(tenant="house")) is None
    assert limits.rate_of(actor(tenant="house")) is None
    assert store.reads == 0


async def test_what_remains_counts_down_by_one_and_starts_anew_each_minute(
    limits: Limits, instant: Instant
) -> None:
    seen = [await limits.admit(ANN) for _ in range(90)]
    assert [one.remaining for one in seen if one] == list(range(999, 909, -1))
    assert limits.standing(ANN) == seen[-1]
    instant.advance(minutes=1)
    later = await limits.admit(ANN)
    assert later is not None
    assert seen[0] is not None
    assert (later.remaining, later.reset - seen[0].reset) == (999, 60)


async def test_the_window_closes_until_it_ends_even_at_an_even_pace(limits: Limits, instant: Instant) -> None:
    passed, refusal = 0, None
    while refusal is None:
        standing = await limits.admit(ANN)
        assert standing is not None
        if standing.retry_after and standing.remaining == 0:
            refusal = standing
        passed += not standing.retry_after
        instant.advance(milliseconds=55)
    assert passed == STANDARD.limit
    assert refusal.retry_after >= 1
    instant.advance(seconds=refusal.retry_after)
    reopened = await limits.admit(ANN)
    assert reopened is not None
    assert reopened.retry_after == 0


async def test_whoever_waits_as_told_is_served(limits: Limits, instant: Instant) -> None:
    for _ in range(50):
        _, refusal = await until_refused(limits)
        instant.advance(seconds=refusal.retry_after)
        standing = await limits.admit(ANN)
        assert standing is not None
        assert standing.retry_after == 0


async def test_an_occasional_caller_costs_no_store_call(
    limits: Limits, store: MemoryStore, instant: Instant
) -> None:
    for _ in range(100):
        await limits.admit(ANN)
        instant.advance(seconds=6)
    assert (store.reads, store.commits) == (0, 0)


async def test_a_steady_caller_costs_one_write_in_twenty_five_requests(
    limits: Limits, store: MemoryStore, instant: Instant
) -> None:
    for _ in range(600):
        standing = await limits.admit(ANN)
        assert standing is not None
        assert standing.retry_after == 0
        instant.advance(milliseconds=200)
    assert store.commits == store.reads <= 600 / 25


async def test_a_refused_caller_costs_no_store_call_until_it_may_pass_again(
    limits: Limits, store: MemoryStore, instant: Instant
) -> None:
    await until_refused(limits)
    before = store.reads
    for _ in range(1000):
        await limits.admit(ANN)
    assert store.reads == before
    instant.advance(seconds=1)
    await limits.admit(ANN)
    assert store.reads == before + 1


async def test_principals_and_tenants_do_not_share(limits: Limits) -> None:
    await until_refused(limits)
    for other in (actor("user:bob"), actor(tenant="rival"), actor("user:ann ")):
        assert (await until_refused(limits, other))[0] == STANDARD.burst


async def test_two_tokens_of_one_principal_draw_on_one_counter(limits: Limits) -> None:
    assert (await until_refused(limits, actor(tier="premium")))[0] == PREMIUM.burst
    assert (await until_refused(limits, actor(tier="standard")))[0] == STANDARD.grace


async def test_callers_that_come_at_once_share_one_lease(limits: Limits, store: MemoryStore) -> None:
    for _ in range(STANDARD.grace):
        await limits.admit(ANN)
    standings = await asyncio.gather(*(limits.admit(ANN) for _ in range(STANDARD.chunk - 5)))
    assert all(one and not one.retry_after for one in standings)
    assert store.commits == 1


async def test_a_caller_that_gives_up_does_not_take_the_others_with_it(limits: Limits) -> None:
    for _ in range(STANDARD.grace):
        await limits.admit(ANN)
    calls = [asyncio.create_task(limits.admit(ANN)) for _ in range(5)]
    await asyncio.sleep(0)
    calls[0].cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(one, tuple) and one.retry_after == 0 for one in found[1:])


async def test_the_principal_that_was_quiet_longest_is_forgotten(
    store: MemoryStore, instant: Instant
) -> None:
    limits = Limits(store, SkewedClock(instant), TARIFF, remembered=2)
    await until_refused(limits, ANN)
    await limits.admit(actor("user:bob"))
    await limits.admit(ANN)
    await limits.admit(actor("user:cid"))
    passed, _ = await until_refused(limits, ANN)
    assert passed == 0, "who was heard last is kept"
    await limits.admit(actor("user:bob"))
    await limits.admit(actor("user:cid"))
    passed, _ = await until_refused(limits, ANN)
    assert passed == STANDARD.grace, "the counter remembers what the instance forgot"


async def test_the_counter_is_gone_two_minutes_later_and_nobody_misses_it(
    limits: Limits, store: MemoryStore, instant: Instant
) -> None:
    await until_refused(limits)
    [(document, expires_at)] = store.documents.values()
    assert document.kind == "limit"
    assert "ann" not in document.root
    assert expires_at is not None
    assert expires_at == instant.now + KEPT_FOR
    instant.advance(minutes=3)
    assert (await until_refused(limits))[0] == STANDARD.burst


async def test_without_a_store_one_burst_a_minute_passes_and_the_log_says_so_once(
    limits: Limits, store: MemoryStore, instant: Instant, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "slipway.limits")
    store.away = True
    for caller in (ANN, actor("user:bob")):
        passed, refusal = await until_refused(limits, caller)
        assert passed == STANDARD.grace + STANDARD.burst
        assert refusal.retry_after == 1
    reads = store.reads
    for _ in range(100):
        await limits.admit(ANN)
    assert store.reads == reads, "a store that is away is not asked by every request"
    instant.advance(minutes=1)
    assert (await until_refused(limits))[0] == STANDARD.grace + STANDARD.burst
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "does not answer" in caplog.text
    store.away = False
    instant.advance(seconds=1)
    await limits.admit(ANN)
    await limits.admit(ANN)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_what_passed_without_a_store_is_counted_when_it_answers(
    limits: Limits, store: MemoryStore, instant: Instant
) -> None:
    store.away = True
    await until_refused(limits)
    store.away = False
    instant.advance(seconds=20)
    settled = await limits.admit(ANN)
    assert settled is not None
    assert settled.remaining == STANDARD.limit - STANDARD.grace - STANDARD.burst
    assert settled.retry_after == 1, "as though it had all come just now"
    instant.advance(seconds=1)
    standing = await limits.admit(ANN)
    assert standing is not None
    assert (standing.retry_after, standing.remaining) == (0, settled.remaining - 1)


async def test_an_instance_that_loses_every_race_admits_a_little_and_owes_it(
    limits: Limits, store: MemoryStore, instant: Instant, caplog: pytest.LogCaptureFixture
) -> None:
    store.contended = True
    passed, refusal = await until_refused(limits)
    assert passed == 2 * STANDARD.grace
    assert refusal.retry_after == 1
    assert store.conflicts == 2 * ATTEMPTS
    assert caplog.records == [], "races are no outage"
    store.contended = False
    instant.advance(seconds=1)
    standing = await limits.admit(ANN)
    assert standing is not None
    assert standing.remaining == STANDARD.limit - 2 * STANDARD.grace - 1


async def test_a_lease_that_comes_after_its_minute_is_not_spent_in_the_next(
    limits: Limits, store: MemoryStore, instant: Instant
) -> None:
    instant.advance(seconds=59, milliseconds=990)
    for _ in range(STANDARD.grace):
        await limits.admit(ANN)
    late = asyncio.create_task(limits.admit(ANN))
    await asyncio.sleep(0)
    instant.advance(milliseconds=20)
    early = await limits.admit(ANN)
    served = await late
    assert early is not None
    assert served is not None
    assert (early.remaining, served.remaining, served.reset) == (999, 998, early.reset)


SPREADS = [(0.0,) * 5, (0.0, 1.0, 2.0, 4.0, 5.0), (5.0, 0.0, 0.0, 0.0, 0.0), (2.5, -2.5, 0.0, 1.0, -1.0)]


@pytest.mark.parametrize("skews", SPREADS, ids=str)
@pytest.mark.parametrize("seed", range(2))
async def test_five_instances_admit_no_more_than_one_limit(skews: tuple[float, ...], seed: int) -> None:
    """Three minutes of many times the limit, with crashes, lost races and lost answers."""
    fleet = Fleet(seed, skews, Tariff({}), crashing=0.02)
    while fleet.instant.now < Instant().now + timedelta(minutes=3):
        await fleet.ask(6)
        fleet.instant.advance(milliseconds=fleet.chance.randrange(1, 250))
    assert fleet.crashes >= 5
    assert fleet.store.conflicts >= 20
    assert fleet.refused > len(fleet.admitted)
    for minute, passed in fleet.by_minute.items():
        assert passed <= STANDARD.limit + len(fleet.served[minute]) * STANDARD.grace
    lives = len(skews) + fleet.crashes
    slack = 2 * lives * STANDARD.grace + len(skews) * STANDARD.chunk
    skew = int(SKEW_SECONDS * 1_000_000) // STANDARD.interval
    assert fleet.most_in(MINUTE) <= STANDARD.limit + STANDARD.burst + skew + slack
    assert len(fleet.admitted) >= 3 * STANDARD.limit * 0.9, "nobody is starved either"


async def test_each_of_five_instances_gets_its_share_though_one_clock_is_ahead() -> None:
    fleet = Fleet(1, (5.0, 0.0, 0.0, 0.0, 0.0), Tariff({}))
    shares = [0] * 5
    clocks = [SkewedClock(fleet.instant, timedelta(seconds=skew)) for skew in (5.0, 0.0, 0.0, 0.0, 0.0)]
    instances = [Limits(fleet.store, clock, Tariff({})) for clock in clocks]
    for _ in range(300):
        for index in fleet.chance.sample(range(5), 5):
            standing = await instances[index].admit(ANN)
            assert standing is not None
            shares[index] += not standing.retry_after
        fleet.instant.advance(milliseconds=200)
    assert min(shares) >= 100


async def test_two_processes_share_a_burst_over_the_embedded_store(tmp_path: Path) -> None:
    clock = SkewedClock(Instant())
    stores = [SqliteStore(tmp_path / "store.db", INDEXES, clock) for _ in range(2)]
    instances = [Limits(each, clock, TARIFF) for each in stores]
    passed = 0
    for _ in range(STANDARD.burst):
        for limits in instances:
            standing = await limits.admit(ANN)
            assert standing is not None
            passed += not standing.retry_after
    # The second to ask had its grace before it learnt of the first, and pays for it from what is left.
    assert STANDARD.burst <= passed <= STANDARD.burst + len(instances) * STANDARD.grace
    for store in stores:
        await store.aclose()
