"""The W3C trace context of one request, in and out."""

import re
import secrets

from shared.services.trace import Trace, new_trace

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def trace_from(traceparent: str | None) -> Trace:
    """The trace a caller continues, or a new one where the header is absent or not valid."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return new_trace()
    version, trace_id, parent, _, more = found.groups()
    # Version 00 has exactly four fields; later ones may add some.
    valid = version != "ff" and not (version == "00" and more) and int(trace_id, 16) and int(parent, 16)
    return Trace(trace_id, f"corr-{trace_id}") if valid else new_trace()


def traceparent_of(trace: Trace) -> str:
    """Names this request as a span of its trace, for the answer."""
    return f"00-{trace.trace_id}-{secrets.token_hex(8)}-01"
