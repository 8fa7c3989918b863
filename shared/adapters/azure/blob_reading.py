"""Ranges of a blob that may be replaced, or grow, while it is read. Never mixes two contents."""

from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError
from azure.storage.blob import BlobType
from azure.storage.blob.aio import BlobClient

from shared.domain.kernel.errors import Transient

PART = 8 * 1024 * 1024
"""Bytes of one request. The SDK's own reading in parts refuses a blob that has grown since the first one."""
_ATTEMPTS = 5


class _Replaced(Exception):
    """What was read so far and what there is now are not the same blob."""


@dataclass(frozen=True, slots=True)
class _Part:
    data: bytes
    total: int
    etag: str | None
    is_growing: bool


async def read_range(
    blob: BlobClient, path: str, start: int, length: int | None, *, part: int = PART
) -> bytes:
    """At most `length` bytes from `start`, up to where the blob ended when the reading began.

    Raises the SDK's ResourceNotFoundError, and Transient when it is replaced again and again.
    """
    if length == 0:
        await blob.get_blob_properties()
        return b""
    for _ in range(_ATTEMPTS):
        try:
            return await _read(blob, start, length, part)
        except _Replaced:
            continue
    raise Transient(f"The blob {path} is being replaced all the time; try again.")


async def _read(blob: BlobClient, start: int, length: int | None, most: int) -> bytes:
    first = await _part(blob, start, most if length is None else min(length, most))
    end = first.total if length is None else min(first.total, start + length)
    parts, at = [first.data], start + len(first.data)
    while at < end:
        # One that grows changes its etag and keeps what it has.
        etag = None if first.is_growing else first.etag
        following = await _part(blob, at, min(end - at, most), etag)
        if following.is_growing != first.is_growing or not following.data:
            raise _Replaced
        parts.append(following.data)
        at += len(following.data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _part(blob: BlobClient, start: int, length: int, etag: str | None = None) -> _Part:
    condition: dict[str, Any] = {}
    if etag is not None:
        condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    try:
        stream = await blob.download_blob(offset=start, length=length, **condition)
        data = await stream.readall()
    except ResourceModifiedError:
        raise _Replaced from None
    except HttpResponseError as error:
        if error.status_code != 416:  # from the end on, or an empty blob: there is no such range
            raise
        return _Part(b"", 0, None, is_growing=False)
    found = stream.properties
    total = int(str(found.content_range).rpartition("/")[2])
    return _Part(data, total, found.etag, found.blob_type == BlobType.APPENDBLOB)
