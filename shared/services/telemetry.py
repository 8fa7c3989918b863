"""Services that tell what they do. The composition root puts them in place only where somebody watches, so
that the others pay nothing for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.events import id_in
from shared.domain.kernel.ids import Root
from shared.domain.pipelines.model import BuildStatus, PipelineDefinition, PipelineRun
from shared.domain.source.model import PullRequestStatus
from shared.ports.index import Index
from shared.ports.store import ChangeFeed, Document, Store
from shared.ports.telemetry import BUILD_SUCCESS, OPEN_REQUESTS, RUN_DURATION, Telemetry, labels_of
from shared.services.once import AlreadyDone, Once
from shared.services.runs import Runs
from shared.services.trace import CURRENT, current_trace
from shared.services.unit import Turn, Units
from shared.services.views import Projection, Views

MEASURED = (
    Index("pull-request", ("project", "status"), "created_at"),
    Index("build-result", ("project", "module", "status"), "created_at"),
)
"""What is counted for measurements, and listed by nobody: the store needs no index for it."""
_UNDER_WAY = (PullRequestStatus.OPEN, PullRequestStatus.BLOCKED)


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
            labels = labels_of(
                tenant=run.tenant,
                project=run.project,
                module=run.module,
                module_type=str(pipeline.module_type),
                status=str(run.status),
            )
            self.telemetry.measure(RUN_DURATION, seconds, labels)


class MeasuredViews(Views):
    """Tells what lists come to, each time after it was counted. Counts a little more than lists need."""

    def __init__(
        self,
        telemetry: Telemetry,
        store: Store,
        indexes: Sequence[Index],
        feed: ChangeFeed | None = None,
        others: Sequence[Projection] = (),
    ) -> None:
        super().__init__(store, (*indexes, *MEASURED), feed, others)
        self._telemetry = telemetry

    async def project(self, documents: Iterable[Document]) -> None:
        documents = list(documents)
        await super().project(documents)
        changed = [each for each in documents if each.kind in ("pull-request", "build-result")]
        requests = {(each.tenant, each.body["project"]) for each in changed if each.kind == "pull-request"}
        for tenant, project in requests:
            await self._tell_requests(tenant, project)
        builds = [each for each in changed if each.kind == "build-result"]
        for place in {(each.tenant, each.body["project"], each.body["module"]) for each in builds}:
            await self._tell_builds(*place)

    async def _tell_requests(self, tenant: str, project: str) -> None:
        under_way = [{"project": project, "status": str(status)} for status in _UNDER_WAY]
        counts = await self.counted(tenant, "pull-request", under_way)
        self._telemetry.measure(OPEN_REQUESTS, sum(counts), labels_of(tenant=tenant, project=project))

    async def _tell_builds(self, tenant: str, project: str, module: str) -> None:
        of_module = {"project": project, "module": module}
        by_status = [{**of_module, "status": str(status)} for status in BuildStatus]
        counts = await self.counted(tenant, "build-result", by_status)
        known = dict(zip(BuildStatus, counts, strict=True))
        judged = sum(known.values()) - known[BuildStatus.CANCELED]
        if judged:
            good = known[BuildStatus.SUCCEEDED] + known[BuildStatus.PARTIALLY_SUCCEEDED]
            self._telemetry.measure(BUILD_SUCCESS, good / judged, labels_of(tenant=tenant, **of_module))
