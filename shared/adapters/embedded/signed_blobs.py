"""Serves signed blob URLs. Must not list, write, or tell without a signature whether a blob exists."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import quote

from shared.adapters.blob_paths import content_type
from shared.adapters.embedded.blob_file import INLINE, OpenBlob
from shared.adapters.embedded.blobs import FileBlobs
from shared.domain.kernel.errors import Forbidden, NotFound

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
# A blob is a caller's content on our origin: it must not run there as a page.
_ALWAYS = {
    "cache-control": "private, no-cache",
    "content-security-policy": "default-src 'none'; sandbox",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Span(NamedTuple):
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


class SignedBlobs:
    """An ASGI app for GET and HEAD under `/blobs/`, with ETag, If-None-Match, Range and If-Range."""

    def __init__(self, blobs: FileBlobs) -> None:
        self._blobs = blobs

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"SignedBlobs serves HTTP, not {scope['type']}.")
        if scope["method"] not in {"GET", "HEAD"}:
            return await _refuse(send, 405, "Use GET or HEAD.", {"allow": "GET, HEAD"})
        raw: bytes | None = scope.get("raw_path")  # an optional part of ASGI
        place = raw.decode("latin-1") if raw else quote(scope["path"])
        try:
            path, blob = self._blobs.open_signed(f"{place}?{scope['query_string'].decode('latin-1')}")
        except Forbidden as error:
            return await _refuse(send, 403, error.message)
        except NotFound as error:
            return await _refuse(send, 404, error.message)
        with blob:
            return await _serve(scope, send, path, blob)


async def _serve(scope: MutableMapping[str, Any], send: Send, path: str, blob: OpenBlob) -> None:
    asked = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    headers = {"etag": blob.etag, "accept-ranges": "bytes"}
    if _matches(asked.get("if-none-match", ""), blob.etag):
        return await _start(send, 304, headers, more=False)
    only_head = scope["method"] == "HEAD"
    span = None if only_head else _span(asked, blob)
    start, end = span or Span(0, blob.size)
    if span and start >= blob.size:
        headers["content-range"] = f"bytes */{blob.size}"
        return await _refuse(send, 416, f"The blob has {blob.size} bytes; ask for a range within.", headers)
    if span:
        headers["content-range"] = f"bytes {start}-{end - 1}/{blob.size}"
    headers |= {"content-type": content_type(path), "content-length": str(end - start)}
    await _start(send, 206 if span else 200, headers, more=not only_head)
    if not only_head:
        await _body(send, blob, start, end)
    return None


def _matches(if_none_match: str, etag: str) -> bool:
    asked = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in asked or "*" in asked


def _span(asked: dict[str, str], blob: OpenBlob) -> Span | None:
    """The one range asked for, cut to the blob's end; None for the whole, as for ranges we do not serve."""
    found = _RANGE.fullmatch(asked.get("range", "").strip())
    if found is None or asked.get("if-range", blob.etag).strip() != blob.etag:
        return None
    first, last = found.groups()
    if not first:
        return Span(max(0, blob.size - int(last)) if int(last) else blob.size, blob.size) if last else None
    if last and int(last) < int(first):
        return None
    return Span(int(first), min(int(last) + 1, blob.size) if last else blob.size)


async def _body(send: Send, blob: OpenBlob, start: int, end: int) -> None:
    while start < end:
        chunk = await blob.read(start, min(INLINE, end - start))
        if not chunk:
            raise OSError(
                "A blob became shorter while it was being read."
            )  # breaks the response off, visibly
        start += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    body = text.encode()
    plain = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
    await _start(send, status, plain | (headers or {}), more=True)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _start(send: Send, status: int, headers: dict[str, str], *, more: bool) -> None:
    rows = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (_ALWAYS | headers).items()]
    await send({"type": "http.response.start", "status": status, "headers": rows})
    if not more:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
