"""Carries one run from a commit to its result, step by step, recording as it goes.

Any worker may die at any step: the next one starts a new attempt from the beginning, and whatever the earlier
one still reports changes nothing.
"""

from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
from shared.domain.pipelines.definition import Definition
from shared.domain.pipelines.errors import InvalidDefinition
from shared.domain.pipelines.lifecycle import begin
from shared.domain.pipelines.model import Phase, PipelineDefinition, PipelineRun
from shared.domain.pipelines.tree import materialise
from shared.domain.source.model import Provider, Repository
from shared.ports.blobs import Blobs
from shared.ports.definitions import Definitions
from shared.ports.runner import Runner, Workspace
from shared.ports.source_host import Place, SourceHost
from shared.services.branches import place_of
from shared.services.build_results import BuildOutputs
from shared.services.log_files import LogWriter
from shared.services.once import Once
from shared.services.pipelines import default_definition
from shared.services.run_attempt import HOPELESS, Attempt, words_of
from shared.services.unit import Unit, Units


@dataclass(frozen=True, slots=True)
class RunExecutor:
    """`step_timeout` in seconds is for steps that name none."""

    units: Units
    host: SourceHost
    runner: Runner
    blobs: Blobs
    definitions: Definitions
    outputs: BuildOutputs
    step_timeout: float

    async def execute(self, actor: Actor, run: PipelineRun, once: Once | None) -> PipelineRun:
        """A new attempt at a run, to its end or until someone else has ended it or taken it over."""
        repository = await self.units.get(actor, Repository, run.repository)
        pipeline = await self.units.get(actor, PipelineDefinition, run.pipeline)
        place = place_of(repository)
        log = await LogWriter.open(self.blobs, self.units.clock, run.tenant, run.logs_path)
        try:
            definition, origin = await self._definition(place, run, pipeline)
        except InvalidDefinition as refused:
            attempt = await self._begin(actor, run, (), log, once)
            return await attempt.refuse(refused, pipeline.definition_path)
        except HOPELESS as trouble:
            attempt = await self._begin(actor, run, (), log, once)
            return await attempt.give_up(f"The commit cannot be read: {words_of(trouble)}")
        attempt = await self._begin(actor, run, materialise(run.id, definition), log, once)
        if not attempt.is_current:
            return attempt.run
        await log.write(origin)
        try:
            workspace = await self._checkout(place, attempt.run)
        except HOPELESS as trouble:
            return await attempt.give_up(f"The commit cannot be checked out: {words_of(trouble)}")
        try:
            return await attempt.go(definition, workspace)
        finally:
            await workspace.aclose()

    async def _definition(
        self, place: Place, run: PipelineRun, pipeline: PipelineDefinition
    ) -> tuple[Definition, str]:
        """The definition of this very commit, and a line for the log on where it came from."""
        path = pipeline.definition_path
        if pipeline.provider is Provider.EMBEDDED:
            text = await self.host.read_file(place, run.commit_sha, path)
            if text is not None:
                return self.definitions.parse(text), f"The definition is {path} of the commit."
        # Of a vendor's pipeline this is asked only where the commit has no file that the vendor could run.
        return default_definition(pipeline), (
            f"The commit has no {path}; this is the default for a {pipeline.module_type}."
        )

    async def _begin(
        self, actor: Actor, run: PipelineRun, phases: tuple[Phase, ...], log: LogWriter, once: Once | None
    ) -> Attempt:
        async def turn(unit: Unit) -> PipelineRun:
            current = await unit.get(PipelineRun, run.id)
            return current if current.is_terminal else unit.apply(begin(current, phases, unit.now))

        begun = await self.units.run(actor, PipelineRun.__record__.root_of(run.id), turn)
        if not begun.is_terminal:
            again = ", because the one before did not finish" if begun.attempt > 1 else ""
            await log.write(
                f"Attempt {begun.attempt} of build {begun.build_number} of {begun.module}"
                f" at {begun.commit_sha} on {begun.branch}{again}."
            )
        return Attempt(self.units, self.outputs, self.step_timeout, actor, begun, begun.attempt, log, once)

    async def _checkout(self, place: Place, run: PipelineRun) -> Workspace:
        """A fresh folder with the commit. Earlier attempts' processes are ended first: they would fight
        over ports and caches with this one's."""
        for earlier in range(1, run.attempt):
            await (await self.runner.open(f"{run.id}-{earlier}")).aclose()
        workspace = await self.runner.open(f"{run.id}-{run.attempt}")
        try:
            await self.host.checkout(place, run.commit_sha, str(workspace.folder))
        except BaseException:
            await workspace.aclose()
            raise
        return workspace
