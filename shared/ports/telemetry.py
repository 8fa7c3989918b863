"""What an installation tells whoever watches it: spans of one trace, and measurements.

Nothing here decides anything, and nothing a caller sent may be told: no body, no token, no error's words.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

type Kind = Literal["server", "producer", "consumer", "internal"]
type Attributes = Mapping[str, str | int | bool]
type Labels = Mapping[str, str]
type Reading = tuple[float, Labels]


def labels_of(**known: str | None) -> Labels:
    """The labels that have a value."""
    return {name: value for name, value in known.items() if value is not None}


class Span(Protocol):
    """One piece of work. Open from `begin` to `end`; as a context manager it ends with its block."""

    @property
    def traceparent(self) -> str | None:
        """Names this span (W3C) for what it causes elsewhere; None where nobody watches."""

    def set(self, name: str, value: str | int | bool) -> None: ...

    def fail(self, kind: str) -> None:
        """It went wrong. `kind` is an error's code or type, never its message, which may quote a caller."""

    def end(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What leaves the block is told by its kind; only what is no rule's answer marks the span failed."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One measurement. `labels` are all it ever has, and an id is never one: what a trace is about is told by
    its spans.

    The platform's own (`slipway.*`) are closed sets. Those of delivery (`devops.*`) say whose delivery it is,
    by tenant, project, module and environment, where they know: as many series as an installation has of
    those. `watched` is a gauge that `Telemetry.watch` reads; others are told when they change.
    """

    name: str
    instrument: Literal["counter", "histogram", "gauge"]
    unit: str
    labels: tuple[str, ...]
    description: str
    buckets: tuple[float, ...] = ()
    watched: bool = False


class Telemetry(Protocol):
    def begin(
        self,
        name: str,
        kind: Kind = "internal",
        attributes: Attributes | None = None,
        *,
        trace_id: str | None = None,
        parent: str | None = None,
    ) -> Span:
        """Open a span and make it the current one of this task.

        Its parent is `parent`, a traceparent of the trace `trace_id`; or for internal ones the current span.
        Without either it is the root of `trace_id` (32 hex digits), and without that nothing: a detail of no
        known work would be a trace of its own.
        """

    def measure(self, metric: Metric, value: float, labels: Labels) -> None:
        """Add to a counter, record in a histogram, or set a gauge. A label that has no value is left out."""

    def watch(self, observe: Callable[[], Mapping[Metric, Iterable[Reading]]]) -> None:
        """Read watched gauges when they are asked for, on another thread than the event loop's."""

    def shutdown(self) -> None:
        """Hand over what is still held, and stop. Blocks."""


class _Nothing:
    """The span of nobody: shared, so that it costs no allocation."""

    __slots__ = ()
    traceparent: None = None

    def set(self, name: str, value: str | int | bool) -> None:
        return

    def fail(self, kind: str) -> None:
        return

    def end(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class _Off:
    """Nobody watches."""

    __slots__ = ()

    def begin(
        self,
        name: str,
        kind: Kind = "internal",
        attributes: Attributes | None = None,
        *,
        trace_id: str | None = None,
        parent: str | None = None,
    ) -> Span:
        return NOTHING

    def measure(self, metric: Metric, value: float, labels: Labels) -> None:
        return

    def watch(self, observe: Callable[[], Mapping[Metric, Iterable[Reading]]]) -> None:
        return

    def shutdown(self) -> None:
        return


NOTHING: Span = _Nothing()
OFF: Telemetry = _Off()

_FAST = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
_CALL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_WORK = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1200.0, 3600.0)

REQUEST_DURATION = Metric(
    "slipway.request.duration", "histogram", "s", ("function", "status"), "Requests answered", _CALL
)
REQUEST_ERRORS = Metric(
    "slipway.request.errors", "counter", "{error}", ("function", "code"), "Requests refused or failed"
)
MESSAGE_DURATION = Metric(
    "slipway.message.duration", "histogram", "s", ("queue", "settlement"), "Messages handled", _WORK
)
MESSAGES_PARKED = Metric(
    "slipway.messages.parked", "counter", "{message}", ("queue", "code"), "Messages that a worker put aside"
)
STORE_DURATION = Metric(
    "slipway.store.duration", "histogram", "s", ("operation",), "Operations on the store", _FAST
)
QUEUE_DEPTH = Metric(
    "slipway.queue.depth",
    "gauge",
    "{message}",
    ("queue",),
    "Messages waiting, locked or scheduled",
    watched=True,
)
QUEUE_AGE = Metric(
    "slipway.queue.age", "gauge", "s", ("queue",), "Age of the oldest message that is due", watched=True
)
DEAD_LETTERS = Metric(
    "slipway.queue.dead", "gauge", "{message}", ("queue",), "Dead-lettered messages", watched=True
)

_MODULE = ("tenant", "project", "module")
_PLACE = (*_MODULE, "environment")
_LONG = (3_600, 14_400, 86_400, 259_200, 604_800, 2_592_000)
COMMITS = Metric("devops.commits.total", "counter", "{commit}", _MODULE, "Commits recorded")
OPEN_REQUESTS = Metric(
    "devops.pullrequests.open", "gauge", "{request}", ("tenant", "project"), "Pull requests under way"
)
BUILD_SUCCESS = Metric("devops.build.success.rate", "gauge", "1", _MODULE, "Share of builds that succeeded")
DRIFT = Metric("devops.gitops.drift", "counter", "{drift}", _PLACE, "Drifts found and brought back")
DEPLOYMENTS = Metric(
    "devops.deployment.frequency", "counter", "{deployment}", _PLACE, "Releases that arrived"
)
FAILURE_RATE = Metric(
    "devops.change.failure.rate", "gauge", "1", _PLACE, "Share of deployments that failed or were undone"
)
RESTORE_TIME = Metric(
    "devops.mttr", "histogram", "s", _PLACE, "From a failure to what works", (60, 600, *_LONG)
)
LEAD_TIME = Metric(
    "devops.release.lead.time",
    "histogram",
    "s",
    _PLACE,
    "From a commit to its deployment",
    _LONG,
)
RUN_DURATION = Metric(
    "devops.pipeline.run.duration",
    "histogram",
    "s",
    (*_MODULE, "module_type", "status"),
    "Pipeline runs, from the first attempt to the end",
    _WORK,
)
METRICS = (
    REQUEST_DURATION,
    REQUEST_ERRORS,
    MESSAGE_DURATION,
    MESSAGES_PARKED,
    STORE_DURATION,
    QUEUE_DEPTH,
    QUEUE_AGE,
    DEAD_LETTERS,
    COMMITS,
    OPEN_REQUESTS,
    BUILD_SUCCESS,
    DRIFT,
    DEPLOYMENTS,
    LEAD_TIME,
    FAILURE_RATE,
    RESTORE_TIME,
    RUN_DURATION,
)
