"""Pipeline runs, their logs and their results over HTTP."""

from functions.api.devops.models_pipelines import (
    BuildResultId,
    BuildResultView,
    LogPageView,
    LogsQuery,
    PipelineRunId,
    PipelineRunSummaryView,
    PipelineRunView,
    StartedRunView,
)
from functions.api.devops.queries import RunsQuery
from functions.api.devops.queries_builds import BuildResultsQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.pipelines.logs import LogPage
from shared.domain.pipelines.model import BuildResult, PipelineRun
from shared.services.unit import Page


@devops.get("/pipeline-runs/{pipelineRunId}", scope="devops.pipelines.read", returns=PipelineRunView)
async def get_pipeline_run(call: Call, pipeline_run_id: PipelineRunId) -> PipelineRun:
    """Get a run with its stages, tasks and steps."""
    return await call.app.runs.get(call.actor, pipeline_run_id)


@devops.get("/pipeline-runs", scope="devops.pipelines.read", returns=PipelineRunSummaryView)
async def list_pipeline_runs(call: Call, query: RunsQuery) -> Page[PipelineRun]:
    """List pipeline runs, newest first."""
    return await call.app.runs.list(call.actor, query.wanted())


@devops.get("/pipeline-runs/{pipelineRunId}/logs", scope="devops.pipelines.read", returns=LogPageView)
async def get_pipeline_run_logs(call: Call, pipeline_run_id: PipelineRunId, query: LogsQuery) -> LogPage:
    """Read a run's log from an offset, or follow it while the run goes on."""
    return await call.app.runs.logs(
        call.actor,
        pipeline_run_id,
        offset=query.offset,
        limit=query.limit,
        follow=query.follow,
        wait=query.wait,
    )


@devops.post(
    "/pipeline-runs/{pipelineRunId}/cancel", scope="devops.pipelines.run", returns=PipelineRunSummaryView
)
async def cancel_pipeline_run(call: Call, pipeline_run_id: PipelineRunId) -> PipelineRun:
    """Cancel a run, whatever it is doing."""
    return await call.app.runs.cancel(call.actor, pipeline_run_id, call.once)


@devops.post(
    "/pipeline-runs/{pipelineRunId}/retry",
    scope="devops.pipelines.run",
    returns=StartedRunView,
    status=201,
    location="/pipeline-runs/{id}",
)
async def retry_pipeline_run(call: Call, pipeline_run_id: PipelineRunId) -> PipelineRun:
    """Run the same pipeline again at the same commit, once a run is over."""
    return await call.app.runs.retry(call.actor, pipeline_run_id, call.once)


@devops.get("/build-results", scope="devops.pipelines.read", returns=BuildResultView)
async def list_build_results(call: Call, query: BuildResultsQuery) -> Page[BuildResult]:
    """List build results, newest first."""
    return await call.app.runs.build_results(call.actor, query.wanted())


@devops.get("/build-results/{buildResultId}", scope="devops.pipelines.read", returns=BuildResultView)
async def get_build_result(call: Call, build_result_id: BuildResultId) -> BuildResult:
    """Get what a run produced."""
    return await call.app.runs.build_result(call.actor, build_result_id)
