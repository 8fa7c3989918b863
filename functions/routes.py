"""The routes of this installation, as a host has to know them before it has loaded one endpoint.

`routes.tsv` says what every endpoint declares; a test compares the two. A cold start reads the file, and the
first request of a resource loads its module.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING, NamedTuple

import azure.functions as func

import functions.api
from functions.http.entry import Answer, http_function

if TYPE_CHECKING:
    from functions.http.endpoint import Endpoint
    from functions.http.surface import Catalogue
    from shared.app import App

FILE = Path(__file__).with_suffix(".tsv")


class Route(NamedTuple):
    """One line. `name` is the function's; `module` declares the endpoint when it is imported."""

    surface: str
    method: str
    path: str
    name: str
    scope: str
    module: str


def routes() -> Iterator[Route]:
    """What the file says."""
    return (Route(*line.split("\t")) for line in FILE.read_text().splitlines())


def route_of(endpoint: "Endpoint") -> Route:
    """What an endpoint declares."""
    module = endpoint.handler.__module__
    return Route(endpoint.surface, endpoint.method, endpoint.path, endpoint.name, endpoint.scope, module)


def written(lines: Iterable[Route]) -> str:
    """The file's text."""
    return "".join("\t".join(line) + "\n" for line in lines)


def declared() -> "Catalogue":
    """Every surface with all of its endpoints: loads what a cold start leaves."""
    from functions.http.surface import SURFACES  # noqa: PLC0415

    for module in walk_packages(functions.api.__path__, f"{functions.api.__name__}."):
        import_module(module.name)
    return SURFACES


def register(app: func.FunctionApp, get_app: "Callable[[], App]") -> None:
    """Add one HTTP-triggered function per route. `get_app` is called per request, never here."""
    for route in routes():
        http_function(app, route.name, route.method, route.path, partial(_answering, route, get_app))


def _answering(route: Route, get_app: "Callable[[], App]") -> Answer:
    import_module(route.module)
    from functions.http.serve import serve  # noqa: PLC0415
    from functions.http.surface import SURFACES  # noqa: PLC0415

    return partial(serve, SURFACES[route.surface].endpoint(route.name), get_app)
