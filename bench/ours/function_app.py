"""The measured Functions app: the real composition, one HTTP-triggered function per measured endpoint, and a
bare function to compare a warm call with."""

from functools import cache

import azure.functions as func

import bench.ours.callers  # noqa: F401 - declares its endpoint
from bench.ours.endpoints import measured
from functions.http.logs import configure_logging
from functions.process import compose
from shared.app import App
from shared.settings import Settings

settings = Settings.load()
configure_logging(settings.log_level)


@cache
def composition() -> App:
    """The one App of this process."""
    return compose(settings)


app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
measured.register(app, composition)


@app.route(route="bare", methods=["GET"])
async def bare(req: func.HttpRequest) -> func.HttpResponse:
    """What a function costs that does nothing."""
    return func.HttpResponse(b'{"subject":"service:caller-0","tenant":"acme"}', mimetype="application/json")
