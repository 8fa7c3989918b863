"""The folder of one component in one environment, and the state in it: what is deployed and should run."""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.adapters import folders
from shared.adapters.processes import Scratch
from shared.adapters.targets import seals
from shared.adapters.targets.service import Instance, ServiceSpec
from shared.domain.kernel.errors import Permanent
from shared.ports.target import Workload

KEPT = 3
"""Releases kept on disk, the current one included."""
KEPT_LOGS = 5
"""Logs kept beside that of the running service."""
ROUTER = "router"
"""What the router's log begins with."""
ORPHAN_GRACE = 5.0
"""Seconds that a service has to end when no state says how long it may take."""


class Running(BaseModel):
    """A service that should run: its instance's folder name, port and manifest."""

    model_config = ConfigDict(frozen=True)

    instance: str
    port: int
    spec: ServiceSpec


class Side(BaseModel):
    """A version in one place, with its instances; files have none."""

    model_config = ConfigDict(frozen=True)

    workload: Workload
    release: str
    running: tuple[Running, ...] = ()


class State(BaseModel):
    """What is deployed. Holds the workload's variables, so that a restart of the platform can start the
    service again; only this user may read the file."""

    model_config = ConfigDict(frozen=True)

    workload: Workload
    kept: tuple[str, ...]
    """Folder names below `releases`, the current one last."""
    applied_at: datetime
    running: Running | None = None
    more: tuple[Running, ...] = ()
    """Further instances of the same."""
    other: Side | None = None
    """A version beside it: in reserve, or on its way in (`incoming`) with `weight` percent of requests."""
    incoming: bool = False
    weight: int = 0
    router: Running | None = None
    fence: int = 0

    @property
    def release(self) -> str:
        return self.kept[-1]

    @property
    def main(self) -> Side:
        running = () if self.running is None else (self.running, *self.more)
        return Side(workload=self.workload, release=self.release, running=running)

    @property
    def sides(self) -> tuple[Side, ...]:
        return (self.main,) if self.other is None else (self.main, self.other)

    def placed(self) -> Iterator[tuple[Running, str]]:
        """Everything that should run, with the name that its log begins with."""
        for side in self.sides:
            yield from ((running, side.release) for running in side.running)
        if self.router is not None:
            yield self.router, ROUTER

    def routes(self) -> list[dict[str, float]]:
        """Which port gets how much of the requests. A side without instances leaves them to the other."""
        shares = [(self.main, 100 - self.weight), *([(self.other, self.weight)] if self.other else [])]
        rows = [
            {"port": running.port, "weight": share / len(side.running)}
            for side, share in shares
            for running in side.running
        ]
        return [row for row in rows if row["weight"] > 0] or rows

    @property
    def kind(self) -> Literal["files", "service"]:
        return "files" if self.running is None else "service"


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one component in one environment."""

    folder: Path

    def release(self, name: str) -> Path:
        return self.folder / "releases" / name

    def seal(self, name: str) -> Path:
        return self.folder / "seals" / f"{name}.json"

    def altered(self, name: str) -> str:
        """A file of a release that is not as it was unpacked; empty where all are."""
        return seals.altered(self.release(name), self.seal(name))

    @property
    def instances(self) -> Path:
        return self.folder / "instances"

    def read(self) -> State | None:
        """Raises Permanent when the state was damaged by somebody else."""
        path = self.folder / "state.json"
        try:
            return State.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise Permanent(f"{path} is damaged; remove the deployment and deploy again.") from None

    def write(self, state: State) -> None:
        folders.write_atomically(self.folder / "state.json", state.model_dump_json(indent=1).encode())

    @property
    def routes(self) -> Path:
        return self.folder / "routes.json"

    def route(self, state: State) -> None:
        """Tell the router."""
        self.route_to(state.routes())

    def route_to(self, backends: list[dict[str, float]]) -> None:
        text = json.dumps({"backends": backends}, indent=1)
        folders.write_atomically(self.routes, text.encode(), durable=False)

    def instance(self, running: Running, release: str) -> Instance:
        log = self.folder / "log" / f"{release}.{running.instance}.log"
        return Instance(Scratch(self.instances / running.instance), running.port, log)

    def prepare(self) -> None:
        for name in ("releases", "instances", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def settle(self, state: State | None) -> None:
        """Make the folders what `state` says."""
        current = self.folder / "current"
        if state is None:
            current.unlink(missing_ok=True)
        else:
            wanted = f"releases/{state.release}"
            if not current.is_symlink() or os.readlink(current) != wanted:  # noqa: PTH115 - as text, not as a Path
                folders.point(current, wanted)
        kept = frozenset((*state.kept, *(side.release for side in state.sides)) if state else ())
        for release in _children(self.folder / "releases"):
            if release.name not in kept:
                folders.remove(release)
        for seal in _children(self.folder / "seals"):
            if seal.stem not in kept:
                seal.unlink()
        own = {self.instance(*placed).log for placed in state.placed()} if state else set()
        logs = [log for log in _children(self.folder / "log") if log not in own]
        for log in sorted(logs, key=lambda path: path.stat().st_mtime)[:-KEPT_LOGS]:
            log.unlink()

    async def end_strangers(self, state: State | None) -> None:
        """End what runs here and is not in `state`: it was started by a turn that was killed."""
        ours = {running.instance for running, _ in state.placed()} if state else set()
        strangers = [path for path in _children(self.instances) if path.name not in ours]
        await asyncio.gather(*(Scratch(path).discard(ORPHAN_GRACE) for path in strangers))


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
