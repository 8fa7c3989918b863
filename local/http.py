"""The HTTP front of the local host: an ASGI application that hands requests to mounts, admin and functions.

It knows nothing of what a function does. Authorisation levels are not enforced here, as on the real host
when it runs locally. A function that fails answers an empty 500; why goes to the log only.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from local.routes import Routes
from local.worker import Function, HttpCall, HttpResult, InvocationFailed

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 100 * 1024 * 1024
"""What the real host accepts; an app with a smaller limit checks it itself."""

log = logging.getLogger("slipway.host")

NOT_FOUND: Final = HttpResult(404, (), b"")
TOO_LARGE: Final = HttpResult(413, ((b"connection", b"close"),), b"")
FAILED: Final = HttpResult(500, (), b"")


class Engine(Protocol):
    """What answers HTTP functions."""

    async def invoke_http(self, function: Function, call: HttpCall) -> HttpResult: ...


class BodyTooLarge(Exception):
    """The request's body is above the host's limit."""


class ClientGone(Exception):
    """The caller hung up before the request was whole."""


def build_routes(functions: Iterable[Function], prefix: str) -> Routes[Function]:
    """The HTTP functions' routes. Raises BadRoute."""
    routes: Routes[Function] = Routes()
    for function in functions:
        if function.kind == "httpTrigger":
            template = "/".join(
                filter(None, (prefix, function.trigger.get("route", function.name).strip("/")))
            )
            routes.add(template, function.trigger.get("methods") or None, function)
    return routes


@dataclass(frozen=True, slots=True)
class Front:
    """`mounts` are (path prefix, application) in the order they are asked; a mount sees the full path."""

    engine: Engine
    routes: Routes[Function]
    mounts: Sequence[tuple[str, Asgi]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        for prefix, application in self.mounts:
            if path.startswith(prefix):
                return await application(scope, receive, send)
        matched = self.routes.match(scope["method"], raw_path(scope))
        if matched is None:
            return await respond(send, scope, NOT_FOUND)
        try:
            body = await read_body(scope, receive)
        except BodyTooLarge:
            return await respond(send, scope, TOO_LARGE)
        except ClientGone:
            return None
        call = _call(scope, dict(matched.params), body)
        try:
            result = await self.engine.invoke_http(matched.target, call)
        except InvocationFailed as failure:
            log.error("%s failed: %s\n%s", matched.target.name, failure.message, failure.trace.rstrip())
            result = FAILED
        return await respond(send, scope, result)


def raw_path(scope: Scope) -> str:
    """The path as the caller wrote it, so that an encoded slash is not taken for a separator."""
    raw: bytes | None = scope.get("raw_path")
    return scope["path"] if raw is None else raw.decode("latin-1")


async def read_body(scope: Scope, receive: Receive, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body, chunked ones too. Raises BodyTooLarge, or ClientGone when it never comes."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            raise BodyTooLarge
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole: bytes = message.get("body", b"")
        if len(whole) > limit:
            raise BodyTooLarge
        return whole
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > limit:
            raise BodyTooLarge
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()
    raise ClientGone


async def respond(send: Send, scope: Scope, result: HttpResult) -> None:
    """Send a whole response. HEAD and statuses without content carry headers only."""
    bare = result.status in {204, 304} or result.status < 200
    headers = [pair for pair in result.headers if pair[0] != b"content-length"]
    if not bare:
        headers.append((b"content-length", b"%d" % len(result.body)))
    await send({"type": "http.response.start", "status": result.status, "headers": headers})
    body = b"" if bare or scope["method"] == "HEAD" else result.body
    await send({"type": "http.response.body", "body": body})


def _call(scope: Scope, params: dict[str, str], body: bytes) -> HttpCall:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    query_string = scope["query_string"].decode("latin-1")
    query: dict[str, str] = {}
    if query_string:
        for name, value in parse_qsl(query_string):
            query[name] = f"{query[name]},{value}" if name in query else value
    host, path = headers.get("host", "localhost"), raw_path(scope)
    url = f"{scope['scheme']}://{host}{path}"
    if query_string:
        url = f"{url}?{query_string}"
    return HttpCall(scope["method"], url, headers, query, params, body)
