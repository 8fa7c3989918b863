"""How the deployments of one module into one environment go, kept as they happen: what a gauge is told
without counting the past again. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice

from shared.domain.metrics.performance import DeploymentFact, Outcome

WINDOW = timedelta(days=30)
"""Of the failure rate, up to the day of the latest deployment."""
MAX_LIVE = 50
"""Deployments that can be undone still, and failures that wait for a better one: the newest."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`days` are changes and failures among them, by the day of the deployment; `live` when the deployments
    of promotions succeeded; `broken` failures that nothing has made good."""

    days: Mapping[date, tuple[int, int]] = field(default_factory=dict)
    live: Mapping[str, datetime] = field(default_factory=dict)
    broken: tuple[datetime, ...] = ()

    @property
    def failure_rate(self) -> float | None:
        """The share of changes that failed or were undone; None without a change."""
        changes = sum(tried for tried, _ in self.days.values())
        failures = sum(failed for _, failed in self.days.values())
        return failures / changes if changes else None


def after(standing: Standing, fact: DeploymentFact) -> tuple[Standing, tuple[float, ...]]:
    """The standing with one more fact, in the order of time, and the seconds that each recovery it brings has
    taken."""
    match fact.outcome:
        case Outcome.DEPLOYED:
            recovered = tuple((fact.at - since).total_seconds() for since in standing.broken)
            live = dict(islice({fact.promotion: fact.at, **standing.live}.items(), MAX_LIVE))
            return replace(_counted(standing, fact.at, 1, 0), live=live, broken=()), recovered
        case Outcome.FAILED:
            broken = (*standing.broken, fact.at)[-MAX_LIVE:]
            return replace(_counted(standing, fact.at, 1, 1), broken=broken), ()
        case Outcome.ROLLED_BACK:
            return _counted(standing, fact.at, 1, 1), ((fact.at - fact.started_at).total_seconds(),)
        case Outcome.UNDONE:
            since = standing.live.get(fact.promotion)
            if since is None:
                return standing, ()
            live = {promotion: at for promotion, at in standing.live.items() if promotion != fact.promotion}
            return replace(_counted(standing, since, 0, 1), live=live), ((fact.at - since).total_seconds(),)


def _counted(standing: Standing, at: datetime, changes: int, failures: int) -> Standing:
    days = dict(standing.days)
    tried, failed = days.get(at.date(), (0, 0))
    days[at.date()] = (tried + changes, failed + failures)
    oldest = max(days) - WINDOW
    return replace(standing, days={day: counts for day, counts in days.items() if day > oldest})
