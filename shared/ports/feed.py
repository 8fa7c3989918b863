"""Package feeds: where published content is kept for package managers to fetch."""

from typing import Protocol

from shared.domain.packages.lifecycle import Published
from shared.domain.packages.model import PackagePublication


class PackageFeeds(Protocol):
    async def publish(self, publication: PackagePublication) -> Published:
        """Check that the content is the package that it is published as, and keep it. Safe to repeat.

        Raises BadPackage, NotFound where the content is gone, Transient.
        """

    async def read(self, publication: PackagePublication) -> bytes:
        """The content as it was published."""
