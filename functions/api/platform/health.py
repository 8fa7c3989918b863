"""Whether this installation is up, and whether it can serve."""

from typing import Literal

from functions.api.platform.surface import VERSION, platform
from functions.http.endpoint import Call
from functions.http.fields import View
from shared.domain.kernel.policy import PUBLIC


class HealthView(View):
    status: Literal["healthy", "ready"]
    version: str


HEALTHY = HealthView(status="healthy", version=VERSION)
READY = HealthView(status="ready", version=VERSION)


@platform.get("/health", scope=PUBLIC, returns=HealthView)
async def health(call: Call) -> HealthView:
    """Say that the process answers."""
    return HEALTHY


@platform.get("/ready", scope=PUBLIC, returns=HealthView)
async def ready(call: Call) -> HealthView:
    """Say whether the store answers, so that a balancer sends work here."""
    await call.app.store.ready()
    return READY
