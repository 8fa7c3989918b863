"""One request from top to bottom. The only place that knows the order."""

import json
import logging
import re
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

import azure.functions as func

from functions.http import binding, caller, limits, replay
from functions.http.dialects import JSON, Occurrence
from functions.http.endpoint import Call, Endpoint, Received
from functions.http.errors import UNKNOWN, Failure, NotAcceptable, UnsupportedMediaType, failure_of
from functions.http.logs import REQUESTS, with_fields
from functions.http.media import Offer, choose, is_taken
from functions.http.render import Answer, render, unless_known
from functions.http.response import Response
from functions.http.tracing import Ended, open_span, tell, trace_from, traceparent_of
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import DeliveryError
from shared.ports.telemetry import NOTHING, OFF, Span
from shared.services.limits import Standing
from shared.services.once import AlreadyDone
from shared.services.trace import CURRENT, Trace

if TYPE_CHECKING:
    from shared.app import App

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


async def serve(endpoint: Endpoint, get_app: "Callable[[], App]", req: func.HttpRequest) -> func.HttpResponse:
    """Answer one request, whatever happens in it.

    ```
    HTTP ─► entry ─► serve
      1  trace           traceparent continued or minted; CURRENT for everything below; its span opens
      2  size            Content-Length and real length                                   413
      3  authenticate    bearer token ─► claims ─► Actor                                  401 503
      4  rate            one request of what the caller may make, before all that costs   429
      5  scope           endpoint.scope among the actor's grants                          403
      6  representation  Accept ─► version and type; Content-Type                         406 415
      7  bind            path, then query, headers and body all at once                   404 400
      8  tenant          the body may not name another than the token's                   403
      9  once            Idempotency-Key: running now, another request, stored answer     409 422
     10  handler         one call to one service method                                   404 409 412 422
     11  render          view, ETag, Location; or the very bytes that the marker stored   304
      ·  any error       its kind's row in errors.STATUS, in the dialect's shape; unknown: opaque 500
      ·  always          traceparent, what is left of the rate, no-store, nosniff, one log line, the span ends
    ```
    """
    started = perf_counter()
    # The SDK keeps a dict of lower-case names; through its mapping each name costs two calls.
    headers = dict(getattr(req.headers, "__http_headers__", req.headers))
    trace = trace_from(headers.get("traceparent"))
    outer = CURRENT.set(trace)
    received = Received(req.method, req.url, headers, req.get_body())
    progress = _Progress()
    try:
        try:
            answer = await _answer(endpoint, get_app, req, received, trace, progress)
            response = _respond(endpoint, answer, received, trace, progress)
        except DeliveryError as error:
            failure = failure_of(error, endpoint.dialect.statuses)
            response = _fail(endpoint, failure, received, trace, progress)
            progress.code = error.code
            progress.error = error if failure.status >= 500 else None
        except Exception as error:  # noqa: BLE001 - the last line of defence: opaque outside, logged here
            response = _fail(endpoint, UNKNOWN, received, trace, progress)
            progress.code = type(error).__name__
            progress.error = error
        seconds = perf_counter() - started
        _log(endpoint, response.status_code, progress, seconds)
        if progress.span is not NOTHING and (app := progress.app) is not None:
            tenant = progress.actor.tenant if progress.actor is not None else None
            ended = Ended(response.status_code, progress.code, tenant, seconds)
            tell(app.telemetry, endpoint, progress.span, ended)
        return response
    finally:
        progress.span.end()
        CURRENT.reset(outer)


class _Progress:
    """What is known of a request so far, for its log line, its span and the shape of its error."""

    __slots__ = ("actor", "app", "code", "error", "span", "standing")

    def __init__(self) -> None:
        self.app: App | None = None
        self.actor: Actor | None = None
        self.code: str | None = None
        self.error: Exception | None = None
        self.span: Span = NOTHING
        self.standing: Standing | None = None


async def _answer(
    endpoint: Endpoint,
    get_app: "Callable[[], App]",
    req: func.HttpRequest,
    received: Received,
    trace: Trace,
    progress: _Progress,
) -> Answer:
    headers, route = received.headers, req.route_params
    app = progress.app = get_app()
    if app.telemetry is not OFF:
        progress.span = open_span(app.telemetry, endpoint, trace)
    limits.check_size(headers, received.body, endpoint.max_body_bytes)
    actor = progress.actor = await caller.authenticate(app, endpoint, headers)
    if not endpoint.is_public:
        progress.standing = await app.limits.admit(actor)
        limits.check_rate(progress.standing)
    caller.authorise(endpoint, actor)
    offer = _representation(endpoint, received)
    bound = binding.bind(endpoint, received, route, req.params, app.signer, actor.tenant)
    caller.check_tenant(endpoint, actor, bound)

    def rendered(result: object) -> Answer:
        return render(endpoint, offer, route, bound.cursors, result)

    if bound.key is None or endpoint.is_public:
        call = Call(actor, app, None, bound.if_match, trace, received)
        answer = rendered(await endpoint.handler(call, *bound.path, **bound.arguments))
        return unless_known(answer, headers.get("if-none-match")) if endpoint.method == "GET" else answer
    once = replay.HttpOnce(endpoint, actor, received, bound, bound.key, rendered)
    with replay.only_one(once):
        call = Call(actor, app, once, bound.if_match, trace, received)
        try:
            async with replay.bound_key(app, actor, endpoint, once):
                result = await endpoint.handler(call, *bound.path, **bound.arguments)
        except AlreadyDone as done:
            return replay.stored_answer(done.marker)
    return once.answer or rendered(result)


def _representation(endpoint: Endpoint, received: Received) -> Offer:
    """How to answer. Not negotiated: what a Raw answer will be, and what probes and vendors get."""
    dialect = endpoint.dialect
    offer = choose(dialect.offers, received.headers.get("accept", ""))
    is_negotiated = not endpoint.is_public and (endpoint.view is not None or endpoint.status == 204)
    if offer is None and is_negotiated:
        raise NotAcceptable(
            f"We answer with {' or '.join(one.content_type for one in dialect.offers)};"
            " accept that, or leave Accept out.",
            supported=dialect.versions,
        )
    if (endpoint.body is not None and received.body) or endpoint.raw_body:
        # A typeless JSON body is taken for JSON, as RFC 9110 section 8.3 lets us; raw bytes have to say.
        content_type = received.headers.get("content-type", "" if endpoint.raw_body else JSON)
        if not is_taken(content_type, endpoint.consumes) or _is_encoded(received):
            raise UnsupportedMediaType(
                f"Send the body as {' or '.join(endpoint.consumes)}, in UTF-8 and not compressed.",
                supported=list(endpoint.consumes),
            )
    return offer or dialect.offers[0]


def _is_encoded(received: Received) -> bool:
    return received.headers.get("content-encoding", "identity").strip().lower() != "identity"


def _fail(
    endpoint: Endpoint, failure: Failure, received: Received, trace: Trace, progress: _Progress
) -> func.HttpResponse:
    dialect = endpoint.dialect
    at = progress.app.clock.now() if progress.app is not None else None
    where = Occurrence(received.path, trace.wire_id, _request_id(received, trace), at)
    body = json.dumps(dialect.error(failure, where), ensure_ascii=False, default=str).encode()
    headers = dict(failure.headers)
    if dialect.takes_basic and "WWW-Authenticate" in headers:
        # Some package managers send their password only when they are asked for it in their own scheme.
        headers["WWW-Authenticate"] += ', Basic realm="slipway"'
    answer = Answer(failure.status, body, dialect.error_type, headers)
    return _respond(endpoint, answer, received, trace, progress)


def _request_id(received: Received, trace: Trace) -> str:
    sent = received.headers.get("x-request-id", "")
    return sent if _REQUEST_ID.fullmatch(sent) else trace.wire_id


def _log(endpoint: Endpoint, status: int, progress: _Progress, seconds: float) -> None:
    level = logging.INFO if progress.error is None else logging.ERROR
    if REQUESTS.isEnabledFor(level):
        line = with_fields(
            function=endpoint.name,
            method=endpoint.method,
            route=endpoint.path,
            status=status,
            durationMs=round(seconds * 1000, 3),
            tenant=progress.actor and (progress.actor.tenant or None),
        )
        REQUESTS.log(level, "request", exc_info=progress.error, extra=line)


def _respond(
    endpoint: Endpoint, answer: Answer, received: Received, trace: Trace, progress: _Progress
) -> func.HttpResponse:
    dialect = endpoint.dialect
    headers = {
        "Cache-Control": "no-store",
        **answer.headers,
        **dialect.headers,
        **endpoint.farewell,
        **limits.headers_of(progress.standing),
        "traceparent": traceparent_of(trace, progress.span),
        "X-Content-Type-Options": "nosniff",
    }
    if dialect.echoes_request_id:
        headers["X-Request-Id"] = _request_id(received, trace)
    return Response(answer.status, answer.body, answer.content_type, headers)
