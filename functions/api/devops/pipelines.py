"""Pipeline definitions over HTTP."""

from functions.api.devops.models_pipelines import (
    GeneratedPipelineView,
    GeneratePipeline,
    PipelineId,
    PipelineVersionView,
    PipelineView,
    RunPipeline,
    StartedRunView,
)
from functions.api.devops.pipeline_versions import DefinitionQuery, PipelineVersionsQuery
from functions.api.devops.queries import PipelinesQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call, Raw
from shared.domain.pipelines.model import PipelineDefinition, PipelineRun, PipelineVersion
from shared.services.unit import Page


@devops.post(
    "/pipelines/generate",
    scope="devops.pipelines.write",
    returns=GeneratedPipelineView,
    status=201,
    location="/pipelines/{id}",
    examples={
        "tenantId": "connectsoft",
        "repositoryId": "repo-7a1c",
        "moduleId": "module-reservations-api",
        "moduleType": "Microservice",
        "targetFeed": "connectsoft-internal",
    },
)
async def generate_pipeline(call: Call, body: GeneratePipeline) -> PipelineDefinition:
    """Generate a module's pipeline and commit it to the repository."""
    return await call.app.pipelines.generate(call.actor, body.draft(), call.once)


@devops.get("/pipelines/{pipelineId}", scope="devops.pipelines.read", returns=PipelineView)
async def get_pipeline(call: Call, pipeline_id: PipelineId) -> PipelineDefinition:
    """Get a pipeline definition."""
    return await call.app.pipelines.get(call.actor, pipeline_id)


@devops.get("/pipelines", scope="devops.pipelines.read", returns=PipelineView)
async def list_pipelines(call: Call, query: PipelinesQuery) -> Page[PipelineDefinition]:
    """List pipelines, oldest first."""
    return await call.app.pipelines.list(call.actor, query.wanted())


@devops.get("/pipelines/{pipelineId}/definition", scope="devops.pipelines.read", returns=None)
async def get_pipeline_definition(call: Call, pipeline_id: PipelineId, query: DefinitionQuery) -> Raw:
    """Get the generated text, of the latest version or of an earlier one."""
    version = await call.app.pipelines.version(call.actor, pipeline_id, query.version)
    headers = {"Content-Disposition": "inline", "X-Content-Type-Options": "nosniff"}
    return Raw(version.text.encode(), "application/yaml", headers)


@devops.get("/pipelines/{pipelineId}/versions", scope="devops.pipelines.read", returns=PipelineVersionView)
async def list_pipeline_versions(
    call: Call, pipeline_id: PipelineId, query: PipelineVersionsQuery
) -> Page[PipelineVersion]:
    """List the versions of a pipeline, newest first."""
    wanted = query.wanted({"pipeline": pipeline_id})
    return await call.app.pipelines.versions(call.actor, pipeline_id, wanted)


@devops.post(
    "/pipelines/{pipelineId}/run",
    scope="devops.pipelines.run",
    returns=StartedRunView,
    status=201,
    location="/pipeline-runs/{id}",
    examples={"tenantId": "connectsoft", "branch": "main", "reason": "ci"},
)
async def run_pipeline(call: Call, pipeline_id: PipelineId, body: RunPipeline) -> PipelineRun:
    """Run a pipeline at the head of a branch."""
    return await call.app.runs.start(
        call.actor, pipeline_id, branch=body.branch, reason=body.reason, once=call.once
    )
