"""The Provisioner port on Pulumi's Automation API, for a container that has the CLI beside it. Every run
works in a copy of its program; states and locks are the backend's, and an update's message is its digest.

The CLI takes configuration as arguments, secrets too: nobody else may share the container. A run goes on in
its thread when its caller is cancelled; the backend's lock keeps others out until it ends.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.adapters.provisioners.engine_events import Story, check, deletions, outputs, resource
from shared.ports.clock import Clock
from shared.ports.provisioner import (
    Applied,
    Config,
    Diagnostic,
    EngineUnavailable,
    OnEvent,
    Operation,
    Plan,
    Program,
    ProgramFailed,
    Progress,
    Stack,
    StackBusy,
    StackState,
    UnknownProgram,
    UnknownStack,
)

MESSAGE = "slipway"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".venv", ".git", "node_modules")


@dataclass(frozen=True, slots=True)
class _Told:
    """What a run of the CLI has said, from its thread to ours."""

    story: Story
    on_event: OnEvent
    loop: asyncio.AbstractEventLoop

    def hear(self, event: Any) -> None:
        """Called in the thread; waits until it is heard, so that nothing is told after the end."""
        line = self.story.hear(_as_json(event))
        if line is not None:
            asyncio.run_coroutine_threadsafe(self._pass_on(line), self.loop).result()

    async def _pass_on(self, line: Progress) -> None:
        await self.on_event(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationProvisioner:
    """`state_url` is Pulumi's backend (default: where the CLI is logged in), `secrets_provider` encrypts its
    secrets. Tenants have the stacks whose names begin with theirs."""

    root: Path
    programs: Mapping[str, Program]
    clock: Clock
    state_url: str = ""
    secrets_provider: str = ""

    def __post_init__(self) -> None:
        if shutil.which("pulumi") is None:
            raise EngineUnavailable(
                "SLIPWAY_IAC_BACKEND=automation needs the Pulumi CLI on the path and none is there; use the"
                " image that has it, or another backend."
            )
        _automation()

    async def preview(
        self, stack: Stack, config: Config, *, on_event: OnEvent, destroy: bool = False
    ) -> Plan:
        """See the port. A destruction is read from the state."""
        async with self._selected(stack, config) as selected:
            return await self._plan(selected, stack, config, on_event, destroy=destroy)

    async def apply(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """See the port."""
        return await self._carry_out(stack, config, digest, "up", on_event)

    async def destroy(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """See the port."""
        return await self._carry_out(stack, config, digest, "destroy", on_event)

    async def cancel(self, stack: Stack) -> bool:
        """See the port. The backend forgets the update; its process ends at its next step."""
        async with self._selected(stack, Config()) as selected:
            try:
                await asyncio.to_thread(selected.cancel)
            except _automation().CommandError:
                return False
        return True

    async def state(self, stack: Stack) -> StackState:
        """See the port."""
        async with self._selected(stack, Config()) as selected:
            resources, at = await self._resources(selected)
            operation, digest = await self._last(selected)
        if not resources or operation == "destroy":
            raise UnknownStack(f"Stack {stack.name!r} has never been applied, or was destroyed.")
        return StackState(
            stack, "automation", digest, at, tuple(map(resource, resources)), outputs(resources)
        )

    async def log(self, stack: Stack) -> tuple[Progress, ...]:
        """See the port. The CLI keeps none."""
        self._program(stack)
        return ()

    async def _carry_out(
        self, stack: Stack, config: Config, digest: str, operation: Operation, on_event: OnEvent
    ) -> Applied:
        async with self._selected(stack, config) as selected:
            repeated = await self._last(selected) == (operation, digest)
            story = Story()
            if not repeated:
                plan = await self._plan(selected, stack, config, on_event, destroy=operation == "destroy")
                check(plan, digest)
                message = f"{MESSAGE} {operation} {digest}"
                run = selected.up if operation == "up" else selected.destroy
                packs = {"policy_packs": self._packs(stack)} if operation == "up" else {}
                story = await _run(run, on_event, message=message, show_secrets=False, **packs)
                story.refuse_violations()
            resources, _ = await self._resources(selected)
        done = story.plan(stack, operation, "automation", config)
        return Applied(
            stack,
            operation,
            "automation",
            digest,
            done.counts,
            done.changes,
            outputs(resources) if operation == "up" else {},
            done.diagnostics,
            done.violations,
            repeated=repeated,
        )

    async def _plan(
        self, selected: Any, stack: Stack, config: Config, on_event: OnEvent, *, destroy: bool
    ) -> Plan:
        if destroy:
            resources, _ = await self._resources(selected)
            if not resources:
                raise UnknownStack(f"Stack {stack.name!r} holds nothing to destroy.")
            return deletions(resources).plan(stack, "destroy", "automation", Config())
        story = await _run(selected.preview, on_event, policy_packs=self._packs(stack))
        return story.plan(stack, "up", "automation", config)

    async def _resources(self, selected: Any) -> tuple[list[Mapping[str, Any]], datetime]:
        exported = (await asyncio.to_thread(selected.export_stack)).deployment or {}
        told = exported.get("manifest", {}).get("time")
        at = datetime.fromisoformat(told) if told else self.clock.now()
        return exported.get("resources") or [], at

    async def _last(self, selected: Any) -> tuple[str, str]:
        """Operation and digest of the last update, if it was ours and succeeded."""
        history = await asyncio.to_thread(selected.history, page_size=1, show_secrets=False)
        if not history or history[0].result != "succeeded":
            return "", ""
        ours, _, rest = history[0].message.partition(" ")
        operation, _, digest = rest.partition(" ")
        return (operation, digest) if ours == MESSAGE else ("", "")

    def _program(self, stack: Stack) -> Program:
        found = self.programs.get(stack.program)
        if found is None:
            raise UnknownProgram(f"No program {stack.program!r} is registered; name one of those that are.")
        return found

    def _packs(self, stack: Stack) -> list[str]:
        return [str(pack.absolute()) for pack in self._program(stack).policy_packs]

    @asynccontextmanager
    async def _selected(self, stack: Stack, config: Config) -> AsyncIterator[Any]:
        """The stack in a copy of its program, with its configuration set."""
        program, name = self._program(stack), f"{stack.tenant}.{stack.name}"
        self.root.mkdir(parents=True, exist_ok=True)
        work = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self.root))
        try:
            yield await asyncio.to_thread(self._select, program.folder, work / "program", name, stack, config)
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    def _select(self, source: Path, folder: Path, name: str, stack: Stack, config: Config) -> Any:
        automation = _automation()
        shutil.copytree(source, folder, ignore=_LEFT_OUT)
        settings = folder / f"Pulumi.{stack.name}.yaml"
        if settings.exists():
            settings.rename(folder / f"Pulumi.{name}.yaml")
        environment = {"PULUMI_SKIP_UPDATE_CHECK": "true"}
        if self.state_url:
            environment["PULUMI_BACKEND_URL"] = self.state_url
        options = automation.LocalWorkspaceOptions(
            env_vars=environment, secrets_provider=self.secrets_provider or None
        )
        try:
            selected = automation.create_or_select_stack(stack_name=name, work_dir=str(folder), opts=options)
            values = {key: automation.ConfigValue(value) for key, value in config.values.items()}
            values |= {
                key: automation.ConfigValue(value, secret=True) for key, value in config.secrets.items()
            }
            if values:
                selected.set_all_config(values)
        except automation.CommandError:
            # What the CLI says quotes its arguments, and secrets are among them.
            raise ProgramFailed("The Pulumi CLI could not select or configure the stack.") from None
        return selected


async def _run(run: Callable[..., Any], on_event: OnEvent, **options: Any) -> Story:
    """One run of the CLI, in a thread. Raises StackBusy and ProgramFailed."""
    automation = _automation()
    told = _Told(Story(), on_event, asyncio.get_running_loop())
    try:
        await asyncio.to_thread(run, on_event=told.hear, **options)
    except automation.ConcurrentUpdateError:
        raise StackBusy("Another update of this stack is under way.") from None
    except (automation.CommandError, RuntimeError):
        if not any(each.level == "mandatory" for each in told.story.violations):
            errors = [each for each in told.story.diagnostics if each.severity == "error"]
            unknown = Diagnostic("error", "The CLI ended without saying why; look at its container's log.")
            raise ProgramFailed("The program failed; the log says why.", *(errors or [unknown])) from None
    return told.story


def _automation() -> Any:
    try:
        from pulumi import automation  # noqa: PLC0415
    except ModuleNotFoundError:
        raise EngineUnavailable(
            "SLIPWAY_IAC_BACKEND=automation needs the package 'pulumi'; install infra/requirements.txt."
        ) from None
    return automation


def _as_json(event: Any) -> Mapping[str, Any]:
    """The engine's JSON again, of what the Automation API has read from it."""
    if (step := event.resource_pre_event) is not None:
        metadata = step.metadata
        detailed = {
            path: {"diffKind": diff.diff_kind.value} for path, diff in (metadata.detailed_diff or {}).items()
        }
        shape = {
            "op": metadata.op.value,
            "urn": metadata.urn,
            "type": metadata.type,
            "keys": metadata.keys,
            "old": _side(metadata.old),
            "new": _side(metadata.new),
            "detailedDiff": detailed,
        }
        return {"resourcePreEvent": {"metadata": shape}}
    if (said := event.diagnostic_event) is not None:
        names = ("message", "severity", "urn", "ephemeral")
        return {"diagnosticEvent": {name: getattr(said, name) for name in names}}
    if (found := event.policy_event) is not None:
        return {
            "policyEvent": {
                "message": found.message,
                "policyName": found.policy_name,
                "policyPackName": found.policy_pack_name,
                "enforcementLevel": found.enforcement_level,
                "resourceUrn": found.resource_urn,
            }
        }
    return {}


def _side(state: Any) -> Mapping[str, Any] | None:
    return None if state is None else {"inputs": state.inputs, "protect": state.protect}
