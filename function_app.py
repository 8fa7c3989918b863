"""The FunctionApp: registers surfaces, workers, relay and timers by role. No logic."""

from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

import functions.api.devops
import functions.http.health  # noqa: F401 - declares health, readiness and the API documents
from functions.http.logs import configure_logging
from functions.http.surface import SURFACES
from functions.relay import outbox, timers, views
from functions.workers import CONSUMERS
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.app import App

settings = Settings.load()
configure_logging(settings.log_level)


@cache
def composition() -> "App":
    """The one App of this process, made on first use: a host indexes all functions before it calls one, and
    the adapters take longest to import."""
    from shared.app import build_app  # noqa: PLC0415

    return build_app(settings)


app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
if settings.role in ("api", "all"):
    for surface in SURFACES.values():
        surface.register(app, composition)
if settings.role in ("worker", "all"):
    for consumer in CONSUMERS:
        consumer.register(app, composition)
    outbox.register(app, composition)
    views.register(app, composition)
    timers.register(app, composition)
