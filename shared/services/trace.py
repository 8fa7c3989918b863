"""The trace of the call or message being served, carried beside the arguments as OpenTelemetry's context
is."""

from contextvars import ContextVar
from random import getrandbits
from typing import NamedTuple


class Trace(NamedTuple):
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


def new_span_id() -> str:
    """16 hex digits. W3C asks for random ids, not for secret ones, and these cost a tenth."""
    return f"{getrandbits(64):016x}"


def new_trace() -> Trace:
    trace_id = f"{getrandbits(128):032x}"
    return Trace(trace_id, f"corr-{trace_id}")


CURRENT: ContextVar[Trace | None] = ContextVar("slipway_trace", default=None)


def current_trace() -> Trace:
    """The trace being served, or a fresh one where nothing set it (a timer, a test)."""
    return CURRENT.get() or new_trace()
