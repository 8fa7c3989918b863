"""The embedded feeds: published content under a path of its own, so that no build can change it later."""

import base64
import hashlib

from shared.adapters.feeds.contents import Inside, inspect, is_nuspec, nuget_identity
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.packages.errors import BadPackage
from shared.domain.packages.lifecycle import Published
from shared.domain.packages.model import PackagePublication
from shared.ports.blobs import Blobs
from shared.ports.bundles import Bundles


class BlobFeeds:
    """The PackageFeeds port over blobs."""

    def __init__(self, blobs: Blobs, bundles: Bundles) -> None:
        self._blobs = blobs
        self._bundles = bundles

    async def check(self, publication: PackagePublication, content: bytes) -> None:
        await self._inside(publication, content)

    async def identity(self, content: bytes) -> tuple[str, str]:
        inside = [name for name in await self._bundles.names(content) if is_nuspec(name)]
        if len(inside) != 1:
            raise BadPackage(
                "A NuGet package has one nuspec at its top, and nothing beside it says what it is."
            )
        return nuget_identity((await self._bundles.read(content, inside))[inside[0]])

    async def publish(self, publication: PackagePublication) -> Published:
        content = await self._blobs.read(publication.tenant, publication.source)
        if f"sha256:{sha256_hex(content)}" != publication.digest:
            raise BadPackage(f"What is stored is not {publication.digest}; upload it again.")
        inside = await self._inside(publication, content)
        path = f"feeds/{publication.id}/{publication.digest.removeprefix('sha256:')}"
        if await self._blobs.info(publication.tenant, path) is None:
            await self._blobs.put(publication.tenant, path, content)
        return Published(
            path=path,
            size=len(content),
            integrity="sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode(),
            # npm's clients of old compare it; nothing here relies on it.
            shasum=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
            requires_python=inside.requires_python,
            manifest=inside.manifest,
        )

    async def _inside(self, publication: PackagePublication, content: bytes) -> Inside:
        async def member(path: str) -> bytes:
            found = await self._bundles.read(content, [path])
            if path not in found:
                raise BadPackage(f"The package has no {path}.")
            return found[path]

        return await inspect(publication, member)

    async def read(self, publication: PackagePublication) -> bytes:
        return await self._blobs.read(publication.tenant, publication.path or publication.source)
