"""Container registries: manifests and blobs by digest, in the repositories of a tenant."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from shared.domain.images.oci import Manifest


class Registry(Protocol):
    """All content is verified against its digest, in both directions. Putting what is there is fine.

    Raises NotFound, DigestMismatch, Transient, and Forbidden where the registry refuses the credentials.
    """

    async def has_blob(self, tenant: str, repository: str, digest: str) -> bool: ...

    async def put_blob(self, tenant: str, repository: str, digest: str, data: bytes) -> None: ...

    async def mount_blob(self, tenant: str, repository: str, digest: str, source: str) -> bool:
        """Take the blob over from another repository of the tenant; False where it has to be uploaded."""

    async def read_blob(self, tenant: str, repository: str, digest: str) -> bytes: ...

    async def find_manifest(self, tenant: str, repository: str, reference: str) -> Manifest | None:
        """By tag or digest. A manifest found by digest is the content of that digest."""

    async def put_manifest(self, tenant: str, repository: str, reference: str, manifest: Manifest) -> str:
        """Under a tag, which moves, or under its own digest; its digest. What it refers to must be there."""

    async def tags(self, tenant: str, repository: str) -> Sequence[str]:
        """Every tag, sorted; none where the repository is unknown."""

    async def aclose(self) -> None: ...


type Registries = Mapping[str, Registry]
"""By the names that callers use."""
