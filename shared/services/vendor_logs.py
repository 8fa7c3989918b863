"""The log of a run at a vendor, carried into ours: what is new of it, and no line twice.

How far we are is kept with the run, as of the last turn that was recorded. A process that died since then has
left its lines in the blob, and they are counted there.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.pipelines.logs import decode_page, encode_host_line, encode_lines
from shared.domain.pipelines.model import PipelineRun, RunWatch
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock
from shared.services.log_files import end_torn_line

_APPENDED = 1024 * 1024
"""Bytes of one append; services bound it at a few megabytes."""
CHANGED = "The log has changed at its vendor since it was shown here; this is all of it."


@dataclass(frozen=True, slots=True)
class VendorLogs:
    blobs: Blobs
    clock: Clock

    async def open(self, run: PipelineRun, *words: str) -> int:
        """Begin the log with words of ours, unless it has begun; its size."""
        size = await end_torn_line(self.blobs, run.tenant, run.logs_path)
        return size or await self.blobs.append(run.tenant, run.logs_path, b"".join(self._said(words)))

    async def append(
        self, run: PipelineRun, watch: RunWatch, text: str | None, notes: Sequence[str] = (), *, is_over: bool
    ) -> RunWatch:
        """Add what `text` has beyond what was shown, and at the end our notes; how far we are then. None is
        no text at all.

        Before the end an unfinished line waits, and so does a log that was changed: jobs that run side by
        side grow in the middle of it.
        """
        size = await end_torn_line(self.blobs, run.tenant, run.logs_path)
        lines = [] if text is None else _whole_lines(text, is_over=is_over)
        is_same = text is None or _digest(lines[: watch.log_lines]) == watch.log_digest
        if not is_same and not is_over:
            return watch
        fresh = lines[watch.log_lines :] if is_same else lines
        rows = await asyncio.to_thread(_rows, fresh, self.clock.now())
        rows = [*(() if is_same else self._said([CHANGED])), *rows, *self._said(notes)]
        there = await self._rows_since(run, watch.log_size, size)
        for part in _parts(rows[there:]):
            size = await self.blobs.append(run.tenant, run.logs_path, part)
        return replace(watch, log_size=size, log_lines=len(lines), log_digest=_digest(lines))

    async def _rows_since(self, run: PipelineRun, start: int, end: int) -> int:
        """The whole rows that were added to our log since; what a dying process tore does not count."""
        found, position, rest = 0, start, b""
        while position < end:
            data = await self.blobs.read(run.tenant, run.logs_path, start=position, length=_APPENDED)
            rest += data
            lines, following = decode_page(rest, 0, len(rest))
            found += sum(bool(line.timestamp) for line in lines)
            position, rest = position + len(data), rest[following:]
        return found

    def _said(self, words: Sequence[str]) -> list[bytes]:
        now = self.clock.now()
        return [row for text in words for row in _split(encode_lines(text, at=now, level="notice"))]


def _whole_lines(text: str, *, is_over: bool) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    unfinished = lines.pop()
    return [*lines, unfinished] if is_over and unfinished else lines


def _digest(lines: Sequence[str]) -> str:
    """Nothing of no lines, as a watch begins."""
    return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest() if lines else ""


def _rows(lines: Sequence[str], at: datetime) -> list[bytes]:
    return [row for line in lines for row in _split(encode_host_line(line, at=at))]


def _split(encoded: bytes) -> list[bytes]:
    return encoded.splitlines(keepends=True)


def _parts(rows: Sequence[bytes]) -> Iterator[bytes]:
    part = bytearray()
    for row in rows:
        part += row
        if len(part) >= _APPENDED:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)
