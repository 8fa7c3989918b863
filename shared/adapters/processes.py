"""Process groups we start and must be able to end, also after we were killed and started anew.

Never signals a process it cannot prove to be ours: numbers are recycled, so a process is its number and its
start time. On Linux what left its group is found too, by the scratch folder in its environment.
"""

import asyncio
import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.adapters import folders

_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()

_MOST_FILE_BYTES = 4 * 1024**3
"""The largest file that what we start may write."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the process table. `ended`: a zombie, whose number is still taken."""

    pid: int
    group: int
    ended: bool
    started: str


@functools.cache
def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _row_of_proc(pid: int) -> Row | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the command's name before it may hold blanks and brackets
    return Row(pid, int(fields[2]), fields[0] in "ZX", f"{_boot()}:{fields[19]}")


def rows_of_ps() -> Iterator[Row]:
    """The process table where there is no /proc; start times have a resolution of one second."""
    command = ["/bin/ps", "-A", "-o", "pid=,pgid=,stat=,lstart="]
    table = subprocess.run(command, capture_output=True, text=True, check=True, env={"LC_ALL": "C"})  # noqa: S603
    for line in table.stdout.splitlines():
        pid, group, state, started = line.split(maxsplit=3)
        yield Row(int(pid), int(group), state.startswith("Z"), started)


def _rows() -> Iterator[Row]:
    if not _HAS_PROC:
        yield from rows_of_ps()
        return
    for name in os.listdir(_PROC):  # noqa: PTH208 - a third of the time of iterdir, on a hot path
        if name.isdigit() and (row := _row_of_proc(int(name))):
            yield row


def _row(pid: int) -> Row | None:
    if _HAS_PROC:
        return _row_of_proc(pid)
    return next((row for row in rows_of_ps() if row.pid == pid), None)


def _bears(pid: int, marks: Sequence[bytes]) -> bool:
    try:
        environment = b"\0" + (_PROC / str(pid) / "environ").read_bytes()
    except OSError:  # it ended, or belongs to somebody else
        return False
    return any(mark in environment for mark in marks)


@dataclass(frozen=True, slots=True)
class Group:
    """A process group by its leader: number and start time."""

    leader: int
    started: str

    def _ours(self) -> Row | None:
        row = _row(self.leader)
        return row if row is not None and row.started == self.started else None

    def running(self) -> bool:
        """Whether the leader runs."""
        row = self._ours()
        return row is not None and not row.ended

    def living(self) -> bool:
        """Whether any member runs."""
        return self._ours() is not None and any(row.group == self.leader and not row.ended for row in _rows())

    def signal(self, number: int) -> None:
        """To every member. Nothing happens when the leader's number is gone: it may be somebody else's."""
        if self._ours() is not None:
            # macOS answers EPERM when only zombies are left.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.leader, number)

    def exit_code(self) -> int | None:
        """Of the leader as a shell says it (128 + signal), None while it runs. Does not reap: a zombie keeps
        the number from being given away before the rest of the group was ended."""
        try:
            ended = os.waitid(os.P_PID, self.leader, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # not our child, or reaped after somebody ended it
            return None if self.running() else 128 + signal.SIGKILL
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status

    async def exit(self) -> int:
        """Wait for the leader's end. Polled, since waiting for a child without reaping it is not portable."""
        pause = 0.001
        while (code := self.exit_code()) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.02)
        return code

    def reap(self) -> None:
        """Give the number of an ended leader back."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.leader, os.WEXITED | os.WNOHANG)


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder that owns processes: `home` and `tmp` for them, and `pid`, which outlives us.

    `folder` is absolute; it names the processes, so no two scratches share it.
    """

    folder: Path

    def create(self) -> None:
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def environment(self, path: str | None = None) -> dict[str, str]:
        """Nothing of ours: PATH (default: this interpreter's, then the system's), HOME, LANG and TMPDIR."""
        return {
            "PATH": path or f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.folder / "tmp"),
        }

    def start(
        self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], stdout: int, stderr: int
    ) -> Group:
        """Start a command in a session of its own. Raises OSError when it cannot be started, ValueError for
        a command or environment that no process can have."""
        process = subprocess.Popen(  # noqa: S603 - running what the caller names is what this is for
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        # Ours to wait for: Popen would reap the leader behind our back, and warn when a service outlives it.
        process.returncode = 0
        row = _row(process.pid)
        assert row is not None, "an unreaped child stays in the process table"
        group = Group(process.pid, row.started)
        text = json.dumps({"leader": group.leader, "started": group.started})
        try:
            folders.write_atomically(self.folder / "pid", text.encode(), durable=False)
        except OSError:
            group.signal(signal.SIGKILL)  # what cannot be found again must not run
            os.waitid(os.P_PID, group.leader, os.WEXITED)
            raise
        if hasattr(resource, "prlimit"):
            # A core dump or an endless file could fill the disk; what the command starts inherits these.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                resource.prlimit(group.leader, resource.RLIMIT_CORE, (0, 0))
                largest = (_MOST_FILE_BYTES, _MOST_FILE_BYTES)
                resource.prlimit(group.leader, resource.RLIMIT_FSIZE, largest)
        return group

    def group(self) -> Group | None:
        """The group started last, running or not."""
        try:
            fields = json.loads((self.folder / "pid").read_bytes())
            return Group(int(fields["leader"]), str(fields["started"]))
        except (OSError, ValueError, KeyError, TypeError):  # none yet, or a command damaged it
            return None

    def _marks(self) -> tuple[bytes, ...]:
        """A command may set one of the two anew; most do not, and hardly any sets both."""
        return tuple(
            f"\0{name}={self.folder / leaf}\0".encode()
            for name, leaf in (("HOME", "home"), ("TMPDIR", "tmp"))
        )

    def _marked(self) -> Iterator[int]:
        """Processes that were started from here, also those that left the group. Linux only."""
        if not _HAS_PROC:
            return
        marks = self._marks()
        own = os.getpid()
        for name in os.listdir(_PROC):  # noqa: PTH208
            if name.isdigit() and int(name) != own and _bears(int(name), marks):
                yield int(name)

    def signal(self, number: int) -> None:
        """To everything that was started from here, once each."""
        group = self.group()
        if group is not None:
            group.signal(number)
        for pid in self._marked():
            row = _row(pid)
            if row is None or (group is not None and row.group == group.leader):
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                handle = os.pidfd_open(pid)
                try:
                    if _bears(pid, self._marks()):  # the handle is of what we looked at, not of a successor
                        signal.pidfd_send_signal(handle, number)
                finally:
                    os.close(handle)

    def living(self) -> bool:
        """Whether anything that was started from here runs."""
        group = self.group()
        return (group is not None and group.living()) or next(self._marked(), None) is not None

    def kill(self) -> None:
        """End everything at once. Blocks some milliseconds; up to 5 seconds for what the kernel holds."""
        for _ in range(250):
            self.signal(signal.SIGKILL)  # again, for what was born while we looked
            if not self.living():
                return
            time.sleep(0.02)

    async def end(self, grace: float) -> None:
        """Ask everything to end, and kill what is left after `grace` seconds (0: at once)."""
        if grace > 0:
            await asyncio.to_thread(self.signal, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while await asyncio.to_thread(self.living) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.to_thread(self.kill)

    def reap(self) -> None:
        group = self.group()
        if group is not None:
            group.reap()

    async def discard(self, grace: float) -> None:
        """End everything and remove the folder."""
        await self.end(grace)
        self.reap()
        await asyncio.to_thread(folders.remove, self.folder)
