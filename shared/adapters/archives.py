"""The Bundles port over archive files: bytes in, checked content out, on a thread of its own."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.adapters.bundles import Limits, inspect, read_paths


class ArchiveBundles:
    """zip and tar.gz, told apart by their first bytes."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    async def count(self, data: bytes) -> int:
        return len(await self.names(data))

    async def names(self, data: bytes) -> list[str]:
        found = await asyncio.to_thread(_with_file, data, lambda path: inspect(path, self._limits))
        return [entry.path for entry in found]

    async def read(self, data: bytes, paths: Sequence[str]) -> dict[str, bytes]:
        return await asyncio.to_thread(_with_file, data, lambda path: read_paths(path, paths, self._limits))


def _with_file[R](data: bytes, use: Callable[[Path], R]) -> R:
    with tempfile.NamedTemporaryFile(suffix=".bundle") as file:
        file.write(data)
        file.flush()
        return use(Path(file.name))
