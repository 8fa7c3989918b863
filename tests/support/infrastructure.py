"""A provisioner of made-up programs: a stack holds the names that its configuration lists, kept in files."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from shared.domain.kernel.canonical import digest
from shared.ports.provisioner import (
    ACTIONS,
    Action,
    Applied,
    Config,
    Diagnostic,
    OnEvent,
    Operation,
    Plan,
    PlanBlocked,
    PlanChanged,
    PolicyViolation,
    ProgramFailed,
    Progress,
    PropertyChange,
    ResourceChange,
    Stack,
    StackBusy,
    StackResource,
    StackState,
    UnknownStack,
    UpdateCancelled,
)
from tests.support.app import START

PROGRAM = "ConnectSoft.Factory.DevOps.Infra.BookingSaas"
DEFAULT = "queue=1,site=1"


@dataclass
class MadeUpProvisioner:
    """Configuration: `things` as `name=size,name=size`, where a size that begins with `!` replaces; `fail`
    and `violate` with a sentence. Of secrets only the digest is kept.

    A run waits while `gate` is not set. `most` counts the runs of one stack that went on at once.
    """

    root: Path
    gate: asyncio.Event | None = None
    calls: list[str] = field(default_factory=list)
    most: int = 0
    _running: Counter[Stack] = field(default_factory=Counter)
    _cancelled: set[Stack] = field(default_factory=set)

    async def preview(
        self, stack: Stack, config: Config, *, on_event: OnEvent, destroy: bool = False
    ) -> Plan:
        self.calls.append("preview")
        await self._run(stack, on_event, "previewing")
        return self._plan(stack, config, destroy=destroy)

    async def apply(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        return await self._carry_out(stack, config, digest, "up", on_event)

    async def destroy(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        return await self._carry_out(stack, config, digest, "destroy", on_event)

    async def cancel(self, stack: Stack) -> bool:
        self.calls.append("cancel")
        if self._running[stack]:
            self._cancelled.add(stack)
        return self._running[stack] > 0

    async def state(self, stack: Stack) -> StackState:
        known = self._load(stack)
        if known.get("operation") != "up":
            raise UnknownStack(f"Stack {stack.name!r} has never been applied, or was destroyed.")
        resources = tuple(
            StackResource(_urn(stack, name), "made:up:Thing", name, name, {"size": size}, (), False)
            for name, size in known["things"].items()
        )
        return StackState(stack, "local-simulation", known["digest"], START, resources, known["outputs"])

    async def log(self, stack: Stack) -> tuple[Progress, ...]:
        return ()

    def things(self, stack: str, program: str = PROGRAM, tenant: str = "acme") -> dict[str, str]:
        """What a stack holds."""
        found: dict[str, str] = self._load(Stack(tenant, program, stack)).get("things", {})
        return found

    async def _carry_out(
        self, stack: Stack, config: Config, wanted: str, operation: Operation, on_event: OnEvent
    ) -> Applied:
        self.calls.append("apply" if operation == "up" else "destroy")
        known = self._load(stack)
        if (known.get("digest"), known.get("operation")) == (wanted, operation):
            return _applied(stack, operation, wanted, known["counts"], known["outputs"], repeated=True)
        plan = self._plan(stack, config, destroy=operation == "destroy")
        if plan.digest != wanted:
            raise PlanChanged("The plan is no longer the approved one.", digest=plan.digest)
        if plan.obstacles:
            raise PlanBlocked(plan.obstacles[0])
        await self._run(stack, on_event, "applying")
        things = {} if operation == "destroy" else _wanted(config)
        outputs = {f"{name}-url": f"https://{name}.example" for name in sorted(things)}
        outputs |= dict.fromkeys(config.secrets, "[secret]")
        file = self._file(stack)
        file.parent.mkdir(parents=True, exist_ok=True)
        text = {"things": things, "digest": wanted, "operation": operation, "counts": plan.counts}
        file.write_text(json.dumps(text | {"outputs": outputs}))
        return _applied(stack, operation, wanted, plan.counts, outputs)

    async def _run(self, stack: Stack, on_event: OnEvent, phase: str) -> None:
        if self._running[stack]:
            raise StackBusy("Another update of this stack is under way.")
        self._running[stack] += 1
        self.most = max(self.most, self._running[stack])
        try:
            await on_event(Progress("phase", phase))
            while self.gate is not None and not self.gate.is_set():
                await asyncio.sleep(0.01)
                if stack in self._cancelled:
                    raise UpdateCancelled("Somebody cancelled the update.")
        finally:
            self._running[stack] -= 1
            self._cancelled.discard(stack)

    def _plan(self, stack: Stack, config: Config, *, destroy: bool) -> Plan:
        before: dict[str, str] = self._load(stack).get("things", {})
        if "fail" in config.values:
            fault = Diagnostic("error", config.values["fail"])
            raise ProgramFailed("The program failed; see the log.", fault)
        if destroy and not before:
            raise UnknownStack(f"Stack {stack.name!r} holds nothing to destroy.")
        after = {} if destroy else _wanted(config)
        changes = tuple(_change(stack, name, before, after) for name in sorted({*before, *after}))
        counts = dict.fromkeys(ACTIONS, 0) | Counter(change.action for change in changes)
        found = config.values.get("violate")
        violations = (PolicyViolation("house", "no-things", "mandatory", found),) if found else ()
        operation: Operation = "destroy" if destroy else "up"
        told = [
            operation,
            *stack_words(stack),
            before,
            after,
            dict(config.values),
            digest(dict(config.secrets)),
        ]
        return Plan(
            stack, operation, "local-simulation", digest(told), counts, changes, {}, violations=violations
        )

    def _load(self, stack: Stack) -> dict[str, Any]:
        file = self._file(stack)
        return cast(dict[str, Any], json.loads(file.read_text())) if file.exists() else {}

    def _file(self, stack: Stack) -> Path:
        return self.root.joinpath(*stack_words(stack)).with_suffix(".json")


def stack_words(stack: Stack) -> tuple[str, str, str]:
    return stack.tenant, stack.program, stack.name


def _wanted(config: Config) -> dict[str, str]:
    listed = config.values.get("things", DEFAULT)
    return dict(pair.split("=") for pair in listed.split(",") if pair)


def _urn(stack: Stack, name: str) -> str:
    return f"urn:pulumi:{stack.name}::made::up:Thing::{name}"


def _change(stack: Stack, name: str, before: Mapping[str, str], after: Mapping[str, str]) -> ResourceChange:
    old, new = before.get(name), after.get(name)
    action: Action = "same"
    if old is None:
        action = "create"
    elif new is None:
        action = "delete"
    elif old != new:
        action = "replace" if new.startswith("!") else "update"
    paths = (PropertyChange("size", "changed", old, new),) if action in {"update", "replace"} else ()
    return ResourceChange(_urn(stack, name), "made:up:Thing", name, action, paths)


def _applied(
    stack: Stack,
    operation: Operation,
    wanted: str,
    counts: Mapping[Action, int],
    outputs: Mapping[str, Any],
    *,
    repeated: bool = False,
) -> Applied:
    return Applied(stack, operation, "local-simulation", wanted, counts, (), outputs, repeated=repeated)
