"""One blob being written whole, in blocks. Nothing of it shows before `commit`, and then all of it.

Holds one block of memory, whatever the size of the blob.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient

from shared.adapters.azure.failures import code_of
from shared.domain.kernel.errors import Invalid, Transient

BLOCK = 1024 * 1024
"""The largest body that aiohttp sends without keeping the event loop waiting."""
MOST_BLOCKS = 50_000
DIGEST = "sha256"
"""The metadata that holds the digest, in hexadecimal: it changes with the content, in the same request."""
INLINE = 256 * 1024
"""Bytes that are hashed on the event loop; a thread would cost more than the work."""


class BlockUpload:
    """`write` any number of times, then `commit`. What is never committed is never seen; Azure frees its
    blocks after a week."""

    def __init__(self, client: BlobClient, content_type: str) -> None:
        self._client = client
        self._settings = ContentSettings(content_type=content_type)
        self._hash = hashlib.sha256()
        self._waiting = bytearray()
        self._blocks: list[BlobBlock] = []
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Raises Invalid where the blob becomes larger than one can be."""
        view = memoryview(data)
        self.size += len(data)
        while view:
            if len(self._waiting) == BLOCK:  # only now: a blob of up to one block is sent in one request
                await self._stage()
            room = BLOCK - len(self._waiting)
            self._waiting += view[:room]
            view = view[room:]

    async def commit(self) -> str:
        """Returns the digest. Raises Transient when another writer's commit dropped our blocks."""
        if self._blocks:
            await self._stage()
            await self._commit()
        else:
            data = await self._taken()
            await self._in_place_of_a_log(
                lambda: self._client.upload_blob(
                    data, overwrite=True, metadata=self._metadata(), content_settings=self._settings
                )
            )
        return f"sha256:{self._hash.hexdigest()}"

    async def _stage(self) -> None:
        if len(self._blocks) == MOST_BLOCKS:
            raise Invalid(f"A blob may have at most {BLOCK * MOST_BLOCKS} bytes; split it.")
        data = await self._taken()
        # Named after the content so far: a writer of the same content at the same time stages the same
        # blocks, and whoever commits second finds them all in what the first one has committed.
        name = f"{len(self._blocks):06d}-{self._hash.hexdigest()[:40]}"
        await self._in_place_of_a_log(lambda: self._client.stage_block(name, data))
        self._blocks.append(BlobBlock(name))

    async def _commit(self) -> None:
        try:
            await self._client.commit_block_list(
                self._blocks, metadata=self._metadata(), content_settings=self._settings
            )
        except HttpResponseError as error:
            if code_of(error) != "InvalidBlockList":
                raise
            raise Transient("Another content was put there at the same time; put this one again.") from None

    async def _taken(self) -> bytes:
        """What is waiting, hashed."""
        data = bytes(self._waiting)
        self._waiting.clear()
        if len(data) <= INLINE:
            self._hash.update(data)
        else:
            await asyncio.to_thread(self._hash.update, data)
        return data

    def _metadata(self) -> dict[str, str]:
        return {DIGEST: self._hash.hexdigest()}

    async def _in_place_of_a_log(self, send: Callable[[], Awaitable[object]]) -> None:
        try:
            await send()
        except HttpResponseError as error:
            if code_of(error) != "InvalidBlobType":
                raise
            # A blob never changes its type, so a log that is there has to go first.
            with suppress(ResourceNotFoundError):
                await self._client.delete_blob()
            await send()
