"""An embedded provisioner with the sample programs registered, and short ways to ask it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.adapters.provisioners.embedded import EmbeddedProvisioner, Limits
from shared.ports.provisioner import (
    Action,
    Applied,
    Config,
    OnEvent,
    Plan,
    Program,
    Progress,
    ResourceChange,
    Stack,
)
from tests.support.app import SteppingClock

PROGRAMS = Path(__file__).parent
LIMITS = Limits(time=30, cpu=20)


def thing(
    name: str, size: int | None = 1, /, opts: Mapping[str, Any] | None = None, **inputs: Any
) -> dict[str, Any]:
    given = inputs if size is None else {"size": size, **inputs}
    return {"name": name, "inputs": given, "opts": dict(opts or {})}


def config(things: Sequence[Mapping[str, Any]] | None = None, /, **values: str) -> Config:
    listed = {} if things is None else {"things": json.dumps(things)}
    return Config({**listed, **values})


class Site:
    """Remembers the events of the last call."""

    def __init__(self, root: Path, packs: Sequence[str] = (), limits: Limits = LIMITS) -> None:
        self.root = root
        self.events: list[Progress] = []
        folders = tuple(PROGRAMS / pack for pack in packs)
        self.programs = {
            name: Program(name, PROGRAMS / name, folders) for name in ("things", "azure", "hostile")
        }
        self.engine = EmbeddedProvisioner(
            root=root, programs=self.programs, clock=SteppingClock(), limits=limits
        )

    async def on_event(self, event: Progress) -> None:
        self.events.append(event)

    def stack(self, name: str = "dev", program: str = "things", tenant: str = "acme") -> Stack:
        return Stack(tenant, program, name)

    async def preview(
        self, settings: Config, stack: Stack | None = None, on_event: OnEvent | None = None
    ) -> Plan:
        self.events.clear()
        return await self.engine.preview(stack or self.stack(), settings, on_event=on_event or self.on_event)

    async def up(self, settings: Config, stack: Stack | None = None) -> Applied:
        plan = await self.preview(settings, stack)
        return await self.engine.apply(stack or self.stack(), settings, plan.digest, on_event=self.on_event)

    async def act(self, act: str, stack: str = "dev", **values: str) -> Plan:
        return await self.preview(config(act=act, **values), self.stack(stack, "hostile"))

    def state_file(self, stack: Stack | None = None) -> Path:
        of = stack or self.stack()
        return self.root / of.tenant / of.program / of.name / "state.json"


def actions(result: Plan | Applied) -> dict[str, Action]:
    """By name, without the stack itself and what stays the same."""
    return {
        change.name: change.action
        for change in result.changes
        if change.action != "same" and change.type != "pulumi:pulumi:Stack"
    }


def change(result: Plan | Applied, name: str) -> ResourceChange:
    return next(change for change in result.changes if change.name == name)


def paths(result: Plan | Applied, name: str) -> dict[str, tuple[Any, Any]]:
    """Old and new by path."""
    return {path.path: (path.old, path.new) for path in change(result, name).paths}
