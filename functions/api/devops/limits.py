"""The limits that hold for the caller, and what it has left of them."""

from datetime import UTC, datetime

from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from functions.http.fields import View
from shared.domain.limits.model import UNMETERED, published


class RequestRateView(View):
    """`remaining` is what was left when this request had been counted."""

    per_minute: int
    burst: int
    remaining: int
    resets_at: datetime


class LimitView(View):
    name: str
    limit: int
    unit: str
    per: str


class LimitsView(View):
    """`requests` is left out where they are not counted."""

    tier: str
    requests: RequestRateView | None
    limits: tuple[LimitView, ...]


@devops.get("/limits", scope="devops.limits.read", returns=LimitsView)
async def show_limits(call: Call) -> LimitsView:
    """Show the caller's limits, and what is left of its requests."""
    rate, standing = call.app.limits.rate_of(call.actor), call.app.limits.standing(call.actor)
    limits = tuple(LimitView.model_validate(each) for each in published(call.app.settings.run_limit))
    if rate is None or standing is None:
        return LimitsView(tier=UNMETERED, requests=None, limits=limits)
    requests = RequestRateView(
        per_minute=rate.limit,
        burst=rate.burst,
        remaining=standing.remaining,
        resets_at=datetime.fromtimestamp(standing.reset, UTC),
    )
    return LimitsView(tier=rate.tier, requests=requests, limits=limits)
