"""Growing blobs: each append lands exactly once, also when its answer was lost. Must not rewrite a byte."""

import asyncio
from collections import OrderedDict

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobType, ContentSettings
from azure.storage.blob.aio import BlobClient

from shared.adapters.azure.block_upload import BLOCK
from shared.adapters.azure.failures import code_of, is_passing
from shared.domain.kernel.errors import Conflict, Permanent, Transient

MOST_APPENDS = 50_000
KEPT_SIZES = 1000
_FAILURES = 6
_LOST_RACES = 200
"""Each was won by another writer, so all of them together get on."""
_PAUSE_SECONDS = 0.1
_TYPE = ContentSettings(content_type="text/plain; charset=utf-8")


class AppendLog:
    """Appends to append blobs, each of them at a position it names: a request that comes again, or late, is
    refused instead of written twice. It does come again: the SDK, and aiohttp below it, repeat a PUT whose
    connection broke. So whether one that was refused, or had no answer, has landed is read from the blob.
    Only another writer's equal bytes at that very position could pass for ours.
    """

    def __init__(self) -> None:
        self._sizes: OrderedDict[str, int] = OrderedDict()

    async def append(self, blob: BlobClient, path: str, data: bytes) -> int:
        """The size after it. What is larger than a block goes in several appends, and another writer's may
        lie between them.

        Raises Conflict for a blob that was put whole, and Permanent after 50,000 appends.
        """
        if not data:
            return await self._size(blob, path)
        size = 0
        for start in range(0, len(data), BLOCK):
            size = await self._block(blob, path, data[start : start + BLOCK])
        return size

    def forget(self, blob: BlobClient) -> None:
        self._sizes.pop(str(blob.blob_name), None)

    async def _block(self, blob: BlobClient, path: str, data: bytes) -> int:
        position = self._sizes.get(str(blob.blob_name))
        if position is None:
            position = await self._size(blob, path)
        failures = 0
        for _ in range(_LOST_RACES):
            try:
                await blob.append_block(data, appendpos_condition=position, retry_total=0)
                return self._keep(blob, position + len(data))
            except AzureError as error:
                if is_passing(error) and failures < _FAILURES:
                    failures += 1
                    await asyncio.sleep(_PAUSE_SECONDS * 2**failures)
                elif code_of(error) not in {"AppendPositionConditionNotMet", "BlobNotFound"}:
                    raise _refused(error, path) from None
            size = await self._size(blob, path)
            if size >= position + len(data) and await _holds(blob, position, data):
                return self._keep(blob, position + len(data))
            position = size  # where somebody else's bytes lie now, ours can no longer land
        raise Transient(f"Too many append to the log {path} at once; try again.")

    async def _size(self, blob: BlobClient, path: str) -> int:
        """How far it has grown. Made where there is none."""
        try:
            found = await blob.get_blob_properties()
        except ResourceNotFoundError as error:
            if code_of(error) != "BlobNotFound":
                raise
            try:
                await blob.create_append_blob(_TYPE, match_condition=MatchConditions.IfMissing)
                return self._keep(blob, 0)
            except ResourceExistsError:  # another writer was quicker
                found = await blob.get_blob_properties()
        if found.blob_type != BlobType.APPENDBLOB:
            raise _whole(path)
        return self._keep(blob, found.size)

    def _keep(self, blob: BlobClient, size: int) -> int:
        """A hint for the next append; a wrong one costs a request."""
        name = str(blob.blob_name)
        self._sizes[name] = size
        self._sizes.move_to_end(name)
        if len(self._sizes) > KEPT_SIZES:
            self._sizes.popitem(last=False)
        return size


async def _holds(blob: BlobClient, position: int, data: bytes) -> bool:
    stream = await blob.download_blob(offset=position, length=len(data))
    return await stream.readall() == data


def _whole(path: str) -> Conflict:
    return Conflict(f"The blob {path} was written whole and cannot grow; append to another path.")


def _refused(error: AzureError, path: str) -> Exception:
    match code_of(error):
        case "InvalidBlobType":
            return _whole(path)
        case "BlockCountExceedsLimit":
            return Permanent(
                f"The blob {path} has had its {MOST_APPENDS} appends and cannot grow; append to another path."
            )
    return error
