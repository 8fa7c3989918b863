"""The Provisioner port without a cloud: runs registered Pulumi programs, previews and records what they want.
Never shows a result as applied infrastructure. Importing this needs no Pulumi."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.adapters.processes import Scratch
from shared.adapters.provisioners.embedded import outputs, plan, project
from shared.adapters.provisioners.embedded.process import CANCELLED, Limits, run_program, watched
from shared.adapters.provisioners.embedded.properties import Properties, hiding
from shared.adapters.provisioners.embedded.simulation import Simulation, deletions
from shared.adapters.provisioners.embedded.state import Snapshot, StackFolder
from shared.ports.clock import Clock
from shared.ports.provisioner import (
    Applied,
    BadConfig,
    Config,
    EngineUnavailable,
    OnEvent,
    Operation,
    Plan,
    PlanBlocked,
    PlanChanged,
    Program,
    Progress,
    Stack,
    StackState,
    UnknownProgram,
    UnknownStack,
    UpdateCancelled,
)

_WORK = "slipway-iac-"


def _client_config(_arguments: Properties) -> Properties:
    return {
        "clientId": outputs.CLIENT,
        "objectId": outputs.OBJECT,
        "subscriptionId": outputs.SUBSCRIPTION,
        "tenantId": outputs.TENANT,
    }


INVOKES: Mapping[str, Callable[[Properties], Properties]] = {
    "azure-native:authorization:getClientConfig": _client_config,
}
"""What programs may ask the cloud, and what they hear. A function that is not here fails the program."""


def _protocol() -> tuple[ModuleType, ModuleType]:
    """The modules that need Pulumi's libraries, which only machines that run programs have."""
    try:
        from shared.adapters.provisioners.embedded import monitor, policies  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise EngineUnavailable(
            f"The embedded engine needs the package {(error.name or 'pulumi').partition('.')[0]!r}; install"
            " infra/requirements.txt beside this application."
        ) from None
    return monitor, policies


@dataclass(frozen=True, slots=True)
class _Run:
    """A stack that is held. `work` is scratch space with a short path."""

    stack: Stack
    place: StackFolder
    work: Path
    events: asyncio.Queue[Progress | None] = field(default_factory=asyncio.Queue)

    async def emit(self, event: Progress) -> None:
        """Never fails for what the caller's `on_event` does: a program must not hear of that."""
        self.place.append(event)
        self.events.put_nowait(event)

    async def pass_on(self, on_event: OnEvent) -> None:
        while (event := await self.events.get()) is not None:
            await on_event(event)

    def record(self, snapshot: Snapshot) -> None:
        """Not in a thread: a task cancelled meanwhile would free the stack before the file is written.

        Raises UpdateCancelled, if somebody asked in time.
        """
        if self.place.asked_to_cancel():
            raise UpdateCancelled(CANCELLED)
        self.place.save(snapshot)

    async def phase(self, line: str) -> None:
        await self.emit(Progress("phase", line))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedProvisioner:
    """`root` holds the states; `programs` by their registered names. Adapters of several processes may share
    a root on one machine."""

    root: Path
    programs: Mapping[str, Program]
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    invokes: Mapping[str, Callable[[Properties], Properties]] = field(default_factory=lambda: INVOKES)

    async def preview(
        self, stack: Stack, config: Config, *, on_event: OnEvent, destroy: bool = False
    ) -> Plan:
        """See the port."""
        program = self._program(stack)
        async with self._held(stack, on_event) as run:
            before = run.place.load() or Snapshot()
            if destroy:
                return self._destruction(stack, before)
            async with self._packs(program, run) as packs:
                made, _ = await self._simulate(run, program, config, before, packs, preview=True)
        return made

    async def apply(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """See the port."""
        program = self._program(stack)
        async with self._held(stack, on_event) as run:
            before = run.place.load() or Snapshot()
            if (before.digest, before.operation) == (digest, "up"):
                return _repeated(stack, before)
            async with self._packs(program, run) as packs:
                approved, _ = await self._simulate(run, program, config, before, packs, preview=True)
                _check(approved, digest)
                done, simulation = await self._simulate(run, program, config, before, packs, preview=False)
            _refuse_obstacles(done)  # now that everything is known, policies may see more
            snapshot = Snapshot(simulation.resources(), digest, "up", done.counts, self.clock.now())
            run.record(snapshot)
            await run.phase("recorded")
        return _applied(done, digest)

    async def destroy(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """See the port."""
        self._program(stack)
        async with self._held(stack, on_event) as run:
            before = run.place.load() or Snapshot()
            if (before.digest, before.operation) == (digest, "destroy"):
                return _repeated(stack, before)
            done = self._destruction(stack, before)
            _check(done, digest)
            snapshot = Snapshot((), digest, "destroy", done.counts, self.clock.now())
            run.record(snapshot)
            for change in done.changes:
                line = f"{change.action} {change.type} {change.name}"
                await run.emit(Progress("resource", line, change.urn, change.action))
            await run.phase("recorded")
        return _applied(done, digest)

    async def cancel(self, stack: Stack) -> bool:
        """See the port. The run notices within a tenth of a second."""
        place = StackFolder.of(self.root, stack)
        if not place.is_busy():
            return False
        place.ask_to_cancel()
        return True

    async def state(self, stack: Stack) -> StackState:
        """See the port."""
        snapshot = self._last(stack)
        if snapshot is None:
            raise UnknownStack(
                f"Stack {stack.name!r} has never been applied, or was destroyed; apply it first."
            )
        return snapshot.public(stack)

    async def log(self, stack: Stack) -> tuple[Progress, ...]:
        """See the port."""
        return StackFolder.of(self.root, stack).events()

    def _program(self, stack: Stack) -> Program:
        if not project.is_name(stack.name):
            raise BadConfig("A stack's name has 1 to 100 letters, digits, dots, dashes or underscores.")
        found = self.programs.get(stack.program)
        if found is None:
            raise UnknownProgram(f"No program {stack.program!r} is registered; name one of those that are.")
        return found

    def _last(self, stack: Stack) -> Snapshot | None:
        snapshot = StackFolder.of(self.root, stack).load()
        return snapshot if snapshot is not None and snapshot.operation == "up" else None

    @contextlib.asynccontextmanager
    async def _held(self, stack: Stack, on_event: OnEvent) -> AsyncIterator[_Run]:
        place = StackFolder.of(self.root, stack)
        work = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=_WORK))
        owner: dict[str, str | int] = {
            "pid": os.getpid(),
            "work": str(work),
            "since": self.clock.now().isoformat(),
        }
        try:
            with place.locked(owner) as left:
                if (old := Path(str(left.get("work", "")))).name.startswith(_WORK):
                    await Scratch(old).discard(0)  # an owner that was killed: what it started must not go on
                place.forget_cancel()
                place.start_log()
                run = _Run(stack, place, work)
                listening = asyncio.create_task(run.pass_on(on_event))
                try:
                    yield run
                finally:
                    run.events.put_nowait(None)
                    await listening
        finally:
            await asyncio.shield(Scratch(work).discard(0))

    @contextlib.asynccontextmanager
    async def _packs(self, program: Program, run: _Run) -> AsyncIterator[Any]:
        _, policies = await asyncio.to_thread(_protocol)
        async with policies.serving(program.policy_packs, run.work, self.limits) as packs:
            yield packs

    async def _simulate(
        self, run: _Run, program: Program, config: Config, before: Snapshot, packs: Any, *, preview: bool
    ) -> tuple[Plan, Simulation]:
        monitors, _ = await asyncio.to_thread(_protocol)
        folder = program.folder.absolute()
        loaded = project.load(folder, run.stack.name, config)
        await run.phase("previewing" if preview else "applying")
        simulation = Simulation(
            run.stack.name,
            loaded.name,
            folder,
            before,
            preview=preview,
            references=lambda name: self._sibling(run.stack, name),
        )
        order = {
            "main": str(loaded.main),
            "folder": str(folder),
            "config": loaded.values,
            "secret_keys": sorted(loaded.secrets),
            "project": loaded.name,
            "stack": run.stack.name,
            "organization": run.stack.tenant,
            "dry_run": preview,
        }
        hide = hiding(loaded.secrets.values())
        monitor = monitors.Monitor(simulation, order, self.invokes, run.emit, hide)
        asked = run.place.asked_to_cancel
        await run_program(monitor, folder, run.work / "run", self.limits, asked)
        asking = packs.ask(run.stack, loaded.name, preview, simulation)
        violations = tuple(
            replace(violation, message=hide(violation.message))
            for violation in await watched(asking, self.limits, asked)
        )
        for violation in violations:
            text = f"{violation.level}: {violation.policy}: {violation.message}"
            await run.emit(Progress("violation", text, violation.urn))
        changes = simulation.changes()
        digest = plan.plan_digest(run.stack, "up", loaded.values, changes, simulation.resources())
        said = (*monitor.diagnostics, *simulation.diagnostics)
        made = plan.made(run.stack, "up", digest, changes, simulation.shown_outputs(), said, violations)
        return made, simulation

    def _sibling(self, stack: Stack, name: str) -> Snapshot | None:
        """By `stack` or `organization/project/stack`. Another tenant's stack is as unknown as one that is not
        there."""
        match name.split("/"):
            case [sibling] if project.is_name(sibling):
                return self._last(Stack(stack.tenant, stack.program, sibling))
            case [organization, of, sibling] if organization in {stack.tenant, "organization"}:
                program = next((p for p in self.programs.values() if of in _names(p)), None)
                if program is not None and project.is_name(sibling):
                    return self._last(Stack(stack.tenant, program.name, sibling))
        return None

    def _destruction(self, stack: Stack, before: Snapshot) -> Plan:
        if not before.resources:
            raise UnknownStack(f"Stack {stack.name!r} holds nothing to destroy.")
        changes = tuple(deletions(before.resources))
        operation: Operation = "destroy"
        digest = plan.plan_digest(stack, operation, {}, changes, before.resources)
        return plan.made(stack, operation, digest, changes, {})


def _names(program: Program) -> set[str]:
    return {program.name, project.project_name(program.folder)}


def _check(made: Plan, digest: str) -> None:
    if made.digest != digest:
        raise PlanChanged(
            "The plan is no longer the approved one: the program, its configuration or the stack changed"
            " since. Preview it again and have that approved.",
            digest=made.digest,
        )
    _refuse_obstacles(made)


def _refuse_obstacles(made: Plan) -> None:
    if obstacles := made.obstacles:
        more = f" (and {len(obstacles) - 1} more)" if len(obstacles) > 1 else ""
        raise PlanBlocked(f"The plan may not be applied: {obstacles[0]}{more}", obstacles=list(obstacles))


def _applied(done: Plan, digest: str) -> Applied:
    return Applied(
        done.stack,
        done.operation,
        done.engine_mode,
        digest,
        done.counts,
        done.changes,
        done.outputs,
        done.diagnostics,
        done.violations,
    )


def _repeated(stack: Stack, before: Snapshot) -> Applied:
    return Applied(
        stack,
        before.operation,
        "local-simulation",
        before.digest,
        before.counts,
        (),
        before.shown_outputs(),
        plan.LIMITS,
        repeated=True,
    )
