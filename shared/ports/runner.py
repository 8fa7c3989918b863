"""Runs a pipeline's steps in a scratch folder and tells what happened as it happens."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Step:
    """One command. `timeout` in seconds. `run` is a shell script, started with `sh -eu -c`."""

    name: str
    run: str
    timeout: float = 600.0
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """errored: we could not run it (no shell, no folder). cancelled: asked to stop. timed_out: out of
    time."""

    status: Literal["succeeded", "failed", "errored", "cancelled", "timed_out"]
    exit_code: int | None
    duration: float
    truncated: bool = False
    message: str = ""


type OnOutput = Callable[[Literal["stdout", "stderr"], str], Awaitable[None]]
type ShouldStop = Callable[[], Awaitable[bool]]


class Workspace(Protocol):
    """A scratch folder of one attempt. Entering it ends whatever an earlier, killed attempt left running
    there."""

    @property
    def folder(self) -> Path: ...

    async def run(self, step: Step, *, on_output: OnOutput, should_stop: ShouldStop) -> StepOutcome:
        """Run one step. Environment is scrubbed to PATH, HOME, LANG, TMPDIR, CI and what the step names.

        `on_output` gets whole lines. `should_stop` is asked about twice a second; on yes the process group is
        killed. Output past the cap is dropped and `truncated` set. Never raises for what the command does.
        """

    async def aclose(self) -> None:
        """Kill what is left of the process groups and remove the folder."""


class Runner(Protocol):
    async def open(self, name: str) -> Workspace:
        """A fresh, empty workspace; `name` is unique to the run attempt."""

    async def sweep(self, keep: Sequence[str] = ()) -> int:
        """End and remove the workspaces a killed process left behind; returns how many."""
