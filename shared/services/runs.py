"""Pipeline runs: started with an exact number and a slot, done by a worker or a vendor, cancelled at any
moment."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import id_in
from shared.domain.pipelines.errors import PipelineSuperseded, RunActive, RunOfPullRequest
from shared.domain.pipelines.events import ordered_run, run_ordered
from shared.domain.pipelines.generators.inputs import path_on
from shared.domain.pipelines.lifecycle import (
    INVALID_DEFINITION,
    cancel,
    created,
    error,
    free_slot,
    generated,
    linted,
    next_build,
    take_slot,
    version_of,
)
from shared.domain.pipelines.logs import LogPage
from shared.domain.pipelines.model import (
    BuildCounter,
    BuildResult,
    ModuleType,
    PipelineDefinition,
    PipelineRun,
    PipelineStatus,
    RunSlots,
    RunStatus,
    Slot,
    counter_id,
    pipeline_id,
    run_id,
    slots_id,
)
from shared.domain.pipelines.templates import template
from shared.domain.source.lifecycle import require_ready
from shared.domain.source.model import Provider, Repository
from shared.ports.definitions import Definitions
from shared.ports.source_host import SourceHost
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.once import Once
from shared.services.pipelines import Generated, PipelineDraft, described
from shared.services.run_executor import RunExecutor
from shared.services.run_logs import RunLogs
from shared.services.unit import Page, Unit, Units
from shared.services.vendor_runs import VendorRuns, turn_in

NOT_FINISHED = "no worker finished it by its deadline"


@dataclass(frozen=True, slots=True)
class _Order:
    """What a run is to be of. `seed` names it: the same seed is the same run."""

    branch: str
    commit_sha: str
    reason: str
    seed: str
    pull_request: str | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """`run_limit` counts active runs per repository, `run_timeout` is the time from request to end."""

    units: Units
    host: SourceHost
    definitions: Definitions
    executor: RunExecutor
    vendor_runs: VendorRuns
    run_logs: RunLogs
    run_limit: int
    run_timeout: timedelta

    async def start(
        self, actor: Actor, pipeline: str, *, branch: str | None, reason: str, once: Once | None
    ) -> PipelineRun:
        """A run of the branch's head (default: the default branch).

        Raises NotFound for an unknown pipeline or branch, RunLimitReached, PipelineSuperseded.
        """
        await self.units.replay(actor, PipelineDefinition.__record__.root_of(pipeline), once)
        definition = await self.units.get(actor, PipelineDefinition, pipeline)
        repository = await self.units.get(actor, Repository, definition.repository)
        require_ready(repository)
        if definition.status is PipelineStatus.SUPERSEDED:
            raise PipelineSuperseded(
                f"Another module's pipeline has taken over {definition.definition_path};"
                " run that one, or generate this one again.",
                definitionPath=definition.definition_path,
            )
        name = branch or repository.default_branch
        # Before the turn: the longer a turn takes, the more starts of one repository lose to each other.
        head = await self.host.head(place_of(repository), name)
        return await self._started(actor, definition, name, head, reason, once)

    async def retry(self, actor: Actor, run: str, once: Once | None) -> PipelineRun:
        """Another run of the same pipeline at the same commit, once the run is over.

        Raises NotFound, RunActive, RunOfPullRequest, RunLimitReached.
        """
        done = await self.units.get(actor, PipelineRun, run)
        await self.units.replay(actor, Repository.__record__.root_of(done.repository), once)
        if not done.is_terminal:
            raise RunActive("The run is not over yet; wait for its end, or cancel it.")
        if done.pull_request is not None:
            raise RunOfPullRequest(
                "The run checks a pull request; rerun its checks there.",
                pullRequestId=f"pr-{done.pull_request}",
            )
        definition = await self.units.get(actor, PipelineDefinition, done.pipeline)
        require_ready(await self.units.get(actor, Repository, done.repository))
        return await self._started(actor, definition, done.branch, done.commit_sha, "retry", once)

    async def _started(
        self,
        actor: Actor,
        definition: PipelineDefinition,
        branch: str,
        sha: str,
        reason: str,
        once: Once | None,
    ) -> PipelineRun:
        async def turn(unit: Unit) -> PipelineRun:
            return await self._order(unit, definition, _Order(branch, sha, reason, unit.new_id("run")))

        root = PipelineDefinition.__record__.root_of(definition.id)
        pending = await self.units.run(actor, root, turn, once)
        await self._ensure(actor, pending)
        return pending

    async def start_for_check(
        self,
        actor: Actor,
        *,
        repository: Repository,
        pull_request_id: str,
        branch: str,
        sha: str,
        once: Once | None,
        attempt: int = 0,
    ) -> PipelineRun:
        """The run that checks a pull request at one commit, for the so many-th time: the same one however
        often it is asked for.

        A repository without a definition for its module gets a default one, which is not committed.
        """

        async def turn(unit: Unit) -> PipelineRun:
            definition = await self._definition_for(unit, repository)
            seed = f"{pull_request_id}:{sha}" + (f":{attempt}" if attempt else "")
            order = _Order(branch, sha, "pull_request", seed, pull_request_id)
            return await self._order(unit, definition, order)

        pending = await self.units.run(actor, Repository.__record__.root_of(repository.id), turn, once)
        await self._ensure(actor, pending)
        return pending

    async def execute(
        self, actor: Actor, payload: Mapping[str, object], once: Once | None = None
    ) -> PipelineRun:
        """Handle RunPipeline: run it to its end, or take over from a worker that died; a vendor's run is
        begun there. Finished: nothing."""
        run = await self._ensure(actor, ordered_run(actor.tenant, payload))
        return await self._carry(actor, run, once)

    async def follow(self, actor: Actor, payload: Mapping[str, object], once: Once | None = None) -> None:
        """Handle FollowRun: the next turn of a run at a vendor."""
        run = await self.units.get(actor, PipelineRun, id_in(payload, "pipelineRunId", "run"))
        await self._carry(actor, run, once, turn_in(payload))

    async def expire(
        self, actor: Actor, payload: Mapping[str, object], once: Once | None = None
    ) -> PipelineRun:
        """Handle RunOverdue: give up a run that nobody finished, so that its slot does not stay taken."""
        run = await self._ensure(actor, ordered_run(actor.tenant, payload))

        async def turn(unit: Unit) -> PipelineRun:
            current = await unit.get(PipelineRun, run.id)
            ending = error(current, NOT_FINISHED, unit.now)
            if ending is None:
                return current
            unit.put(ending.build_result)
            return unit.apply(ending.run)

        return await self.units.run(actor, PipelineRun.__record__.root_of(run.id), turn, once)

    async def release_slot(
        self, actor: Actor, payload: Mapping[str, object], once: Once | None = None
    ) -> None:
        """Handle PipelineRunCompleted: the slot is free, and we know whether the definition can be run."""
        run = id_in(payload, "pipelineRunId", "run")
        repository = id_in(payload, "repositoryId", "repo")
        pipeline = id_in(payload, "pipelineId", "pipe")

        async def turn(unit: Unit) -> None:
            slots = await unit.find(RunSlots, slots_id(repository))
            if slots is not None and slots.find(run) is not None:
                unit.put(free_slot(slots, run))
            definition = await unit.find(PipelineDefinition, pipeline)
            if definition is None or payload.get("status") not in (RunStatus.SUCCEEDED, RunStatus.FAILED):
                return
            is_valid = payload.get("outcomeReason") != INVALID_DEFINITION
            branch = str(payload.get("branch"))
            if change := linted(definition, branch=branch, is_valid=is_valid, at=unit.now):
                unit.apply(change)

        await self.units.run(actor, Repository.__record__.root_of(repository), turn, once)

    async def cancel(self, actor: Actor, run: str, once: Once | None) -> PipelineRun:
        """Over at once; the worker notices within a second and ends its processes."""

        async def turn(unit: Unit) -> PipelineRun:
            ending = cancel(await unit.get(PipelineRun, run), actor.subject, unit.now)
            unit.put(ending.build_result)
            return unit.apply(ending.run)

        return await self.units.run(actor, PipelineRun.__record__.root_of(run), turn, once)

    async def get(self, actor: Actor, run: str) -> PipelineRun:
        return await self.units.get(actor, PipelineRun, run)

    async def list(self, actor: Actor, query: Query) -> Page[PipelineRun]:
        return await self.units.list(actor, PipelineRun, query)

    async def build_result(self, actor: Actor, build_result: str) -> BuildResult:
        return await self.units.get(actor, BuildResult, build_result)

    async def build_results(self, actor: Actor, query: Query) -> Page[BuildResult]:
        return await self.units.list(actor, BuildResult, query)

    async def logs(
        self,
        actor: Actor,
        run: str,
        *,
        offset: int = 0,
        limit: int = 500,
        follow: bool = False,
        wait: float = 20,
    ) -> LogPage:
        """At most `limit` lines from byte `offset`. `follow` waits up to `wait` seconds for the first one."""
        return await self.run_logs.page(
            actor, run, offset=offset, limit=limit, wait=min(wait, 20.0) if follow else 0.0
        )

    async def _definition_for(self, unit: Unit, repository: Repository) -> PipelineDefinition:
        module = repository.module or repository.name
        found = await unit.find(PipelineDefinition, pipeline_id(repository.id, module))
        if found is not None:
            return found
        draft = PipelineDraft(repository.id, module, ModuleType.MICROSERVICE)
        text = self.definitions.render(template(module, draft.module_type, None))
        default = Generated(Provider.EMBEDDED, path_on(Provider.EMBEDDED, module), text)
        branch = repository.default_branch
        made = described(unit, repository, draft, default, branch=branch, commit_sha=None)
        unit.put(version_of(made, text, unit.actor.subject))
        return unit.apply(generated(made))

    async def _order(self, unit: Unit, pipeline: PipelineDefinition, order: _Order) -> PipelineRun:
        """Number, slot and command in one batch. The same order again gives the same run."""
        run = run_id(pipeline.tenant, pipeline.id, order.seed)
        day = f"{unit.now:%Y%m%d}"
        slots_key = slots_id(pipeline.repository)
        counter_key = counter_id(pipeline.repository, pipeline.id, day)
        await unit.load(
            RunSlots.__record__.document(slots_key), BuildCounter.__record__.document(counter_key)
        )
        slots = await unit.find(RunSlots, slots_key) or RunSlots(id=slots_key)
        # Looked for only now: had it been started and finished since, the slots would have changed under us
        # and this batch would lose.
        if (existing := await self.units.find(unit.actor, PipelineRun, run)) is not None:
            return existing
        if (slot := slots.find(run)) is not None:
            return self._pending(pipeline, order, slot)
        counter = await unit.find(BuildCounter, counter_key)
        moved, number = next_build(counter or BuildCounter(id=counter_key, pipeline=pipeline.id, day=day))
        slot = Slot(run, number, unit.now, unit.actor.subject)
        pending = self._pending(pipeline, order, slot)
        unit.put(moved)
        unit.apply(Change(take_slot(slots, slot, self.run_limit), "run.requested", run_ordered(pending)))
        return pending

    def _pending(self, pipeline: PipelineDefinition, order: _Order, slot: Slot) -> PipelineRun:
        return PipelineRun(
            id=slot.run,
            tenant=pipeline.tenant,
            project=pipeline.project,
            module=pipeline.module,
            repository=pipeline.repository,
            pipeline=pipeline.id,
            branch=order.branch,
            commit_sha=order.commit_sha,
            reason=order.reason,
            build_number=slot.build_number,
            pull_request=order.pull_request,
            requested_by=slot.requested_by,
            deadline_at=slot.created_at + self.run_timeout,
            created_at=slot.created_at,
            updated_at=slot.created_at,
            # As it will be stored: the answer is given before its record is written.
            revision=1,
        )

    async def _carry(
        self, actor: Actor, run: PipelineRun, once: Once | None, turn: int | None = None
    ) -> PipelineRun:
        if run.is_terminal:
            return run
        carried = await self.vendor_runs.carry(actor, run, once, turn)
        return carried or await self.executor.execute(actor, run, once)

    async def _ensure(self, actor: Actor, pending: PipelineRun) -> PipelineRun:
        """The run's record, created unless the worker or the caller before us has done so."""

        async def turn(unit: Unit) -> PipelineRun:
            existing = await unit.find(PipelineRun, pending.id)
            return existing or unit.apply(created(replace(pending, revision=0)))

        return await self.units.run(actor, PipelineRun.__record__.root_of(pending.id), turn)
