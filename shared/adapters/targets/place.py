"""The folder of one component in one environment, and the state in it: what is deployed and should run."""

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.adapters import folders
from shared.adapters.processes import Scratch
from shared.adapters.targets.service import Instance, ServiceSpec
from shared.domain.kernel.errors import Permanent
from shared.ports.target import Workload

KEPT = 3
"""Releases kept on disk, the current one included."""
KEPT_LOGS = 5
"""Logs kept beside that of the running service."""
ORPHAN_GRACE = 5.0
"""Seconds that a service has to end when no state says how long it may take."""


class Running(BaseModel):
    """A service that should run: its instance's folder name, port and manifest."""

    model_config = ConfigDict(frozen=True)

    instance: str
    port: int
    spec: ServiceSpec


class State(BaseModel):
    """What is deployed. Holds the workload's variables, so that a restart of the platform can start the
    service again; only this user may read the file."""

    model_config = ConfigDict(frozen=True)

    workload: Workload
    kept: tuple[str, ...]
    """Folder names below `releases`, the current one last."""
    applied_at: datetime
    running: Running | None = None

    @property
    def release(self) -> str:
        return self.kept[-1]

    @property
    def kind(self) -> Literal["files", "service"]:
        return "files" if self.running is None else "service"


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one component in one environment."""

    folder: Path

    def release(self, name: str) -> Path:
        return self.folder / "releases" / name

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
        kept = frozenset(state.kept if state else ())
        for release in _children(self.folder / "releases"):
            if release.name not in kept:
                folders.remove(release)
        own = self.instance(state.running, state.release).log if state and state.running else None
        logs = [log for log in _children(self.folder / "log") if log != own]
        for log in sorted(logs, key=lambda path: path.stat().st_mtime)[:-KEPT_LOGS]:
            log.unlink()

    async def end_strangers(self, state: State | None) -> None:
        """End what runs here and is not in `state`: it was started by a turn that was killed."""
        ours = state.running.instance if state and state.running else None
        strangers = [path for path in _children(self.instances) if path.name != ours]
        await asyncio.gather(*(Scratch(path).discard(ORPHAN_GRACE) for path in strangers))


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
