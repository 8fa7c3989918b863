"""What a worker process does once: it composes the App and settles its memory."""

import gc
from typing import TYPE_CHECKING

from shared.settings import Settings

if TYPE_CHECKING:
    from shared.app import App

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
    return app
