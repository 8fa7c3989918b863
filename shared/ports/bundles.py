"""Archives of files (zip, tar.gz), read safely: no escapes, no links, no bombs."""

from collections.abc import Sequence
from typing import Protocol


class Bundles(Protocol):
    async def count(self, data: bytes) -> int:
        """How many files it holds, once all guards have looked at it. Invalid names the bad entry."""

    async def read(self, data: bytes, paths: Sequence[str]) -> dict[str, bytes]:
        """The content of the named files; a missing one is left out."""
