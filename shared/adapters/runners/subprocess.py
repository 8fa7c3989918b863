"""Steps as local process groups in a scratch folder. Keeps runaway commands from hurting the platform; it is
no sandbox: a step can do what this user can do."""

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Literal

from shared.adapters.processes import Group, Scratch
from shared.ports.runner import OnOutput, ShouldStop, Step, StepOutcome

LINE = 64 * 1024
"""Longer lines are handed on in pieces of so many bytes."""
ASK_EVERY = 0.5
GRACE = 3.0
"""Between SIGTERM and SIGKILL."""
LINGER = 2.0
"""How long the children of a step may hold its output open after it ended."""
_CHUNK = 64 * 1024
_LAST = 1024 * 1024  # no pipe holds more
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

type Ending = Literal["ended", "timed_out", "cancelled"]


class Lines:
    """Bytes as they come to whole lines without their ends (LF or CRLF)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        *ended, rest = (self._rest + chunk).split(b"\n")
        pieces = [piece for line in ended for piece in _pieces(line.removesuffix(b"\r"))]
        if len(rest) > LINE + 1:  # one more than a piece: it may be the CR of an end that is still to come
            *early, rest = _pieces(rest)
            pieces.extend(early)
        self._rest = rest
        return [piece.decode(errors="replace") for piece in pieces]

    def rest(self) -> list[str]:
        """The last line, when it has no end."""
        rest, self._rest = self._rest, b""
        return [piece.decode(errors="replace") for piece in _pieces(rest)] if rest else []


def _pieces(line: bytes) -> list[bytes]:
    """At least one, each at most LINE bytes, cut between UTF-8 characters."""
    pieces = []
    while len(line) > LINE:
        cut = next((at for at in range(LINE, LINE - 4, -1) if line[at] & 0xC0 != 0x80), LINE)
        pieces.append(line[:cut])
        line = line[cut:]
    return [*pieces, line]


class _Output:
    """Both pipes of a step, read as they fill; `on_output` is called for one line at a time, in order of
    arrival. A slow `on_output` slows the command down; nothing piles up here."""

    def __init__(self, on_output: OnOutput, cap: int) -> None:
        self._on_output = on_output
        self._room = cap
        self._turn = asyncio.Lock()
        self._ready: set[asyncio.Event] = set()
        self._left: int | None = None
        self.truncated = False

    def finish(self) -> None:
        """Nobody writes any more: take what the pipes hold and end, even if a stranger keeps one open."""
        self._left = _LAST
        for ready in self._ready:
            ready.set()

    async def deliver(self, stream: Literal["stdout", "stderr"], pipe: FileIO) -> None:
        lines = Lines()
        with pipe:
            while chunk := await self._read(pipe):
                kept = chunk[: self._room]
                self._room -= len(kept)
                self.truncated = self.truncated or len(kept) < len(chunk)
                if kept:
                    await self._pass_on(stream, lines.feed(kept))
                # A flood that is thrown away anyway must not keep the event loop from its other work.
                await asyncio.sleep(0.001 if self.truncated else 0)
        await self._pass_on(stream, lines.rest())

    async def _pass_on(self, stream: Literal["stdout", "stderr"], lines: list[str]) -> None:
        async with self._turn:
            for line in lines:
                await self._on_output(stream, line)

    async def _read(self, pipe: FileIO) -> bytes:
        """The next chunk, empty at the end."""
        if self._left is not None and self._left <= 0:
            return b""
        while (chunk := pipe.read(_CHUNK)) is None:
            if self._left is not None:
                return b""
            await self._readable(pipe)
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    async def _readable(self, pipe: FileIO) -> None:
        ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe.fileno(), ready.set)
        self._ready.add(ready)
        try:
            await ready.wait()
        finally:
            self._ready.discard(ready)
            loop.remove_reader(pipe.fileno())


async def _asked_to_stop(should_stop: ShouldStop) -> None:
    while not await should_stop():  # noqa: ASYNC110 - the answer comes from a store, not from an event
        await asyncio.sleep(ASK_EVERY)


async def _ending(
    leader: asyncio.Task[int], asked: asyncio.Task[None], reading: list[asyncio.Task[None]], timeout: float
) -> Ending:
    """What comes first. Raises what `on_output` or `should_stop` raised."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    waiting: set[asyncio.Task[int] | asyncio.Task[None]] = {leader, asked, *reading}
    while True:
        done, waiting = await asyncio.wait(
            waiting, timeout=max(0.0, deadline - loop.time()), return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
        if leader.done():
            return "ended"
        if asked.done():
            return "cancelled"
        if loop.time() >= deadline:
            return "timed_out"


@dataclass(frozen=True, slots=True)
class SubprocessWorkspace:
    """`work` is the step's folder; `home`, `tmp` and `pid` beside it belong to the scratch."""

    scratch: Scratch
    output_cap: int
    path: str | None = None

    @property
    def folder(self) -> Path:
        return self.scratch.folder / "work"

    async def run(self, step: Step, *, on_output: OnOutput, should_stop: ShouldStop) -> StepOutcome:
        loop = asyncio.get_running_loop()
        began = loop.time()
        pipes: dict[Literal["stdout", "stderr"], FileIO] = {}
        try:
            group = self._start(step, pipes)
        except (OSError, ValueError) as error:
            for pipe in pipes.values():
                pipe.close()
            message = f"The step could not be started: {_reason(error)}."
            return StepOutcome("errored", None, loop.time() - began, message=message)
        output = _Output(on_output, self.output_cap)
        leader = loop.create_task(group.exit())
        asked = loop.create_task(_asked_to_stop(should_stop))
        reading = [loop.create_task(output.deliver(stream, pipe)) for stream, pipe in pipes.items()]
        try:
            ending = await _ending(leader, asked, reading, step.timeout)
            asked.cancel()
            if ending == "ended":
                await asyncio.wait(reading, timeout=LINGER)
            await self.scratch.end(0 if ending == "ended" else GRACE)
            output.finish()
            await asyncio.gather(*reading)
            exit_code = await leader
        finally:
            group.signal(signal.SIGKILL)  # first, and without waiting: this task may be cancelled again
            for task in (leader, asked, *reading):
                task.cancel()
            await asyncio.gather(leader, asked, *reading, return_exceptions=True)
            await group.exit()
            group.reap()
        return _outcome(ending, exit_code, loop.time() - began, step.timeout, output.truncated)

    def _start(self, step: Step, pipes: dict[Literal["stdout", "stderr"], FileIO]) -> Group:
        writers: list[int] = []
        try:
            for stream in ("stdout", "stderr"):
                reader, writer = os.pipe()
                writers.append(writer)
                os.set_blocking(reader, False)
                pipes[stream] = FileIO(reader, "rb")
            environment = self.scratch.environment(self.path) | {"CI": "true"} | dict(step.environment or {})
            return self.scratch.start(
                ["/bin/sh", "-eu", "-c", step.run],
                cwd=self.folder,
                environment=environment,
                stdout=writers[0],
                stderr=writers[1],
            )
        finally:
            for writer in writers:
                os.close(writer)

    async def aclose(self) -> None:
        await self.scratch.discard(0)


def _reason(error: OSError | ValueError) -> str:
    """Without the script and the environment, which may hold secrets."""
    if isinstance(error, FileNotFoundError):
        return "its folder or /bin/sh is not there"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return "its script or environment holds a character that no process can be given"


def _outcome(ending: Ending, code: int, duration: float, timeout: float, truncated: bool) -> StepOutcome:
    if ending == "cancelled":
        return StepOutcome("cancelled", code, duration, truncated, "The step was asked to stop.")
    if ending == "timed_out":
        return StepOutcome("timed_out", code, duration, truncated, f"The step took over {timeout:g} seconds.")
    if code == 0:
        return StepOutcome("succeeded", code, duration, truncated)
    return StepOutcome("failed", code, duration, truncated, f"The step ended with exit code {code}.")


@dataclass(frozen=True, slots=True)
class SubprocessRunner:
    """The Runner port on this machine. Workspaces are `root/<name>`; one process uses a root at a time.

    `output_cap` is bytes per step, both streams together. `path` replaces the default PATH of the steps.
    """

    root: Path
    output_cap: int = field(kw_only=True)
    path: str | None = field(default=None, kw_only=True)

    async def open(self, name: str) -> SubprocessWorkspace:
        """Raises ValueError for a name that is not a plain file name."""
        if not _NAME.fullmatch(name):
            raise ValueError("A workspace's name is 1 to 128 letters, digits, dots, dashes or underscores.")
        scratch = Scratch(self.root.absolute() / name)
        await scratch.discard(0)
        await asyncio.to_thread(scratch.create)
        workspace = SubprocessWorkspace(scratch, self.output_cap, self.path)
        await asyncio.to_thread(workspace.folder.mkdir)
        return workspace

    async def sweep(self, keep: Sequence[str] = ()) -> int:
        left = await asyncio.to_thread(_folders, self.root.absolute(), frozenset(keep))
        await asyncio.gather(*(Scratch(folder).discard(0) for folder in left))
        return len(left)


def _folders(root: Path, keep: frozenset[str]) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and path.name not in keep]
