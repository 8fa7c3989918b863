"""The trace of the call or message being served, carried beside the arguments as OpenTelemetry's context
is."""

import secrets
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trace:
    """`trace_id` is 32 hex digits (W3C), minted once when intent enters. `causation_id` is the causing
    event. `traceparent` names the span that works now: ours where somebody watches, else the caller's."""

    trace_id: str
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None

    @property
    def wire_id(self) -> str:
        """As the contracts write it: `trace-` and the W3C trace id."""
        return f"trace-{self.trace_id}"


def new_trace() -> Trace:
    trace_id = secrets.token_hex(16)
    return Trace(trace_id, f"corr-{trace_id}")


CURRENT: ContextVar[Trace | None] = ContextVar("slipway_trace", default=None)


def current_trace() -> Trace:
    """The trace being served, or a fresh one where nothing set it (a timer, a test)."""
    return CURRENT.get() or new_trace()
