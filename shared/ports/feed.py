"""Package feeds: where published content is kept for package managers to fetch."""

from typing import Protocol

from shared.domain.packages.lifecycle import Published
from shared.domain.packages.model import PackagePublication


class PackageFeeds(Protocol):
    async def check(self, publication: PackagePublication, content: bytes) -> None:
        """Look into content that is to be published, and keep nothing. Raises BadPackage."""

    async def identity(self, content: bytes) -> tuple[str, str]:
        """What a NuGet package, which is sent without a word, says of itself: id and version. Raises
        BadPackage."""

    async def publish(self, publication: PackagePublication) -> Published:
        """Check that the content is the package that it is published as, and keep it. Safe to repeat.

        Raises BadPackage, NotFound where the content is gone, Transient.
        """

    async def read(self, publication: PackagePublication) -> bytes:
        """The content as it was published."""
