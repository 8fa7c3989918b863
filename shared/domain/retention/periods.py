"""How long what is kept, in days, and when a period is over. What begins one is told beside the records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

PULL_REQUESTS, RUNS, BUILDS, RELEASES = "pull-requests", "runs", "builds", "releases"
DEFAULTS: Mapping[str, int] = {PULL_REQUESTS: 730, RUNS: 365, BUILDS: 365, RELEASES: 2557}
"""Days. A release's are for its approvals, promotions, deployments and manifests as well."""
LEAST_FOR_RELEASES = 2557
"""Seven years, with their leap days."""
GRACE = timedelta(days=1)
"""Between the end of a period and the removal. In it nothing new may refer to what is about to go, so that
nobody who looked before the end still refers to it after the removal."""


@dataclass(frozen=True, slots=True)
class Periods:
    """In days, by name."""

    days: Mapping[str, int]

    def is_over(self, name: str, since: datetime | None, now: datetime) -> bool:
        """Whether the period that began then is over. What has not ended, None, has no period yet."""
        return since is not None and now >= since + timedelta(days=self.days[name])

    def is_due(self, name: str, since: datetime | None, now: datetime) -> bool:
        """Whether it may be removed, if nothing that is kept refers to it."""
        return self.is_over(name, since, now - GRACE)

    def cutoff(self, name: str, now: datetime) -> datetime:
        """Nothing that was made after it can be due."""
        return now - GRACE - timedelta(days=self.days[name])


USUAL = Periods(DEFAULTS)
