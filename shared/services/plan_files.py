"""What a plan keeps in blobs: the changes it shows, the outputs it led to, and its log. No value in them is
secret: engines put a mark in the place of each."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared.domain.infrastructure.lifecycle import is_over
from shared.domain.infrastructure.model import InfrastructurePlan
from shared.domain.kernel.actor import Actor
from shared.domain.pipelines.logs import LogPage
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock
from shared.ports.provisioner import Diagnostic, Plan, Progress, PropertyChange, ResourceChange, Value
from shared.services.log_files import LogFile, LogWriter, read_log
from shared.services.unit import Units

_LEVELS = {"phase": "notice", "violation": "error", "diagnostic": "warning"}


@dataclass(frozen=True, slots=True)
class PlanFiles:
    units: Units
    blobs: Blobs

    async def keep_changes(self, plan: InfrastructurePlan, made: Plan) -> str:
        """Their path. Under the digest, so that a late preview never replaces what was approved."""
        path = f"{plan.folder}/{made.digest.removeprefix('sha256:')[:16]}.json"
        rows = [asdict(change) for change in made.changes]
        await self.blobs.put(plan.tenant, path, json.dumps(rows, ensure_ascii=False).encode())
        return path

    async def changes(self, plan: InfrastructurePlan) -> tuple[ResourceChange, ...]:
        """What the preview showed, in order; empty before it."""
        if plan.changes is None:
            return ()
        return tuple(map(_change, json.loads(await self.blobs.read(plan.tenant, plan.changes))))

    async def keep_outputs(self, plan: InfrastructurePlan, outputs: Mapping[str, Value]) -> str:
        path = f"{plan.folder}/outputs.json"
        data = json.dumps(outputs, sort_keys=True, ensure_ascii=False).encode()
        await self.blobs.put(plan.tenant, path, data)
        return path

    async def outputs(self, tenant: str, path: str | None) -> dict[str, Value]:
        if path is None:
            return {}
        found: dict[str, Value] = json.loads(await self.blobs.read(tenant, path))
        return found

    async def log(
        self, actor: Actor, plan_id: str, *, offset: int, limit: int, follow: bool, wait: float
    ) -> LogPage:
        """At most `limit` lines from byte `offset`. `follow` waits up to `wait` seconds for the first one."""

        async def look() -> LogFile:
            plan = await self.units.get(actor, InfrastructurePlan, plan_id)
            return LogFile(plan.log, is_over(plan))

        wait = min(wait, 20.0) if follow else 0.0
        return await read_log(self.blobs, actor.tenant, look, offset=offset, limit=limit, wait=wait)


@dataclass(frozen=True, slots=True)
class PlanLog:
    """The log of one preview or one apply, behind what was logged before it."""

    writer: LogWriter
    stage: str

    @classmethod
    async def open(cls, blobs: Blobs, clock: Clock, plan: InfrastructurePlan, stage: str) -> "PlanLog":
        """A line that a killed process left unfinished is ended first."""
        return cls(await LogWriter.open(blobs, clock, plan.tenant, plan.log), stage)

    async def hear(self, event: Progress) -> None:
        await self.writer.write(event.line, level=_LEVELS.get(event.kind, "info"), stage=self.stage)

    async def tell(self, *diagnostics: Diagnostic) -> None:
        for each in diagnostics:
            await self.writer.write(each.message, level=each.severity, stage=self.stage)

    async def end(self, text: str, *, level: str = "notice") -> None:
        await self.writer.write(text, level=level, stage=self.stage)
        await self.writer.flush()


def _change(row: Mapping[str, Any]) -> ResourceChange:
    listed = {name: tuple(row[name]) for name in ("dependencies", "reasons")}
    paths = tuple(PropertyChange(**path) for path in row["paths"])
    change: dict[str, Any] = {**row, **listed, "paths": paths}
    return ResourceChange(**change)
