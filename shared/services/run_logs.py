"""The log of a run: written in batches while it runs, read by byte offset, followed by waiting."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import NotFound
from shared.domain.pipelines.logs import LogPage, decode_page, encode_lines
from shared.domain.pipelines.model import PipelineRun, RunStatus
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock
from shared.services.unit import Units

FLUSH_SECONDS = 0.25
FLUSH_BYTES = 256 * 1024
PAGE_BYTES = 512 * 1024
POLL_SECONDS = 0.2
LATE_LINES = timedelta(seconds=3)
"""How long after a cancel the worker that is stopping may still write its last lines."""


@dataclass(frozen=True, slots=True)
class RunLogs:
    units: Units
    blobs: Blobs

    async def page(self, actor: Actor, run: str, *, offset: int, limit: int, wait: float) -> LogPage:
        """Whole lines from `offset`; without any, wait up to `wait` seconds for one or for the run's end."""
        until = asyncio.get_running_loop().time() + wait
        while True:
            page = await self._page(actor, run, offset, limit)
            if page.lines or page.complete or asyncio.get_running_loop().time() >= until:
                return page
            await asyncio.sleep(POLL_SECONDS)

    async def _page(self, actor: Actor, run_id: str, offset: int, limit: int) -> LogPage:
        # The run first: what a finished run has logged is in the blob by then.
        run = await self.units.get(actor, PipelineRun, run_id)
        # One byte before tells whether the offset is the start of a line.
        start = max(0, offset - 1)
        try:
            data = await self.blobs.read(actor.tenant, run.logs_path, start=start, length=PAGE_BYTES)
        except NotFound:
            data = b""
        is_last = len(data) < PAGE_BYTES
        if offset > 0:
            skipped = data.find(b"\n") + 1 or len(data)
            start, data = start + skipped, data[skipped:]
        lines, following = decode_page(data, start, limit)
        # A last line that a killed worker left unfinished never ends, so it does not keep the log open.
        is_all = is_last and b"\n" not in data[following - start :]
        return LogPage(lines, max(following, offset), self._is_closed(run) and is_all)

    def _is_closed(self, run: PipelineRun) -> bool:
        if run.status is not RunStatus.CANCELLED or run.finished_at is None:
            return run.is_terminal
        return self.units.clock.now() - run.finished_at > LATE_LINES


@dataclass(slots=True)
class LogWriter:
    """Collects the lines of one attempt and appends them at most every quarter of a second."""

    blobs: Blobs
    clock: Clock
    tenant: str
    path: str
    _buffer: bytearray
    _flushed_at: float
    _lock: asyncio.Lock

    @classmethod
    async def open(cls, blobs: Blobs, clock: Clock, run: PipelineRun) -> "LogWriter":
        """Continue the run's log; a line that a killed attempt left unfinished is ended first."""
        writer = cls(blobs, clock, run.tenant, run.logs_path, bytearray(), 0.0, asyncio.Lock())
        info = await blobs.info(run.tenant, run.logs_path)
        if info is not None and info.size > 0:
            last = await blobs.read(run.tenant, run.logs_path, start=info.size - 1, length=1)
            if last != b"\n":
                await blobs.append(run.tenant, run.logs_path, b"\n")
        return writer

    async def write(self, text: str, *, level: str = "notice", stage: str = "", step: str = "") -> None:
        self._buffer += encode_lines(text, at=self.clock.now(), level=level, stage=stage, step=step)
        late = asyncio.get_running_loop().time() - self._flushed_at >= FLUSH_SECONDS
        if late or len(self._buffer) >= FLUSH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Append what is waiting. One at a time, so that lines keep their order."""
        async with self._lock:
            data, self._buffer = bytes(self._buffer), bytearray()
            self._flushed_at = asyncio.get_running_loop().time()
            if data:
                await self.blobs.append(self.tenant, self.path, data)
