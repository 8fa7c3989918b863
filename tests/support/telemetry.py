"""A watcher that keeps in memory what it is told, and the tree that its spans make."""

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from shared.adapters.telemetry import OtelTelemetry


class Watcher:
    """`telemetry` is what an App is given."""

    def __init__(self, sample: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.telemetry = OtelTelemetry(SimpleSpanProcessor(self._exporter), self._reader, sample=sample)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Those that have ended, in that order."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def forget(self) -> None:
        self._exporter.clear()

    def path(self, span: ReadableSpan) -> list[str]:
        """The names from the root to the span."""
        by_id = {id_of(each): each for each in self.spans}
        names: list[str] = []
        here: ReadableSpan | None = span
        while here is not None:
            names.insert(0, here.name)
            here = by_id.get(parent_of(here) or "")
        return names

    def told(self) -> str:
        """Everything any span says, as an exporter would write it."""
        return "\n".join(span.to_json() for span in self.spans)

    def points(self, name: str) -> list[Any]:
        """The data points of one metric."""
        return [point for metric, point in self.measured() if metric == name]

    def measured(self) -> Iterator[tuple[str, Any]]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        yield metric.name, point


def trace_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return format_trace_id(context.trace_id)


def id_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return format_span_id(context.span_id)


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else format_span_id(span.parent.span_id)


def facts_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
