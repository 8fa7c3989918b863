"""The W3C trace context of one request, in and out."""

import re
import secrets

from shared.ports.telemetry import Span
from shared.services.trace import Trace, new_trace

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
    return span.traceparent or f"00-{trace.trace_id}-{secrets.token_hex(8)}-01"
