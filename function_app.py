"""The FunctionApp: registers routes and background functions by role. No logic."""

from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

from functions import background, routes
from functions.http.logs import configure_logging
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
    routes.register(app, composition)
if settings.role in ("worker", "all"):
    background.register(app, composition)
