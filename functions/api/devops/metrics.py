"""Numbers to steer by, over HTTP."""

from functions.api.devops.models_metrics import DoraQuery, DoraView
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.services.performance import Performance


@devops.get("/metrics/dora", scope="devops.metrics.read", returns=DoraView)
async def show_dora_metrics(call: Call, query: DoraQuery) -> Performance:
    """Show lead time, deployment frequency, change failure rate and time to restore."""
    environment = call.app.environments.resolve(query.environment).name
    return await call.app.performance.show(call.actor, query.about(environment))
