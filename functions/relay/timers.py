"""Timers: what has to happen although nobody asks."""

import logging
from typing import TYPE_CHECKING

from functions.http.logs import with_fields
from shared.domain.kernel.errors import DeliveryError

if TYPE_CHECKING:
    from shared.app import App

log = logging.getLogger("slipway.timers")


async def sweep_source(app: "App") -> int:
    """Record the ref moves whose recording was lost (the process died, the store was away); returns how many.

    One that cannot be recorded stays in the host's journal, is named in the log, and does not stop the
    others.
    """
    recorded = 0
    for update in await app.source_host.pending():
        try:
            await app.branches.record_update(update)
            recorded += 1
        except DeliveryError as error:
            facts = {"tenant": update.place.tenant, "branch": update.branch, "code": error.code}
            log.warning(
                "a moved branch could not be recorded yet: %s", error.message, extra=with_fields(**facts)
            )
    return recorded
