"""Pipelines and runs on embedded adapters with real processes, and builders for what they are made of."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.adapters.bundles import pack, unpack
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.runners import reports
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.ids import root_id
from shared.domain.pipelines.definition import (
    ArtifactSpec,
    Definition,
    StageSpec,
    StepSpec,
    TaskSpec,
    definition_path,
)
from shared.domain.pipelines.model import ModuleType, PipelineDefinition, PipelineRun, pipeline_id, run_id
from shared.domain.source.model import Repository
from shared.ports.runner import Runner
from shared.ports.source_host import FileChange, Signature
from shared.services.artifact_blobs import ArtifactBlobs
from shared.services.branches import place_of
from shared.services.build_results import BuildOutputs
from shared.services.pipelines import PipelineDraft, Pipelines
from shared.services.run_executor import RunExecutor
from shared.services.run_logs import RunLogs
from shared.services.runs import Runs
from shared.services.vendor_logs import VendorLogs
from shared.services.vendor_outputs import VendorOutputs
from shared.services.vendor_runs import VendorRuns
from tests.support.source import ANN, Source, a_source

AT = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)
WORKER = system_actor("acme", "runs")
MODULE = "module-orders"
BIN = Path(sys.executable).parent


def a_definition(
    *steps: StepSpec,
    artifacts: Sequence[ArtifactSpec] = (),
    test_reports: Sequence[str] = (),
    coverage_report: str | None = None,
) -> Definition:
    """One stage `build` with one task `all`."""
    return Definition(
        module=MODULE,
        module_type=ModuleType.MICROSERVICE,
        stages=(StageSpec("build", (TaskSpec("all", steps or (a_step("one"),)),)),),
        artifacts=tuple(artifacts),
        test_reports=tuple(test_reports),
        coverage_report=coverage_report,
    )


def a_step(name: str, run: str = "true", **more: Any) -> StepSpec:
    return StepSpec(name=name, run=run, **more)


def a_run(**changes: Any) -> PipelineRun:
    repository = root_id("repository", "acme", "proj-x/api")
    pipeline = pipeline_id(repository, MODULE)
    made = PipelineRun(
        id=run_id("acme", pipeline, "seed"),
        tenant="acme",
        project="proj-x",
        module=MODULE,
        repository=repository,
        pipeline=pipeline,
        branch="main",
        commit_sha="a" * 40,
        reason="ci",
        build_number="20260611.1",
        pull_request=None,
        requested_by="user:ann",
        deadline_at=AT + timedelta(hours=1),
        created_at=AT,
        updated_at=AT,
    )
    return replace(made, **changes)


@dataclass
class Platform:
    """Everything a test of pipelines needs."""

    source: Source
    blobs: FileBlobs
    runner: Runner
    pipelines: Pipelines
    runs: Runs
    work: Path

    async def a_repository(
        self, files: Mapping[str, str | bytes] | None = None, name: str = "api"
    ) -> Repository:
        made = await self.source.a_repository(name)
        if files:
            await self.push(made, files)
        return made

    async def push(
        self, repository: Repository, files: Mapping[str, str | bytes], branch: str = "main"
    ) -> str:
        """Add or replace files as a push would: nobody records it."""
        place = place_of(repository)
        head = await self.source.host.head(place, branch)
        there = set(await self.source.host.list_files(place, head))
        changes = [
            FileChange(
                path, "modify" if path in there else "add", data.encode() if isinstance(data, str) else data
            )
            for path, data in files.items()
        ]
        author = Signature("Ann", "ann@example.com", AT)
        made = await self.source.host.commit(place, branch, changes, message="feat: files", author=author)
        return made.sha

    async def a_pipeline(
        self, repository: Repository, module_type: ModuleType = ModuleType.MICROSERVICE
    ) -> PipelineDefinition:
        return await self.pipelines.generate(ANN, PipelineDraft(repository.id, MODULE, module_type), None)

    async def a_defined_pipeline(
        self, definition: Definition, files: Mapping[str, str | bytes] | None = None
    ) -> PipelineDefinition:
        """A repository whose committed definition is this one."""
        repository = await self.a_repository()
        pipeline = await self.a_pipeline(repository)
        text = YamlDefinitions().render(definition).decode()
        await self.push(repository, {definition_path(MODULE): text, **(files or {})})
        return pipeline

    async def started(self, pipeline: PipelineDefinition, actor: Actor = ANN) -> PipelineRun:
        return await self.runs.start(actor, pipeline.id, branch=None, reason="ci", once=None)

    async def payload(self, kind: str, run: PipelineRun) -> dict[str, Any]:
        """The payload of the last event of a type about a run."""
        found = [
            document.body["payload"]
            for document in await self.source.outbox()
            if document.body["eventType"] == kind
            and document.body["payload"].get("pipelineRunId") == f"run-{run.id}"
        ]
        return dict(found[-1])

    async def execute(self, run: PipelineRun) -> PipelineRun:
        return await self.runs.execute(WORKER, await self.payload("RunPipeline", run))

    async def log(self, run: PipelineRun) -> str:
        page = await self.runs.logs(ANN, run.id, limit=1000)
        return "\n".join(line.text for line in page.lines)


def a_platform(
    folder: Path,
    *,
    run_limit: int = 100,
    run_timeout: timedelta = timedelta(hours=1),
    step_timeout: float = 60,
    source: Source | None = None,
    runner: Runner | None = None,
) -> Platform:
    source = source or a_source(folder)
    blobs = FileBlobs(folder / "run-blobs", base_url="http://127.0.0.1:7071", clock=source.clock)
    work = folder / "work"
    runner = runner or SubprocessRunner(work, output_cap=1 << 20, path=f"{BIN}:/usr/local/bin:/usr/bin:/bin")
    definitions = YamlDefinitions()
    outputs = BuildOutputs(ArtifactBlobs(source.units.store, blobs, source.clock), reports.count)
    executor = RunExecutor(
        units=source.units,
        host=source.host,
        runner=runner,
        blobs=blobs,
        definitions=definitions,
        outputs=outputs,
        step_timeout=step_timeout,
    )
    runs = Runs(
        units=source.units,
        host=source.host,
        definitions=definitions,
        executor=executor,
        vendor_runs=VendorRuns(
            source.units,
            source.host,
            {},
            VendorLogs(blobs, source.clock),
            VendorOutputs(outputs, unpack, pack),
        ),
        run_logs=RunLogs(source.units, blobs),
        run_limit=run_limit,
        run_timeout=run_timeout,
    )
    pipelines = Pipelines(source.units, source.host, definitions, source.branches)
    return Platform(source, blobs, runner, pipelines, runs, work)
