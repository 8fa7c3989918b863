"""What one caller may use: the tiers of the request rate, and every other limit with what it counts for."""

from collections.abc import Mapping
from dataclasses import dataclass

MINUTE = 60_000_000
"""Times and spans here are whole microseconds, since 1970, so that they compare exactly."""

REQUEST_BYTES = 10 * 1024 * 1024
RESPONSE_BYTES = 50 * 1024 * 1024
PAGE_ITEMS = 100
CONCURRENT_DEPLOYMENTS = 50
"""An environment lets one deployment in at a time, so a ladder of at most so many environments holds this."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a principal may make: `limit` in a minute, `burst` of them at once."""

    tier: str
    limit: int
    burst: int

    @property
    def interval(self) -> int:
        """Between two requests at an even pace; rounded up, so that rounding never admits more."""
        return -(-MINUTE // self.limit)

    @property
    def grace(self) -> int:
        """What one instance admits in a minute before it asks the others: one in a hundred."""
        return self.limit // 100

    @property
    def chunk(self) -> int:
        """The most that one lease holds, and so the most that a crashed instance takes with it."""
        return self.burst // 4


STANDARD = Rate("standard", limit=1000, burst=100)
PREMIUM = Rate("premium", limit=5000, burst=500)
RATES: Mapping[str, Rate] = {rate.tier: rate for rate in (STANDARD, PREMIUM)}
UNMETERED = "unmetered"
"""A tenant whose requests are not counted. Only the operator's table can say so, never a token."""
EVERY_TENANT = "*"
"""The row of the operator's table for tenants without one."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Which tier a caller has: the one its token names, else its tenant's, else the standard one."""

    tenants: Mapping[str, str]

    def rate_of(self, tenant: str, claimed: str | None) -> Rate | None:
        """None where requests are not counted. A tier that nobody knows is as none."""
        if claimed is not None and (rate := RATES.get(claimed)) is not None:
            return rate
        tier = self.tenants.get(tenant) or self.tenants.get(EVERY_TENANT, STANDARD.tier)
        return RATES.get(tier)


@dataclass(frozen=True, slots=True)
class Limit:
    """One published limit: at most `limit` of `unit` for each `per`."""

    name: str
    limit: int
    unit: str
    per: str


def published(runs_per_repository: int) -> tuple[Limit, ...]:
    """Every limit beside the request rate. Each is held where the thing it counts is made."""
    return (
        Limit("concurrentRuns", runs_per_repository, "pipeline runs", "repository"),
        Limit("concurrentDeployments", CONCURRENT_DEPLOYMENTS, "deployments", "tenant"),
        Limit("requestBody", REQUEST_BYTES, "bytes", "request"),
        Limit("responseBody", RESPONSE_BYTES, "bytes", "response"),
        Limit("pageSize", PAGE_ITEMS, "items", "page"),
    )
