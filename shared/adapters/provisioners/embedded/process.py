"""Runs a program in a process of its own: no network, no environment of ours, bounded time, memory and
output, and nothing left when it ends, however it or we end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.adapters.processes import Group, Scratch
from shared.ports.provisioner import Diagnostic, EngineLost, ProgramFailed, UpdateCancelled

if TYPE_CHECKING:
    from shared.adapters.provisioners.embedded.monitor import Monitor

_CHILD = Path(__file__).with_name("child.py")
_ASK_EVERY = 0.1
CANCELLED = "The run was cancelled; the stack is as it was."
_MOST_OUTPUT = 1024 * 1024

type Printed = Callable[[str], Awaitable[None]]
type AskedToCancel = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Limits:
    """`time` and `cpu` in seconds, `memory` in bytes of address space."""

    time: float = 300.0
    cpu: int = 120
    memory: int = 4 * 1024**3


def start_child(scratch: Scratch, limits: Limits, cwd: Path, output: int, extra: Mapping[str, Any]) -> Group:
    """Start `child.py` in a session of its own. `extra` says what to run and holds no secret: others may read
    a process's arguments."""
    start = {"cpu": limits.cpu, "memory": limits.memory, "parent": os.getpid(), **extra}
    environment = scratch.environment() | {"GRPC_ENABLE_FORK_SUPPORT": "0", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-I", "-u", str(_CHILD), json.dumps(start)]
    return scratch.start(command, cwd=cwd, environment=environment, stdout=output, stderr=output)


async def watched[T](work: Awaitable[T], limits: Limits, asked_to_cancel: AskedToCancel) -> T:
    """Await `work`, unless time runs out (ProgramFailed) or somebody cancels (UpdateCancelled)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.time
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            if asked_to_cancel():
                raise UpdateCancelled(CANCELLED)
            if loop.time() >= deadline:
                raise ProgramFailed(
                    f"The run took over {limits.time:g} seconds and was ended; the stack is as it was."
                )
            await asyncio.wait({task}, timeout=_ASK_EVERY)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _printed(emit: Printed) -> AsyncIterator[int]:
    """A descriptor to write to; its lines are handed on. The rest past a megabyte is dropped, not kept."""
    reading, writing = os.pipe()
    stream = asyncio.StreamReader(limit=_MOST_OUTPUT)
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(reading, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)

    async def pass_on() -> None:
        room, rest = _MOST_OUTPUT, b""
        while chunk := await stream.read(64 * 1024):
            *lines, rest = (rest + chunk[:room]).split(b"\n")
            room = max(0, room - len(chunk))
            for line in lines:
                await emit(line.decode(errors="replace"))
        if rest:
            await emit(rest.decode(errors="replace"))

    task = asyncio.create_task(pass_on())
    try:
        yield writing
    finally:
        os.close(writing)
        try:
            await asyncio.wait({task}, timeout=5)  # whoever still held the other end was killed before
        finally:
            task.cancel()
            transport.close()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0)


async def run_program(
    monitor: "Monitor",
    folder: Path,
    work: Path,
    limits: Limits,
    asked_to_cancel: AskedToCancel,
) -> None:
    """Run the program of `monitor`'s order to its end. `work` is a short path: a socket's name is bounded.

    Raises ProgramFailed, EngineLost, UpdateCancelled.
    """
    scratch = Scratch(work)
    await asyncio.to_thread(scratch.create)
    socket = work / "s"
    server = monitor.serve(f"unix:{socket}")
    await server.start()
    try:
        async with _printed(monitor.printed) as output:
            try:
                group = start_child(scratch, limits, folder, output, {"socket": str(socket)})
                code = await watched(group.exit(), limits, asked_to_cancel)
            finally:
                await asyncio.shield(scratch.end(0))
                scratch.reap()
    finally:
        await server.stop(None)
    judge(code, monitor)


def judge(code: int, monitor: "Monitor") -> None:
    """Raise what the program's end means."""
    said = tuple(monitor.diagnostics)
    errors = [diagnostic.message.strip() for diagnostic in said if diagnostic.severity == "error"]
    if code in {0, 1} and errors:
        raise ProgramFailed(f"The program failed: {errors[-1].splitlines()[-1]}", *said)
    if code == 128 + signal.SIGXCPU:
        raise ProgramFailed("The program used more processor time than it may.", *said)
    if code - 128 in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
        raise EngineLost(f"The program was ended by signal {code - 128}; the stack is as it was.")
    if code != 0:
        last = Diagnostic("error", monitor.last_words or "It said nothing.")
        raise ProgramFailed(f"The program ended with exit code {code}.", *said, last)
    if not monitor.finished:
        raise ProgramFailed("The program ended before it had registered its outputs.", *said)
