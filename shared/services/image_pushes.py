"""Images on their way into a registry: out of an OCI layout, or found there. Records nothing."""

from dataclasses import dataclass

from shared.domain.images.errors import BadLayout, DigestMismatch, UnknownRegistry
from shared.domain.images.model import ContainerImage
from shared.domain.images.oci import (
    Descriptor,
    Manifest,
    blob_path,
    chosen,
    digest_of,
    distinct,
    parts,
)
from shared.domain.kernel.errors import NotFound
from shared.ports.blobs import Blobs
from shared.ports.bundles import Bundles
from shared.ports.registry import Registries, Registry

_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class ImagePushes:
    registries: Registries
    blobs: Blobs
    bundles: Bundles

    def registry(self, name: str) -> Registry:
        if name not in self.registries:
            known = ", ".join(sorted(self.registries))
            raise UnknownRegistry(f"There is no registry {name}; use one of {known}.")
        return self.registries[name]

    async def inspect(self, tenant: str, archive: str, tag: str) -> Descriptor:
        """The image that an archived layout holds. BadLayout."""
        found = await self.bundles.read(await self._archive(tenant, archive), ["oci-layout", "index.json"])
        if len(found) < 2:
            raise BadLayout(
                "The archive is no OCI image layout: it needs oci-layout and index.json at its top."
            )
        return chosen(found["index.json"], tag)

    async def push(self, image: ContainerImage) -> str:
        """Bring the image into its registry, or find it there; its media type. Safe to repeat."""
        registry = self.registry(image.registry)
        if image.archive is not None:
            return await self._push_layout(registry, image, await self._archive(image.tenant, image.archive))
        found = await registry.find_manifest(image.tenant, image.repository, image.digest)
        if found is None:
            raise NotFound(
                f"{image.registry} has no {image.reference}; push it first, or name an uploaded layout."
            )
        return found.media_type

    async def _archive(self, tenant: str, archive: str) -> bytes:
        return await self.blobs.read(tenant, archive)

    async def _push_layout(self, registry: Registry, image: ContainerImage, data: bytes) -> str:
        top = await self.inspect(image.tenant, image.archive or "", image.tag)
        if top.digest != image.digest:
            raise DigestMismatch(f"The layout holds {top.digest} and not {image.digest}.")
        manifests, blobs = await self._closure(data, top)
        tenant, repository = image.tenant, image.repository
        missing = [blob for blob in blobs if not await registry.has_blob(tenant, repository, blob.digest)]
        content = await self._contents(data, missing)
        for blob in missing:
            await registry.put_blob(tenant, repository, blob.digest, content[blob.digest])
        # What is referred to goes before what refers to it: a registry shows nothing that is incomplete.
        for manifest in reversed(manifests):
            await registry.put_manifest(tenant, repository, manifest.digest, manifest)
        await registry.put_manifest(tenant, repository, image.tag, manifests[0])
        return manifests[0].media_type

    async def _closure(self, data: bytes, top: Descriptor) -> tuple[list[Manifest], list[Descriptor]]:
        """The manifests from the top down, and the blobs that they need."""
        manifests: dict[str, Manifest] = {}
        blobs: list[Descriptor] = []
        level = [top]
        for _ in range(_MAX_DEPTH):
            contents = await self._contents(data, level)
            level_parts: list[Descriptor] = []
            for each in level:
                # Met again on a lower level, it goes up before everything that refers to it.
                manifests.pop(each.digest, None)
                manifests[each.digest] = Manifest(each.media_type, contents[each.digest])
                level_parts.extend(parts(manifests[each.digest]))
            blobs.extend(part for part in level_parts if not part.is_manifest)
            level = distinct([part for part in level_parts if part.is_manifest])
            if not level:
                return list(manifests.values()), distinct(blobs)
        raise BadLayout(f"The layout's indexes are nested deeper than {_MAX_DEPTH} levels.")

    async def _contents(self, data: bytes, wanted: list[Descriptor]) -> dict[str, bytes]:
        """The content of each, by digest. BadLayout where one is missing or is not what it should be."""
        found = await self.bundles.read(data, [blob_path(each.digest) for each in wanted])
        contents: dict[str, bytes] = {}
        for each in wanted:
            content = found.get(blob_path(each.digest))
            if content is None:
                raise BadLayout(f"The layout refers to {each.digest} and does not hold it.")
            if digest_of(content) != each.digest or len(content) != each.size:
                raise BadLayout(f"What the layout holds as {each.digest} is other content.")
            contents[each.digest] = content
        return contents
