"""The lightest authenticated GET there can be: what the kit itself costs a warm call."""

from bench.ours.endpoints import measured
from functions.http.endpoint import Call
from functions.http.fields import View
from shared.domain.kernel.actor import Actor


class CallerView(View):
    subject: str
    tenant: str


@measured.get("/callers/me", scope="devops.releases.read", returns=CallerView)
async def get_caller(call: Call) -> Actor:
    """Say who calls."""
    return call.actor
