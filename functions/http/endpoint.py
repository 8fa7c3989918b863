"""One endpoint as its declaration says: read once from the handler's signature, checked when imported."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    Required,
    TypedDict,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)
from urllib.parse import urlsplit

from pydantic import BaseModel, TypeAdapter
from pydantic.alias_generators import to_snake

from functions.http.deprecation import farewell
from functions.http.dialects import JSON, Dialect
from functions.http.fields import Body, ListQuery, View
from functions.http.limits import MAX_BODY_BYTES
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.policy import PUBLIC
from shared.services.once import Once
from shared.services.trace import Trace
from shared.services.unit import Page

if TYPE_CHECKING:
    from shared.app import App

type Handler = Callable[..., Awaitable[object]]

_SCOPE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}")
_PATH = re.compile(r"(/([A-Za-z0-9._-]+|\{[A-Za-z][A-Za-z0-9]*\}))+")


class Received(NamedTuple):
    """What arrived, for the few handlers that need more than typed arguments. Header names are lower-case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


class Call(NamedTuple):
    """Who calls, with what to do it, and what the headers asked for.

    `once` is there when the caller sent an Idempotency-Key. Hand it to the one service call that has the
    effect: what its turn returns is rendered and kept, and is the answer. `if_match` is the revision of
    If-Match.
    """

    actor: Actor
    app: "App"
    once: Once | None
    if_match: int | None
    trace: Trace
    request: Received


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not a view: bytes as they are."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]
    status: int = 200


@dataclass(frozen=True)
class PathParam:
    """`name` as in the route, `argument` as in the handler."""

    name: str
    argument: str
    annotation: Any

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        # Built on first use, as every schema: a cold start declares all endpoints and serves one.
        return TypeAdapter(self.annotation)


@dataclass(frozen=True)
class Endpoint:
    """Everything the kit needs to serve and to document one endpoint. `path` has the surface's prefix;
    `result` is what the handler says it returns; `farewell` are the headers of a deprecated endpoint."""

    surface: str
    dialect: Dialect
    name: str
    method: str
    path: str
    handler: Handler
    scope: str
    status: int
    summary: str
    description: str
    view: type[View] | None
    result: Any
    paged: bool
    params: tuple[PathParam, ...]
    body: type[BaseModel] | None
    raw_body: bool
    query: type[ListQuery] | None
    items: str
    consumes: tuple[str, ...]
    location: str | None
    examples: Mapping[str, object] | None
    max_body_bytes: int
    deprecated: str | None
    farewell: Mapping[str, str]

    @cached_property
    def views(self) -> TypeAdapter[Any]:
        """The views of one page's items."""
        return TypeAdapter(list[self.view])  # type: ignore[name-defined]

    @property
    def is_public(self) -> bool:
        return self.scope == PUBLIC

    @property
    def reads_if_match(self) -> bool:
        """Whether the handler decides on the caller's revision: it says `call.if_match`."""
        return "if_match" in self.handler.__code__.co_names

    @property
    def shape(self) -> str:
        """Two endpoints of one shape would answer the same requests; routes ignore case."""
        return f"{self.method} {_PLACEHOLDER.sub('{}', self.path).lower()}"


class Options(TypedDict, total=False):
    """What a decorator says beside verb and path."""

    scope: Required[str]
    """What the caller must be granted, or PUBLIC."""
    returns: type[View] | None
    """The view of the result, or of each item of a Page; None for 204 and for Raw."""
    status: int
    """Of success; 200 unless told."""
    items: str
    """What a list calls its items, in the dialects that let it; `items` unless told."""
    consumes: tuple[str, ...]
    """Media types of the request body; `application/json` unless told."""
    location: str
    """Path of what was made: `{id}` is the wire id of the view's first field, beside route parameters."""
    examples: Mapping[str, object]
    """An example body, for the OpenAPI document."""
    max_body_bytes: int
    """10 MB unless told."""
    deprecated: str
    """Since when, and until when it is served, as in `2026-06-30/2026-12-31`."""


def declare(
    handler: Handler,
    surface: str,
    dialect: Dialect,
    method: str,
    prefix: str,
    path: str,
    **options: Unpack[Options],
) -> Endpoint:
    """The endpoint that a decorated handler declares. Raises TypeError that names it where they disagree."""
    name, path = f"{surface}_{handler.__name__}", prefix + path
    scope, returns, status = options["scope"], options.get("returns"), options.get("status", 200)

    def wrong(reason: str) -> TypeError:
        return TypeError(f"{name} ({method} {path}): {reason}")

    if scope != PUBLIC and not _SCOPE.fullmatch(scope):
        raise wrong(f"{scope!r} is no scope; write a dotted one, or PUBLIC")
    if not _PATH.fullmatch(path):
        raise wrong("the path must be `/segments` with `{camelCase}` parameters")
    signature = _read_signature(handler, method, path, wrong)
    body = signature.body
    _check_answer(wrong, options, signature.result, [param.name for param in signature.params])
    deprecated = options.get("deprecated")
    try:
        leaving = farewell(deprecated) if deprecated else {}
    except ValueError as error:
        raise wrong(f"`deprecated` {error}") from None

    summary, _, description = signature.documentation.partition("\n")
    return Endpoint(
        surface=surface,
        dialect=dialect,
        name=name,
        method=method,
        path=path,
        handler=handler,
        scope=scope,
        status=status,
        summary=summary.strip(),
        description=description.strip(),
        view=returns,
        result=signature.result,
        paged=get_origin(signature.result) is Page,
        params=signature.params,
        body=None if body is bytes else body,
        raw_body=body is bytes,
        query=signature.query,
        items=options.get("items", "items"),
        consumes=options.get("consumes", (JSON,)),
        location=prefix + location if (location := options.get("location")) else None,
        examples=options.get("examples"),
        max_body_bytes=options.get("max_body_bytes", MAX_BODY_BYTES),
        deprecated=deprecated,
        farewell=leaving,
    )


class _Signature(NamedTuple):
    """What the handler itself says."""

    documentation: str
    result: Any
    params: tuple[PathParam, ...]
    body: Any
    query: type[ListQuery] | None


def _read_signature(
    handler: Handler, method: str, path: str, wrong: Callable[[str], TypeError]
) -> _Signature:
    if not inspect.iscoroutinefunction(handler):
        raise wrong("the handler must be `async def`")
    documentation = inspect.getdoc(handler)
    if not documentation:
        raise wrong("the handler needs a docstring; its first line is the summary callers read")
    hints = get_type_hints(handler, include_extras=True)
    arguments = list(inspect.signature(handler).parameters)
    if unknown := [argument for argument in [*arguments, "return"] if argument not in hints]:
        raise wrong(f"no annotation for {', '.join(unknown)}")
    if not arguments or hints[arguments[0]] is not Call:
        raise wrong("the first parameter must be `call: Call`")
    placeholders = _PLACEHOLDER.findall(path)
    in_route = [to_snake(placeholder) for placeholder in placeholders]
    in_handler = [argument for argument in arguments[1:] if argument not in {"body", "query"}]
    if in_route != in_handler:
        raise wrong(f"the route has parameters {in_route}, the handler {in_handler}, in this order")

    body, query = hints.get("body"), hints.get("query")
    if body is not None and body is not bytes and not _is_model(body, Body):
        raise wrong("`body` must be a Body model or bytes")
    if query is not None and not _is_model(query, ListQuery):
        raise wrong("`query` must be a Query model")
    if body is not None and method == "GET":
        raise wrong("a GET takes no body")
    params = tuple(
        PathParam(placeholder, argument, hints[argument])
        for placeholder, argument in zip(placeholders, in_handler, strict=True)
    )
    return _Signature(documentation, hints["return"], params, body, query)


def _is_model(annotation: object, base: type[BaseModel]) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, base)


def _check_answer(
    wrong: Callable[[str], TypeError], options: Options, result: object, placeholders: list[str]
) -> None:
    returns, status, location = options.get("returns"), options.get("status"), options.get("location")
    if returns is not None and not _is_model(returns, View):
        raise wrong("`returns` must be a View model")
    if status == 204 and returns is not None:
        raise wrong("204 has no body; say returns=None")
    if returns is None and status != 204 and Raw not in (result, *get_args(result)):
        raise wrong("say which view it returns, or 204, or return Raw")
    if location is not None:
        if returns is None:
            raise wrong("a location needs the view whose id it names")
        if extra := set(_PLACEHOLDER.findall(location)) - {"id", *placeholders}:
            raise wrong(f"the location names {', '.join(sorted(extra))}, which nobody knows")
