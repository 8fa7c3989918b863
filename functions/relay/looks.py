"""The timer of looks: every environment where anything was promoted is to be compared with git. Sends the
commands and looks at nothing itself.

They go to the bus without an outbox, because nothing was decided: one that is lost is made up by the next.
"""

import logging
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from functions.http.logs import with_fields
from functions.relay.outbox import to_message
from shared.domain.environments.model import Environment
from shared.domain.gitops.drift import check_drift
from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.errors import DeliveryError
from shared.names import GITOPS
from shared.services.trace import Trace, new_trace

if TYPE_CHECKING:
    from shared.app import App

log = logging.getLogger("slipway.timers")

_IDS = uuid.UUID("6f6d1c5a-5f0e-5d0b-9a55-2c41d1f0b7a3")


async def sweep_environments(app: "App") -> int:
    """Ask for a look at every environment of every tenant; how many messages that took.

    A tenant whose environments cannot be read is named in the log and does not stop the others.
    """
    sent, trace = 0, new_trace()
    for tenant in await app.tenants.list():
        actor = system_actor(tenant, "gitops")
        try:
            async for environment, after in app.drifts.due(actor):
                body = command(actor, environment, after, app.clock.now(), trace)
                await app.bus.send(GITOPS, [to_message(body)])
                sent += 1
        except DeliveryError as error:
            facts = {"tenant": tenant, "code": error.code}
            log.warning("no look was asked for: %s", error.message, extra=with_fields(**facts))
    return sent


def command(
    actor: Actor, environment: Environment, after: str, now: datetime, trace: Trace
) -> dict[str, Any]:
    """One turn of a look, as the outbox would have it. Its id is that of the minute, so that two timers at
    once ask for one."""
    event = check_drift(environment.name, after)
    minute = now.replace(second=0, microsecond=0).isoformat()
    return {
        "eventId": f"evt-{uuid.uuid5(_IDS, f'{environment.id} {after} {minute}')}",
        "eventType": event.type,
        "tenantId": actor.tenant,
        "traceId": trace.wire_id,
        "correlationId": trace.correlation_id,
        "occurredAt": now.isoformat().replace("+00:00", "Z"),
        "payload": {**event.payload, "actor": actor.subject},
        "session": str(Environment.__record__.root_of(environment.id)),
    }
