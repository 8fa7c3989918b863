"""What a worker process does once: it composes the App and settles its memory."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from shared.domain.kernel.errors import DeliveryError
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.app import App

log = logging.getLogger("slipway.process")

REFRESH_EVERY = 240.0
"""Seconds."""
YOUNG = 50_000
"""Objects that may be made before a collection. Requests leave no cycles behind, and a test holds them to it:
collections find next to nothing. At Python's 2,000 they cost 5 % of a busy process, and 5 ms at a time."""


def compose(settings: Settings) -> "App":
    """The App. Takes longest of all to import, so a host indexes without it."""
    from shared.app import build_app  # noqa: PLC0415

    app = build_app(settings)
    # What is loaded by now stays until the process ends: no collection need look at it again.
    gc.freeze()
    gc.set_threshold(YOUNG)
    if app.refresh is not None:
        _tasks.append(asyncio.get_running_loop().create_task(_keep_fresh(app.refresh)))
    return app


_tasks: list[asyncio.Task[None]] = []
"""Held here: a loop alone would let them be collected."""


async def _keep_fresh(refresh: Callable[[], Awaitable[object]]) -> None:
    while True:
        await asyncio.sleep(REFRESH_EVERY)
        try:
            await refresh()
        except DeliveryError as error:
            log.warning("What the platform keeps could not be refreshed, and stays as it was: %s", error)
