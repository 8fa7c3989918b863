"""Artifacts: uploaded bundles that commits take their content from. A name means one content for ever."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.change import Change
from shared.domain.kernel.ids import root_id
from shared.domain.source.errors import ArtifactExists
from shared.domain.source.model import Artifact
from shared.ports.blobs import Blobs
from shared.ports.bundles import Bundles
from shared.services.once import Once
from shared.services.unit import Unit, Units


@dataclass(frozen=True, slots=True)
class Artifacts:
    units: Units
    blobs: Blobs
    bundles: Bundles

    async def upload(
        self, actor: Actor, name: str, data: bytes, content_type: str, once: Once | None = None
    ) -> Artifact:
        """Keep a bundle under `name`. The same bytes again are fine; other bytes are refused."""
        artifact_id = root_id("artifact", actor.tenant, name)
        files = await self.bundles.count(data)
        digest = f"sha256:{sha256_hex(data)}"
        # Content first, then the record that points at it: a record never points at nothing.
        await self.blobs.put(actor.tenant, self.place_of(digest), data)

        async def turn(unit: Unit) -> Artifact:
            existing = await unit.find(Artifact, artifact_id)
            if existing is not None:
                if existing.digest == digest:
                    return existing
                raise ArtifactExists(
                    f"The artifact {name} has other content already; upload yours under a new id.",
                    digest=existing.digest,
                )
            artifact = Artifact(
                id=artifact_id,
                tenant=actor.tenant,
                name=name,
                digest=digest,
                size=len(data),
                files=files,
                content_type=content_type,
                created_by=actor.subject,
                created_at=unit.now,
            )
            return unit.apply(Change(artifact, "artifact.uploaded"))

        return await self.units.run(actor, Artifact.__record__.root_of(artifact_id), turn, once)

    async def get(self, actor: Actor, name: str) -> Artifact:
        return await self.units.get(actor, Artifact, root_id("artifact", actor.tenant, name))

    async def find(self, actor: Actor, name: str) -> Artifact | None:
        return await self.units.find(actor, Artifact, root_id("artifact", actor.tenant, name))

    def place(self, artifact: Artifact) -> str:
        """The blob that holds the bundle."""
        return self.place_of(artifact.digest)

    def place_of(self, digest: str) -> str:
        """The blob that content of this digest is kept in."""
        return f"bundles/{digest.removeprefix('sha256:')}"

    async def content(self, artifact: Artifact) -> bytes:
        """The bundle as it was uploaded."""
        return await self.blobs.read(artifact.tenant, self.place(artifact))

    async def read(self, artifact: Artifact, paths: Sequence[str]) -> dict[str, bytes]:
        """The content of the named files of a bundle; a missing one is left out."""
        data = await self.content(artifact)
        return await self.bundles.read(data, paths)
