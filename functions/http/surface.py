"""Surfaces: decorators that turn typed handlers into HTTP-triggered functions, one function each."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Unpack

import azure.functions as func

from functions.http.dialects import Dialect
from functions.http.endpoint import Endpoint, Handler, Options, declare
from functions.http.entry import Answer, http_function
from functions.http.serve import serve

if TYPE_CHECKING:
    from shared.app import App

type Catalogue = dict[str, "Surface"]
type GetApp = Callable[[], "App"]

SURFACES: Catalogue = {}
"""Every surface of this installation whose modules are loaded, by name; `functions.routes` loads all."""


class Surface:
    """One API in one dialect. `prefix` stands before every path of it, as in `/v1`.

    A declaration that is wrong, or that a surface of the catalogue has already, raises TypeError at import.
    """

    def __init__(
        self, name: str, *, title: str, dialect: Dialect, prefix: str = "", catalogue: Catalogue = SURFACES
    ) -> None:
        if name in catalogue:
            raise TypeError(f"two surfaces are called {name}")
        self.name = name
        self.title = title
        self.dialect = dialect
        self.prefix = prefix
        self.endpoints: list[Endpoint] = []
        self._taken: dict[str, Endpoint] = {}
        self._catalogue = catalogue
        catalogue[name] = self

    def get[H: Handler](self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        return self._verb("GET", path, options)

    def post[H: Handler](self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        return self._verb("POST", path, options)

    def put[H: Handler](self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        return self._verb("PUT", path, options)

    def delete[H: Handler](self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        return self._verb("DELETE", path, options)

    def register(self, app: func.FunctionApp, get_app: GetApp) -> None:
        """Add one HTTP-triggered function per endpoint. `get_app` is called per request, never here."""
        for endpoint in self.endpoints:
            answering = partial(_answering, endpoint, get_app)
            http_function(app, endpoint.name, endpoint.method, endpoint.path, answering)

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint whose function is called that."""
        return self._taken[name]

    def _verb[H: Handler](self, method: str, path: str, options: Options) -> Callable[[H], H]:
        def add(handler: H) -> H:
            endpoint = declare(handler, self.name, self.dialect, method, self.prefix, path, **options)
            for key in (endpoint.shape, endpoint.name):
                for surface in self._catalogue.values():
                    if other := surface._taken.get(key):
                        raise TypeError(
                            f"{endpoint.name} ({method} {endpoint.path}): {other.name} is declared as"
                            f" {other.method} {other.path} already"
                        )
                self._taken[key] = endpoint
            self.endpoints.append(endpoint)
            return handler

        return add


def _answering(endpoint: Endpoint, get_app: GetApp) -> Answer:
    return partial(serve, endpoint, get_app)


def endpoint_table(catalogue: Catalogue) -> tuple[Endpoint, ...]:
    """Every endpoint of every surface, by surface, path and method."""
    endpoints = [endpoint for surface in catalogue.values() for endpoint in surface.endpoints]
    return tuple(sorted(endpoints, key=lambda one: (one.surface, one.path, one.method)))
