"""Builds that a CI system did: its report becomes a build result as of our own runs, once per attempt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.pipelines.ingestion import (
    BuildReport,
    OfPipeline,
    check_report,
    external_run,
    external_run_id,
    take_report,
)
from shared.domain.pipelines.model import (
    BuildArtifact,
    BuildResult,
    PipelineDefinition,
    PipelineRun,
    build_result_id,
)
from shared.services.artifact_blobs import STORED, ArtifactBlobs, stored_at
from shared.services.artifacts import Artifacts
from shared.services.once import Once
from shared.services.unit import Unit, Units


@dataclass(frozen=True, slots=True)
class BuildIngestion:
    units: Units
    artifacts: Artifacts
    kept: ArtifactBlobs

    async def report(self, actor: Actor, report: BuildReport, once: Once | None) -> BuildResult:
        """The result of an attempt, written once: the same report again is answered with the same result.

        Raises NotFound (run, pipeline), Invalid, ReportMismatch, BuildNumberTaken, ResultExists, RunInHand.
        """
        check_report(report)
        origin = report.origin
        pipeline: PipelineDefinition | None = None
        if isinstance(origin, OfPipeline):
            pipeline = await self.units.get(actor, PipelineDefinition, origin.pipeline)
            run_id = external_run_id(actor.tenant, pipeline.id, origin.build_number)
        else:
            run_id = (await self.units.get(actor, PipelineRun, origin.run)).id
        # Content first, then the record that points at it.
        told = replace(report, artifacts=await self._kept(actor, run_id, report.artifacts))

        async def turn(unit: Unit) -> BuildResult:
            result_id = build_result_id(run_id, told.attempt)
            await unit.load(
                PipelineRun.__record__.document(run_id), BuildResult.__record__.document(result_id)
            )
            run = await unit.find(PipelineRun, run_id)
            if run is None and pipeline is not None and isinstance(origin, OfPipeline):
                run = external_run(pipeline, origin, actor.subject, unit.now)
            run = run or await unit.get(PipelineRun, run_id)
            taken = take_report(run, await unit.find(BuildResult, result_id), told, unit.now)
            if isinstance(taken, BuildResult):
                return taken
            if taken.run is not None:
                unit.apply(taken.run)
            return unit.apply(taken.result)

        return await self.units.run(actor, PipelineRun.__record__.root_of(run_id), turn, once)

    async def _kept(
        self, actor: Actor, run: str, artifacts: Sequence[BuildArtifact]
    ) -> tuple[BuildArtifact, ...]:
        kept: list[BuildArtifact] = []
        problems: list[Problem] = []
        for at, artifact in enumerate(artifacts):
            found = await self._keep(actor, run, artifact)
            if isinstance(found, BuildArtifact):
                kept.append(found)
            else:
                problems.append(Problem(f"artifacts[{at}].{found[0]}", found[1]))
        if problems:
            raise Invalid("The report names content that is not here as it says.", *problems)
        return tuple(kept)

    async def _keep(self, actor: Actor, run: str, artifact: BuildArtifact) -> BuildArtifact | tuple[str, str]:
        """The artifact with its content where deployments look for it. A `ref` is the name of an uploaded
        artifact, the place of a stored one, or a place outside, which is kept as it is."""
        stored = stored_at(artifact.digest)
        if artifact.ref.startswith(STORED):
            is_named = artifact.ref == stored
            info = await self.kept.claim(actor.tenant, artifact.digest, run) if is_named else None
            if info is None:
                return "ref", "Nothing of this digest is stored there; upload it with PUT /artifacts/{id}."
            return replace(artifact, size=info.size)
        if "/" in artifact.ref or ":" in artifact.ref:
            return artifact
        uploaded = await self.artifacts.find(actor, artifact.ref)
        if uploaded is None:
            return "ref", "No artifact of this name was uploaded; PUT /artifacts/{id} first, or give a URL."
        if uploaded.digest != artifact.digest:
            return "digest", f"The uploaded artifact {artifact.ref} has another digest; give its own."
        if await self.kept.claim(actor.tenant, artifact.digest, run) is None:
            await self.artifacts.blobs.put(actor.tenant, stored, await self.artifacts.content(uploaded))
        return replace(artifact, ref=stored, size=uploaded.size)
