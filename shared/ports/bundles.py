"""Archives of files (zip, tar.gz), read safely: no escapes, no links, no bombs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

type Unpack = Callable[[Path, Path], list[str]]
"""Writes the files of an archive into an empty folder; their paths, sorted. Invalid names the bad entry, and
leaves the folder empty. Blocking."""

type Pack = Callable[[Path, Path], None]
"""Writes the files below a folder as a zip archive; equal files, equal bytes. Blocking."""


class Bundles(Protocol):
    async def count(self, data: bytes) -> int:
        """How many files it holds, once all guards have looked at it. Invalid names the bad entry."""

    async def names(self, data: bytes) -> list[str]:
        """The paths of its files, once all guards have looked at it. Invalid names the bad entry."""

    async def read(self, data: bytes, paths: Sequence[str]) -> dict[str, bytes]:
        """The content of the named files; a missing one is left out."""
