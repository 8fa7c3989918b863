"""Telemetry by OpenTelemetry's SDK. Imported only where settings ask for it: it costs a cold start.

Must not tell an error's message or a stack: both may quote what a caller sent.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal, Self

from opentelemetry import context as current
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.metrics import _Gauge as Gauge  # the API's own name for what create_gauge returns
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.domain.kernel.errors import DeliveryError, Permanent, Transient
from shared.ports.telemetry import METRICS, NOTHING, Attributes, Kind, Labels, Metric, Reading, Span

_KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
_SCOPE = "slipway"
_PATIENCE = 3.0
"""Seconds that a collector gets: a process that stops must not wait for one that is away."""
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_wanted: ContextVar[str | None] = ContextVar("slipway_wanted_trace", default=None)


def exporting(to: Literal["console", "otlp"], endpoint: str, sample: float, role: str) -> "OtelTelemetry":
    """To standard error, or to a collector by OTLP over HTTP; an empty endpoint means the exporter's own
    (OTEL_EXPORTER_OTLP_ENDPOINT, else this machine's port 4318)."""
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    spans: SpanExporter
    metrics: MetricExporter
    if to == "console":
        spans = ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: f"{span.to_json(indent=None)}\n")
        metrics = ConsoleMetricExporter(
            out=sys.stderr, formatter=lambda data: f"{data.to_json(indent=None)}\n"
        )
    else:
        place = endpoint.rstrip("/")
        spans = OTLPSpanExporter(f"{place}/v1/traces" if place else None, timeout=_PATIENCE)
        metrics = OTLPMetricExporter(f"{place}/v1/metrics" if place else None, timeout=_PATIENCE)
    return OtelTelemetry(
        BatchSpanProcessor(spans), PeriodicExportingMetricReader(metrics), sample=sample, role=role
    )


class OtelTelemetry:
    """Implements Telemetry. Providers of its own, not the process's: two installations do not mix."""

    def __init__(
        self, processor: SpanProcessor, reader: MetricReader, *, sample: float = 1.0, role: str = "all"
    ) -> None:
        resource = Resource.create({"service.name": "slipway", "slipway.role": role})
        self._spans = TracerProvider(
            ParentBased(TraceIdRatioBased(sample)), resource=resource, id_generator=_TraceIds()
        )
        self._spans.add_span_processor(processor)
        self._tracer = self._spans.get_tracer(_SCOPE)
        self._metrics = MeterProvider([reader], resource)
        self._meter = self._metrics.get_meter(_SCOPE)
        self._instruments: dict[Metric, Counter | Histogram | Gauge] = {
            metric: self._instrument(metric) for metric in METRICS if not metric.watched
        }

    def begin(
        self,
        name: str,
        kind: Kind = "internal",
        attributes: Attributes | None = None,
        *,
        trace_id: str | None = None,
        parent: str | None = None,
    ) -> Span:
        remote = _remote(parent, trace_id)
        place: Context | None
        if remote is not None:
            place = trace.set_span_in_context(NonRecordingSpan(remote), Context())
        elif kind != "internal":
            place = Context()
        elif trace.get_current_span().get_span_context().is_valid:
            place = None
        elif trace_id is not None:
            place = Context()
        else:
            return NOTHING
        wanted = _wanted.set(trace_id)
        try:
            span = self._tracer.start_span(name, place, _KINDS[kind], attributes)
        finally:
            _wanted.reset(wanted)
        return _OtelSpan(span)

    def measure(self, metric: Metric, value: float, labels: Labels) -> None:
        instrument = self._instruments[metric]
        if isinstance(instrument, Histogram):
            instrument.record(value, labels)
        elif isinstance(instrument, Gauge):
            instrument.set(value, labels)
        else:
            instrument.add(value, labels)

    def watch(self, observe: Callable[[], Mapping[Metric, Iterable[Reading]]]) -> None:
        for metric in METRICS:
            if metric.watched:
                self._meter.create_observable_gauge(
                    metric.name, [_reading(metric, observe)], metric.unit, metric.description
                )

    def shutdown(self) -> None:
        self._spans.shutdown()
        self._metrics.shutdown()

    def _instrument(self, metric: Metric) -> Counter | Histogram | Gauge:
        if metric.instrument == "counter":
            return self._meter.create_counter(metric.name, metric.unit, metric.description)
        if metric.instrument == "gauge":
            return self._meter.create_gauge(metric.name, metric.unit, metric.description)
        return self._meter.create_histogram(
            metric.name,
            metric.unit,
            metric.description,
            explicit_bucket_boundaries_advisory=metric.buckets,
        )


class _TraceIds(RandomIdGenerator):
    """A root span belongs to the trace that its request or message was given, not to a new one."""

    def generate_trace_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_trace_id() if wanted is None else int(wanted, 16)


class _OtelSpan:
    """Implements Span. Ends in the task that began it."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] = current.attach(trace.set_span_in_context(span))

    @property
    def traceparent(self) -> str | None:
        place = self._span.get_span_context()
        return f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags & 1:02x}"

    def set(self, name: str, value: str | int | bool) -> None:
        self._span.set_attribute(name, value)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, kind))

    def end(self) -> None:
        current.detach(self._token)
        self._span.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, DeliveryError) and not isinstance(error, Transient | Permanent):
            self.set("error.type", error.code)
        elif error is not None:
            self.fail(error.code if isinstance(error, DeliveryError) else type(error).__name__)
        self.end()


def _remote(traceparent: str | None, trace_id: str | None) -> SpanContext | None:
    """The span that a traceparent names. One of another trace is nobody's parent here."""
    named = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if named is None or named[1] != (trace_id or named[1]):
        return None
    return SpanContext(int(named[1], 16), int(named[2], 16), True, TraceFlags(int(named[3], 16)))


def _reading(
    metric: Metric, observe: Callable[[], Mapping[Metric, Iterable[Reading]]]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, labels) for value, labels in observe().get(metric, ())]

    return read
