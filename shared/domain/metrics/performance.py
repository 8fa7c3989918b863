"""The four numbers of delivery performance, from what became of deployments. Pure: facts in, figures out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil

from shared.domain.kernel.errors import Invalid, Problem

MAX_PERIOD = timedelta(days=366)
RECOVERY_HORIZON = timedelta(days=30)
"""How long after a period its failures may be made good and still be told there."""


class Bucket(StrEnum):
    DAY = "day"
    WEEK = "week"
    """From Monday on."""
    MONTH = "month"


class Outcome(StrEnum):
    DEPLOYED = "deployed"
    FAILED = "failed"
    """It was never what ran, and what ran before runs."""
    ROLLED_BACK = "rolled_back"
    """It was let near requests, and what ran before runs again."""
    UNDONE = "undone"
    """A rollback that somebody asked for has succeeded; `promotion` is what it undid."""


class Band(StrEnum):
    ELITE = "Elite"
    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"


DAY, HOUR = 86_400.0, 3_600.0
LEAD_TIME_BANDS = ((Band.ELITE, DAY), (Band.HIGH, 7 * DAY), (Band.MEDIUM, 30 * DAY))
RESTORE_BANDS = ((Band.ELITE, HOUR), (Band.HIGH, DAY), (Band.MEDIUM, 7 * DAY))
FAILURE_BANDS = ((Band.ELITE, 0.05), (Band.HIGH, 0.10), (Band.MEDIUM, 0.15))
FREQUENCY_BANDS = ((Band.ELITE, 1.0), (Band.HIGH, 1 / 7), (Band.MEDIUM, 1 / 30))
"""Thresholds of the DORA survey's clusters: at most so many seconds, at most that share, at least so many a
day. What passes none of them is Low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFact:
    """What became of one deployment, and when. `committed_at` is that of the commit it was built from."""

    deployment: str
    promotion: str
    module: str
    environment: str
    outcome: Outcome
    started_at: datetime
    at: datetime
    committed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Of durations in seconds. Percentiles by nearest rank: each is one that occurred."""

    samples: int
    p50: float | None
    p90: float | None
    band: Band | None


@dataclass(frozen=True, slots=True)
class Frequency:
    deployments: int
    per_day: float
    band: Band | None


@dataclass(frozen=True, slots=True)
class FailureRate:
    """`changes` are the deployments tried, `failures` those that failed or were undone later."""

    changes: int
    failures: int
    rate: float | None
    band: Band | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one period, from `start` to before `end`. `open_failures` have not been made good."""

    start: datetime
    end: datetime
    deployment_frequency: Frequency
    lead_time: Spread
    change_failure_rate: FailureRate
    time_to_restore: Spread
    open_failures: int


@dataclass(frozen=True, slots=True)
class _Change:
    """A deployment that was tried, and how it went on."""

    at: datetime
    is_live: bool
    lead: float | None
    is_failure: bool
    recovery: float | None


def require_period(start: datetime, end: datetime) -> None:
    if start >= end:
        raise Invalid("The period is empty.", Problem("from", "has to be before `to`", "empty_period"))
    if end - start > MAX_PERIOD:
        hint = f"ask for at most {MAX_PERIOD.days} days at a time"
        raise Invalid("The period is too long.", Problem("from", hint, "period_too_long"))


def figures(facts: Iterable[DeploymentFact], start: datetime, end: datetime) -> Figures:
    """Of the whole period, whose facts, and those of RECOVERY_HORIZON after it, are all given."""
    return _figures(list(_changes(facts)), start, end)


def by_bucket(
    facts: Iterable[DeploymentFact], start: datetime, end: datetime, bucket: Bucket
) -> tuple[Figures, ...]:
    """Of each day, week or month; also of those in which nothing happened."""
    changes = list(_changes(facts))
    return tuple(_figures(changes, *edges) for edges in buckets(start, end, bucket))


def buckets(start: datetime, end: datetime, bucket: Bucket) -> Iterator[tuple[datetime, datetime]]:
    """The parts of a period, in UTC; the first and the last are cut where the period ends."""
    at = start
    while at < end:
        after = min(_next(at, bucket), end)
        yield at, after
        at = after


def _next(at: datetime, bucket: Bucket) -> datetime:
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match bucket:
        case Bucket.DAY:
            return midnight + timedelta(days=1)
        case Bucket.WEEK:
            return midnight + timedelta(days=7 - midnight.weekday())
        case Bucket.MONTH:
            return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)


def _changes(facts: Iterable[DeploymentFact]) -> Iterator[_Change]:
    known = sorted({fact.deployment: fact for fact in facts}.values(), key=lambda fact: fact.at)
    undone: dict[str, datetime] = {}
    for fact in known:
        if fact.outcome is Outcome.UNDONE:
            undone.setdefault(fact.promotion, fact.at)
    for fact in known:
        if fact.outcome is Outcome.UNDONE:
            continue
        is_live = fact.outcome is Outcome.DEPLOYED
        undone_at = undone.get(fact.promotion) if is_live else None
        since = fact.committed_at if is_live else None
        lead = None if since is None else max((fact.at - since).total_seconds(), 0.0)
        is_failure = not is_live or undone_at is not None
        recovery = _recovery(fact, undone_at, known) if is_failure else None
        yield _Change(fact.at, is_live, lead, is_failure, recovery)


def _recovery(
    failed: DeploymentFact, undone_at: datetime | None, known: Sequence[DeploymentFact]
) -> float | None:
    """Seconds until users had what works: from when the change went live to its undoing; of a rollout that
    was turned back, from its start; of one that never ran, until one of its module did."""
    if undone_at is not None:
        return (undone_at - failed.at).total_seconds()
    if failed.outcome is Outcome.ROLLED_BACK:
        return (failed.at - failed.started_at).total_seconds()
    place = (failed.module, failed.environment)
    better = (
        fact.at
        for fact in known
        if fact.outcome is Outcome.DEPLOYED
        and fact.at >= failed.at
        and (fact.module, fact.environment) == place
    )
    found = next(better, None)
    return None if found is None else (found - failed.at).total_seconds()


def _figures(changes: Sequence[_Change], start: datetime, end: datetime) -> Figures:
    tried = [change for change in changes if start <= change.at < end]
    live = sum(change.is_live for change in tried)
    failures = [change for change in tried if change.is_failure]
    per_day = live / ((end - start).total_seconds() / DAY)
    rate = len(failures) / len(tried) if tried else None
    return Figures(
        start=start,
        end=end,
        deployment_frequency=Frequency(
            live, round(per_day, 4), _at_least(per_day, FREQUENCY_BANDS) if live else None
        ),
        lead_time=_spread([change.lead for change in tried], LEAD_TIME_BANDS),
        change_failure_rate=FailureRate(
            len(tried), len(failures), rate, None if rate is None else _at_most(rate, FAILURE_BANDS)
        ),
        time_to_restore=_spread([change.recovery for change in failures], RESTORE_BANDS),
        open_failures=sum(change.recovery is None for change in failures),
    )


def _spread(values: Iterable[float | None], bands: Sequence[tuple[Band, float]]) -> Spread:
    known = sorted(value for value in values if value is not None)
    if not known:
        return Spread(0, None, None, None)
    p50 = _percentile(known, 50)
    return Spread(len(known), p50, _percentile(known, 90), _at_most(p50, bands))


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[ceil(percent * len(ordered) / 100) - 1]


def _at_most(value: float, bands: Sequence[tuple[Band, float]]) -> Band:
    return next((band for band, limit in bands if value <= limit), Band.LOW)


def _at_least(value: float, bands: Sequence[tuple[Band, float]]) -> Band:
    return next((band for band, limit in bands if value >= limit), Band.LOW)
