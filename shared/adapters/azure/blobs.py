"""Blobs in one container of an Azure storage account. Must not hold a whole stream in memory."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobType
from azure.storage.blob.aio import BlobClient, BlobServiceClient, LinearRetry

from shared.adapters.azure.append_log import AppendLog
from shared.adapters.azure.blob_names import blob_name
from shared.adapters.azure.blob_reading import PART, read_range
from shared.adapters.azure.block_upload import BLOCK, DIGEST, BlockUpload
from shared.adapters.azure.delegation import Delegation
from shared.adapters.azure.failures import checked_endpoint, code_of, told
from shared.adapters.azure.turns import Turns
from shared.adapters.blob_paths import content_type
from shared.domain.kernel.errors import Invalid, NotFound, Permanent
from shared.ports.blobs import BlobInfo
from shared.ports.clock import Clock

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_CALL_SECONDS = 60.0
"""For calls that move little; how long a whole blob takes is nobody's to know."""
ROLE = "Storage Blob Data Contributor (on the account, for signed URLs too)"


class AzureBlobs:
    """The Blobs port over a container that is there. What is put is a block blob, what grows an append blob.

    A put shows all at once. Only where it takes the place of a log is there a moment without either, for a
    blob never changes its type. A log ends after 50,000 appends, with an error that says so: at four appends
    a second it lasts three and a half hours.
    """

    def __init__(
        self, endpoint: str, container: str, credential: "AsyncTokenCredential", clock: Clock
    ) -> None:
        self._endpoint = checked_endpoint(endpoint, "The storage account's blob endpoint")
        self._service = BlobServiceClient(
            self._endpoint,
            credential,
            retry_policy=_retries(),
            connection_timeout=5,
            read_timeout=30,
            max_single_put_size=BLOCK,
            max_single_get_size=PART,
            max_chunk_get_size=PART,
        )
        if not self._service.account_name:
            raise Permanent(
                f"{self._endpoint} names no storage account, which signed URLs need; set the endpoint as the "
                "portal shows it: https://<account>.blob.core.windows.net."
            )
        self._container = self._service.get_container_client(container)
        self._delegation = Delegation(self._service, clock)
        self._log = AppendLog()
        self._turns = Turns()

    async def aclose(self) -> None:
        await self._service.close()

    async def put(self, tenant: str, path: str, data: bytes | AsyncIterator[bytes]) -> BlobInfo:
        """Raises Invalid for a bad path, and Transient where another content is put there at the same time.
        What the iterator raises passes through, and nothing is written."""
        blob = self._blob(tenant, path)
        upload = BlockUpload(blob, content_type(path))
        if isinstance(data, bytes):
            async with self._told(None):
                await upload.write(data)
        else:
            async for chunk in data:
                async with self._told(None):
                    await upload.write(chunk)
        async with self._told(None):
            digest = await upload.commit()
        self._log.forget(blob)
        return BlobInfo(path, upload.size, digest)

    async def append(self, tenant: str, path: str, data: bytes) -> int:
        """Raises Conflict for a blob that was put whole, and Permanent after its 50,000 appends. More than
        1 MiB arrives in several appends."""
        blob = self._blob(tenant, path)
        # In turn, so that the appends of this process do not refuse each other's positions.
        async with self._turns.of(str(blob.blob_name)), self._told():
            return await self._log.append(blob, path, data)

    async def read(self, tenant: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        if start < 0 or (length is not None and length < 0):
            raise Invalid("A blob is read from a start of 0 or more, for a length of 0 or more bytes.")
        blob = self._blob(tenant, path)
        async with self._told(None):
            try:
                return await read_range(blob, path, start, length)
            except ResourceNotFoundError as error:
                if code_of(error) != "BlobNotFound":
                    raise
                raise NotFound(f"There is no blob at {path}.") from None

    async def info(self, tenant: str, path: str) -> BlobInfo | None:
        blob = self._blob(tenant, path)
        async with self._told():
            try:
                found = await blob.get_blob_properties()
            except ResourceNotFoundError as error:
                if code_of(error) != "BlobNotFound":
                    raise
                return None
        if found.blob_type == BlobType.APPENDBLOB:
            return BlobInfo(path, found.size, None)
        digest = (found.metadata or {}).get(DIGEST)
        return BlobInfo(path, found.size, f"sha256:{digest}" if digest else None)

    async def delete(self, tenant: str, path: str) -> None:
        blob = self._blob(tenant, path)
        async with self._told():
            try:
                await blob.delete_blob()
            except ResourceNotFoundError as error:
                if code_of(error) != "BlobNotFound":
                    raise
        self._log.forget(blob)

    async def signed_url(self, tenant: str, path: str, *, expires_in: timedelta) -> str:
        """The blob need not exist yet. Raises Invalid for more than (almost) seven days."""
        blob = self._blob(tenant, path)
        async with self._told():
            return await self._delegation.url(blob, path, expires_in)

    def _blob(self, tenant: str, path: str) -> BlobClient:
        return self._container.get_blob_client(blob_name(tenant, path))

    def _told(self, seconds: float | None = _CALL_SECONDS) -> AbstractAsyncContextManager[None]:
        return told(f"The storage account {self._endpoint}", ROLE, seconds)


def _retries() -> LinearRetry:
    """Five times, after about a second each. Every client needs its own: a policy knows the one after it."""
    return LinearRetry(backoff=1, retry_total=5, random_jitter_range=1)
