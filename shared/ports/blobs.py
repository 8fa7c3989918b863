"""Large immutable things and growing logs, by path within a tenant."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BlobInfo:
    path: str
    size: int
    digest: str | None
    """`sha256:` of the content for a put blob; None for one that grows."""


class Blobs(Protocol):
    """Paths are relative, `/`-separated, without `..`; each tenant has its own space."""

    async def put(self, tenant: str, path: str, data: bytes | AsyncIterator[bytes]) -> BlobInfo:
        """Write whole, atomically: a reader sees the old content or the new one. Same content twice is
        fine."""

    async def append(self, tenant: str, path: str, data: bytes) -> int:
        """Add to the end of a growing blob (made on first use); returns its new size."""

    async def read(self, tenant: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        """NotFound where there is none. A start past the end gives no bytes."""

    async def info(self, tenant: str, path: str) -> BlobInfo | None: ...

    async def delete(self, tenant: str, path: str) -> None:
        """Deleting what is not there is fine."""

    async def signed_url(self, tenant: str, path: str, *, expires_in: timedelta) -> str:
        """A URL that reads this one blob, without a token, until it expires."""
