"""Logs as growing blobs: written in batches by whoever works, read by byte offset, followed by waiting. Whose
log it is, and when it is over, its owner says."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.domain.kernel.errors import NotFound
from shared.domain.pipelines.logs import LogPage, decode_page, encode_lines
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock

FLUSH_SECONDS = 0.25
FLUSH_BYTES = 256 * 1024
PAGE_BYTES = 512 * 1024
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class LogFile:
    """Where a log lies, and whether nobody writes to it any more."""

    path: str
    is_closed: bool


type Look = Callable[[], Awaitable[LogFile]]
"""Asked before each read: what was logged before its owner was over is in the blob by then."""


async def read_log(
    blobs: Blobs, tenant: str, look: Look, *, offset: int, limit: int, wait: float = 0.0
) -> LogPage:
    """Whole lines from `offset`; without any, wait up to `wait` seconds for one or for the end."""
    until = asyncio.get_running_loop().time() + wait
    while True:
        page = await _page(blobs, tenant, await look(), offset, limit)
        if page.lines or page.complete or asyncio.get_running_loop().time() >= until:
            return page
        await asyncio.sleep(POLL_SECONDS)


async def _page(blobs: Blobs, tenant: str, file: LogFile, offset: int, limit: int) -> LogPage:
    # One byte before tells whether the offset is the start of a line.
    start = max(0, offset - 1)
    try:
        data = await blobs.read(tenant, file.path, start=start, length=PAGE_BYTES)
    except NotFound:
        data = b""
    is_last = len(data) < PAGE_BYTES
    if offset > 0:
        skipped = data.find(b"\n") + 1 or len(data)
        start, data = start + skipped, data[skipped:]
    lines, following = decode_page(data, start, limit)
    # A last line that a killed worker left unfinished never ends, so it does not keep the log open.
    is_all = is_last and b"\n" not in data[following - start :]
    return LogPage(lines, max(following, offset), file.is_closed and is_all)


async def end_torn_line(blobs: Blobs, tenant: str, path: str) -> int:
    """End a line that a killed writer left unfinished; the size of the log then."""
    info = await blobs.info(tenant, path)
    if info is None or info.size == 0:
        return 0
    if await blobs.read(tenant, path, start=info.size - 1, length=1) == b"\n":
        return info.size
    return await blobs.append(tenant, path, b"\n")


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
    async def open(cls, blobs: Blobs, clock: Clock, tenant: str, path: str) -> "LogWriter":
        """Continue a log; a line that a killed attempt left unfinished is ended first."""
        await end_torn_line(blobs, tenant, path)
        return cls(blobs, clock, tenant, path, bytearray(), 0.0, asyncio.Lock())

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
