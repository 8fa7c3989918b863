"""Services that tell what they do. The composition root puts them in place only where somebody watches, so
that the others pay nothing for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.events import id_in
from shared.domain.kernel.ids import Root
from shared.domain.pipelines.model import PipelineDefinition, PipelineRun
from shared.ports.telemetry import RUN_DURATION, Telemetry
from shared.services.once import AlreadyDone, Once
from shared.services.runs import Runs
from shared.services.trace import CURRENT, current_trace
from shared.services.unit import Turn, Units


@dataclass(frozen=True, slots=True)
class TracedUnits(Units):
    """One span per unit of work, named by the kind of its root. What its events cause hangs below it."""

    telemetry: Telemetry

    async def run[R](self, actor: Actor, root: Root, turn: Turn[R], once: Once | None = None) -> R:
        trace = current_trace()
        with self.telemetry.begin(f"unit {root.kind}", trace_id=trace.trace_id) as span:
            outer = CURRENT.set(trace._replace(traceparent=span.traceparent))
            try:
                return await Units.run(self, actor, root, turn, once)
            except AlreadyDone as done:
                # How a repeat finds its answer: no failure of anything, so it leaves after the span.
                span.set("slipway.already_done", True)
                answered = done
            finally:
                CURRENT.reset(outer)
        raise answered


@dataclass(frozen=True, slots=True)
class MeasuredRuns(Runs):
    """Measures each run once: where its slot is freed, however it ended."""

    telemetry: Telemetry

    async def release_slot(
        self, actor: Actor, payload: Mapping[str, object], once: Once | None = None
    ) -> None:
        await Runs.release_slot(self, actor, payload, once)
        run = await self.units.get(actor, PipelineRun, id_in(payload, "pipelineRunId", "run"))
        pipeline = await self.units.get(actor, PipelineDefinition, run.pipeline)
        if run.started_at is not None and run.finished_at is not None:
            seconds = (run.finished_at - run.started_at).total_seconds()
            labels = {"module_type": str(pipeline.module_type), "status": str(run.status)}
            self.telemetry.measure(RUN_DURATION, seconds, labels)
