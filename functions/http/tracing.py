"""The W3C trace context of one request, in and out, and what a watcher is told of it."""

import re
from dataclasses import dataclass

from functions.http.endpoint import Endpoint
from shared.ports.telemetry import REQUEST_DURATION, REQUEST_ERRORS, Span, Telemetry
from shared.services.trace import CURRENT, Trace, new_span_id, new_trace

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def trace_from(traceparent: str | None) -> Trace:
    """The trace a caller continues, or a new one where the header is absent or not valid."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return new_trace()
    version, trace_id, parent, flags, more = found.groups()
    # Version 00 has exactly four fields; later ones may add some.
    valid = version != "ff" and not (version == "00" and more) and int(trace_id, 16) and int(parent, 16)
    if not valid:
        return new_trace()
    # Of the flags we know one, and of later versions' fields none: what we pass on is version 00.
    heard = f"00-{trace_id}-{parent}-{int(flags, 16) & 1:02x}"
    return Trace(trace_id, f"corr-{trace_id}", traceparent=heard)


def traceparent_of(trace: Trace, span: Span) -> str:
    """Names this request as a span of its trace, for the answer."""
    return span.traceparent or f"00-{trace.trace_id}-{new_span_id()}-01"


def open_span(telemetry: Telemetry, endpoint: Endpoint, trace: Trace) -> Span:
    """The span of one request, below the caller's; what follows in this task hangs below it."""
    told = {
        "http.request.method": endpoint.method,
        "http.route": endpoint.path,
        "slipway.function": endpoint.name,
    }
    name = f"HTTP {endpoint.method} {endpoint.path}"
    span = telemetry.begin(name, "server", told, trace_id=trace.trace_id, parent=trace.traceparent)
    CURRENT.set(trace._replace(traceparent=span.traceparent))
    return span


@dataclass(frozen=True, slots=True)
class Ended:
    """How a request ended. `code` is that of an error, `tenant` the caller's; None where there is none."""

    status: int
    code: str | None
    tenant: str | None
    seconds: float


def tell(telemetry: Telemetry, endpoint: Endpoint, span: Span, ended: Ended) -> None:
    """Say it to whoever watches. What was refused is told by its code and is no failure of ours."""
    span.set("http.response.status_code", ended.status)
    if ended.tenant:
        span.set("slipway.tenant", ended.tenant)
    if ended.code is not None:
        span.set("error.type", ended.code)
        telemetry.measure(REQUEST_ERRORS, 1, {"function": endpoint.name, "code": ended.code})
    if ended.status >= 500:
        span.fail(ended.code or str(ended.status))
    labels = {"function": endpoint.name, "status": f"{ended.status // 100}xx"}
    telemetry.measure(REQUEST_DURATION, ended.seconds, labels)
