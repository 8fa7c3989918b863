"""The FunctionApp: registers routes and background functions by role. No logic."""

from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

from functions import background, routes
from functions.http.logs import configure_logging
from functions.process import compose
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.app import App

settings = Settings.load()
configure_logging(settings.log_level)


@cache
def composition() -> "App":
    """The one App of this process, made on first use: a host indexes all functions before it calls one."""
    return compose(settings)


app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
if settings.role in ("api", "all"):
    routes.register(app, composition)
if settings.role in ("worker", "all"):
    background.register(
        app,
        composition,
        sweep=settings.sweep_schedule,
        drift=settings.drift_schedule,
        has_vendors=bool(settings.vendor_tenants),
        has_secret_news=settings.platform == "azure",
        elsewhere=settings.job_queues,
    )
