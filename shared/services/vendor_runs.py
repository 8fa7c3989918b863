"""Runs that a vendor's CI does: begun there once, followed turn by turn to their end, stopped when we say so.

A vendor that is away costs no delivery of a message: the next turn is scheduled until the run's deadline.
"""

import logging
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import DeliveryError, Transient
from shared.domain.kernel.events import id_in
from shared.domain.pipelines.events import cancel_host_run, follow_run
from shared.domain.pipelines.lifecycle import Ending, error
from shared.domain.pipelines.model import (
    Phase,
    PipelineDefinition,
    PipelineRun,
    RunSlots,
    RunWatch,
    slots_id,
    watch_id,
)
from shared.domain.pipelines.results import Produced
from shared.domain.pipelines.vendor import (
    adopted,
    concluded,
    mirrored,
    next_look,
    phases_of,
    runs_at_vendor,
    verdict_of,
)
from shared.domain.source.model import Provider, Repository
from shared.ports.ci_host import CiHost, CiRun, CiStatus, UnknownRun, UnknownWorkflow
from shared.ports.source_host import Place, SourceHost
from shared.services.branches import place_of
from shared.services.once import Once
from shared.services.unit import Unit, Units
from shared.services.vendor_logs import VendorLogs
from shared.services.vendor_outputs import Fetched, VendorOutputs

_log = logging.getLogger(__name__)
LOST = timedelta(minutes=2)
"""How late a turn is taken for lost, its message having met three dying processes."""
SEARCH_TURNS = 3
"""How often a vendor is asked for a run that may have begun there: its list may show one a little later."""
CANCEL_TURNS = 60
"""How often a vendor is asked to stop a run, half an hour, before it is left to its own limits."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run as its vendor shows it. `log` is None where there is none yet."""

    run: CiRun
    phases: tuple[Phase, ...]
    log: str | None

    @property
    def is_over(self) -> bool:
        return self.run.status is CiStatus.COMPLETED


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn of one run: who takes it, and what was known when it began."""

    actor: Actor
    run: PipelineRun
    watch: RunWatch
    pipeline: PipelineDefinition
    place: Place
    once: Once | None


@dataclass(frozen=True, slots=True)
class VendorRuns:
    units: Units
    host: SourceHost
    ci: Mapping[Provider, CiHost]
    logs: VendorLogs
    outputs: VendorOutputs

    async def carry(
        self, actor: Actor, run: PipelineRun, once: Once | None, turn: int | None = None
    ) -> PipelineRun | None:
        """Take a turn at a run: begin it, or look what has become of it. None where our own runner has to do
        it. `turn` names the turn that a message is for; without one, what is under way is left alone unless
        its turn was lost."""
        if run.attempt and run.host_run is None:
            return None
        pipeline = await self.units.get(actor, PipelineDefinition, run.pipeline)
        if pipeline.provider not in self.ci:
            return None
        found = await self.units.find(actor, RunWatch, watch_id(run.id))
        now = self.units.clock.now()
        watch = found or _first_watch(run, now)
        if found is not None and turn != found.turn and (turn is not None or now < found.due_at + LOST):
            return run
        place = place_of(await self.units.get(actor, Repository, run.repository))
        taken = _Turn(actor, run, watch, pipeline, place, once)
        return await (self._begin(taken) if run.host_run is None else self._look(taken, run.host_run))

    async def stop(self, actor: Actor, payload: Mapping[str, object], once: Once | None) -> None:
        """Handle CancelHostRun: the run is over here, and the vendor is asked until it has heard."""
        run = await self.units.get(actor, PipelineRun, id_in(payload, "pipelineRunId", "run"))
        pipeline = await self.units.get(actor, PipelineDefinition, run.pipeline)
        repository = await self.units.get(actor, Repository, run.repository)
        ci, told, turn = self.ci.get(pipeline.provider), payload["hostRun"], turn_in(payload)
        if ci is None:
            return
        host_run, wait = None if told is None else str(told), 0.0
        try:
            if host_run is None:
                host_run = await _begun(ci, place_of(repository), pipeline, run)
            if host_run is not None:
                await ci.cancel(place_of(repository), host_run)
                return
            if turn >= SEARCH_TURNS:
                return
        except Transient as away:
            if turn >= CANCEL_TURNS:
                _log.warning("run %s goes on at its vendor: %s", run.id, away.message)
                return
            wait = _wished(away)
        except DeliveryError as refused:
            _log.warning("run %s goes on at its vendor: %s", run.id, refused.message)
            return
        again = self.units.clock.now() + next_look(turn, at_least=wait)

        async def reschedule(unit: Unit) -> None:
            unit.emit(cancel_host_run(run, host_run, turn + 1, again))

        await self.units.run(actor, PipelineRun.__record__.root_of(run.id), reschedule, once)

    async def nudge(self, actor: Actor, repository: str, host_run: str | None = None) -> None:
        """Something has happened at the vendor: its active runs, or just that one, are looked at now."""
        slots = await self.units.find(actor, RunSlots, slots_id(repository))
        for slot in slots.active if slots else ():

            async def turn(unit: Unit, key: str = slot.run) -> None:
                watch, run = watch_id(key), PipelineRun.__record__.document(key)
                await unit.load(run, RunWatch.__record__.document(watch))
                known, current = await unit.find(RunWatch, watch), await unit.find(PipelineRun, key)
                if known is None or current is None or current.is_terminal or current.host_run is None:
                    return
                if host_run in (None, current.host_run):
                    _schedule(unit, current, known, unit.now)

            await self.units.run(actor, PipelineRun.__record__.root_of(slot.run), turn)

    async def _begin(self, turn: _Turn) -> PipelineRun | None:
        """Start it at the vendor, or find it there: its id names the request."""
        run, pipeline = turn.run, turn.pipeline
        path = pipeline.definition_path
        try:
            text = await self.host.read_file(turn.place, run.commit_sha, path)
            if not runs_at_vendor(pipeline, has_definition=text is not None):
                return None
            begun = await self.ci[pipeline.provider].start(
                turn.place, path, ref=run.branch, inputs={}, once=run.id, since=run.created_at
            )
        except Transient as away:
            return await self._come_again(turn, away)
        except UnknownWorkflow:
            return await self._give_up(
                turn,
                f"{pipeline.provider} cannot start {path}: it has to be on the default branch, in a form that"
                " can be started from outside; generate the pipeline again there.",
            )
        except DeliveryError as refused:
            return await self._give_up(turn, f"{pipeline.provider} does not start it: {refused.message}")
        words = f"{pipeline.provider} does build {run.build_number} of {run.module}: {begun.url}"
        size = await self.logs.open(run, words, *_moved(run, begun))

        async def record(unit: Unit) -> PipelineRun:
            current = await unit.get(PipelineRun, run.id)
            if current.is_terminal:
                unit.emit(cancel_host_run(current, begun.id))
                return current
            if current.host_run is not None:
                return current
            saved = unit.apply(adopted(current, begun.id, begun.url, begun.sha, unit.now))
            watch = await unit.find(RunWatch, turn.watch.id) or turn.watch
            _schedule(unit, saved, replace(watch, log_size=size), unit.now + next_look(1))
            return saved

        return await self._commit(turn, record)

    async def _look(self, turn: _Turn, host_run: str) -> PipelineRun:
        """See how far it is; its end is ours, with what it has left."""
        ci = self.ci[turn.pipeline.provider]
        with tempfile.TemporaryDirectory(prefix="slipway-artifacts-") as folder:
            fetched, notes = list[Fetched](), list[str]()
            try:
                seen = await self._seen(turn, ci, host_run)
                if seen is not None and seen.is_over:
                    is_good = verdict_of(seen.run.conclusion).verb == "succeed"
                    fetched, notes = await self.outputs.fetch(
                        ci, turn.place, host_run, Path(folder), with_artifacts=is_good
                    )
            except Transient as away:
                return await self._come_again(turn, away)
            except DeliveryError as refused:
                return await self._give_up(turn, f"its vendor does not show it: {refused.message}")
            if seen is None:
                gone = f"somebody has deleted the run {host_run} at {turn.pipeline.provider}"
                return await self._give_up(turn, f"{gone}; start another one")
            if not seen.is_over:
                return await self._progress(turn, seen)
            produced, more = await self.outputs.keep(turn.run.tenant, turn.run.id, fetched)
        return await self._conclude(turn, seen, produced, [*notes, *more])

    async def _seen(self, turn: _Turn, ci: CiHost, host_run: str) -> _Seen | None:
        found = await ci.find(turn.place, host_run)
        if found is None:
            return None
        try:
            phases = phases_of(turn.run.id, await ci.jobs(turn.place, host_run))
        except UnknownRun:
            phases = turn.run.phases
        log = None
        # Of a run under way only where a step has come or gone: a vendor counts what it is asked.
        if found.status is CiStatus.COMPLETED or phases != turn.run.phases:
            try:
                log = await ci.log(turn.place, host_run)
            except UnknownRun:
                log = None
        return _Seen(found, phases, log)

    async def _progress(self, turn: _Turn, seen: _Seen) -> PipelineRun:
        watch = turn.watch
        if seen.log is not None:
            watch = await self.logs.append(turn.run, watch, seen.log, is_over=False)

        async def record(unit: Unit) -> PipelineRun:
            current = await self._current(unit, turn)
            if current is None:
                return turn.run
            shown = mirrored(current, seen.phases, unit.now)
            saved = current if shown is current else unit.put(shown)
            _schedule(unit, saved, watch, unit.now + next_look(watch.turn))
            return saved

        return await self._commit(turn, record)

    async def _conclude(self, turn: _Turn, seen: _Seen, produced: Produced, notes: list[str]) -> PipelineRun:
        if seen.log is None:
            notes.insert(0, f"{turn.pipeline.provider} keeps no log of it.")
        notes += _moved(turn.run, seen.run)
        await self.logs.append(turn.run, turn.watch, seen.log, notes, is_over=True)
        ended, sha = seen.run.conclusion, seen.run.sha
        return await self._end(turn, lambda run, at: concluded(run, ended, sha, seen.phases, produced, at))

    async def _give_up(self, turn: _Turn, reason: str) -> PipelineRun:
        await self.logs.append(turn.run, turn.watch, None, [reason], is_over=True)
        return await self._end(turn, lambda run, at: error(run, reason, at))

    async def _end(
        self, turn: _Turn, decide: Callable[[PipelineRun, datetime], Ending | None]
    ) -> PipelineRun:
        """The run, its result and their events in one batch; nothing where it is over, or taken over."""

        async def record(unit: Unit) -> PipelineRun:
            current = await self._current(unit, turn)
            ending = None if current is None else decide(current, unit.now)
            if ending is None:
                return current or turn.run
            unit.put(ending.build_result)
            return unit.apply(ending.run)

        return await self._commit(turn, record)

    async def _come_again(self, turn: _Turn, away: Transient) -> PipelineRun:
        """The vendor is away: the next turn finds out, or the deadline ends it."""
        _log.warning("run %s: its vendor is away: %s", turn.run.id, away.message)

        async def record(unit: Unit) -> PipelineRun:
            current = await self._current(unit, turn)
            if current is None:
                return turn.run
            wait = next_look(turn.watch.turn, at_least=_wished(away))
            _schedule(unit, current, turn.watch, unit.now + wait)
            return current

        return await self._commit(turn, record)

    async def _current(self, unit: Unit, turn: _Turn) -> PipelineRun | None:
        """The run, if this turn may still report. A late one is ignored."""
        key = turn.run.id
        await unit.load(PipelineRun.__record__.document(key), RunWatch.__record__.document(turn.watch.id))
        current = await unit.get(PipelineRun, key)
        watch = await unit.find(RunWatch, turn.watch.id)
        if current.is_terminal or (watch is not None and watch.turn != turn.watch.turn):
            _log.info("run %s: what its vendor says comes too late", key)
            return None
        return current

    async def _commit(self, turn: _Turn, record: Callable[[Unit], Awaitable[PipelineRun]]) -> PipelineRun:
        root = PipelineRun.__record__.root_of(turn.run.id)
        return await self.units.run(turn.actor, root, record, turn.once)


async def _begun(ci: CiHost, place: Place, pipeline: PipelineDefinition, run: PipelineRun) -> str | None:
    """What has begun for this run, and nobody lived to record."""
    found = await ci.started(place, pipeline.definition_path, once=run.id, since=run.created_at)
    return None if found is None else found.id


def _first_watch(run: PipelineRun, at: datetime) -> RunWatch:
    return RunWatch(id=watch_id(run.id), tenant=run.tenant, run=run.id, due_at=at)


def _schedule(unit: Unit, run: PipelineRun, watch: RunWatch, due_at: datetime) -> None:
    """The next turn, and the only one that counts from now on."""
    following = unit.put(replace(watch, turn=watch.turn + 1, due_at=due_at))
    unit.emit(follow_run(run, following.turn, due_at))


def _moved(run: PipelineRun, theirs: CiRun) -> list[str]:
    """What the log says where the branch has moved on since the run was ordered."""
    if theirs.sha in ("", run.commit_sha):
        return []
    return [f"{run.branch} has moved on: this builds {theirs.sha} and not {run.commit_sha}."]


def turn_in(payload: Mapping[str, object]) -> int:
    """The turn that a command is for."""
    turn = payload.get("turn")
    return turn if isinstance(turn, int) else 0


def _wished(away: Transient) -> float:
    """The seconds that a vendor wants to be left alone for."""
    wish = away.facts.get("retry_after")
    return float(wish) if isinstance(wish, int | float) else 0.0
