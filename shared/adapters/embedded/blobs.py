"""Blobs as files, with signed URLs. Must not read or write outside its root, nor show half a blob."""

import asyncio
import base64
import hmac
import json
import os
import re
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

from shared.adapters.blob_paths import components, tenant_folder
from shared.adapters.embedded.blob_file import GROWING, INLINE, WIDTH, Draft, OpenBlob
from shared.adapters.embedded.secret_file import keep
from shared.domain.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Permanent
from shared.ports.blobs import BlobInfo
from shared.ports.clock import Clock

URL_PREFIX = "/blobs/"
_EXPIRES = re.compile(r"[0-9]{1,12}")
_KEY_BYTES = 32
_STALE_DRAFT = 24 * 3600.0


class FileBlobs:
    """The Blobs port over a folder. Several processes may share the folder.

    A put survives a power cut. An append is one write: a killed process tears nothing, and a power cut can
    lose the newest lines and leave at most one torn last line. Where the file system ignores case, so do
    paths.
    """

    def __init__(self, root: Path, *, base_url: str, clock: Clock) -> None:
        self._content = root / "content"
        self._incoming = root / "incoming"
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        for folder in (self._content, self._incoming):
            folder.mkdir(parents=True, exist_ok=True)
        self._key = keep(root / "signing.key", lambda: secrets.token_bytes(_KEY_BYTES))
        if len(self._key) != _KEY_BYTES:
            raise Permanent(
                f"The signing key {root / 'signing.key'} is damaged. Delete it and start again; "
                "signed URLs given out before stop working."
            )
        self._sweep()

    async def put(self, tenant: str, path: str, data: bytes | AsyncIterator[bytes]) -> BlobInfo:
        """Raises Invalid for a bad path. What the iterator raises passes through, and nothing is written."""
        target = self._file(tenant, path)
        if isinstance(data, bytes):
            return await asyncio.to_thread(self._put, target, path, data)
        draft = Draft(self._incoming)
        try:
            async for chunk in data:
                if len(chunk) <= INLINE:
                    draft.write(chunk)
                else:
                    await asyncio.to_thread(draft.write, chunk)
            digest = await asyncio.to_thread(draft.publish, target)
        finally:
            draft.discard()
        return BlobInfo(path, draft.size, digest)

    async def append(self, tenant: str, path: str, data: bytes) -> int:
        """Raises Conflict for a blob that was put whole: its digest would no longer hold."""
        target = self._file(tenant, path)
        if len(data) <= INLINE and target.exists():
            return self._append(target, path, data)
        return await asyncio.to_thread(self._append, target, path, data)

    async def read(self, tenant: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        if start < 0 or (length is not None and length < 0):
            raise Invalid("A blob is read from a start of 0 or more, for a length of 0 or more bytes.")
        with self._open(tenant, path) as blob:
            return await blob.read(start, blob.size if length is None else length)

    async def info(self, tenant: str, path: str) -> BlobInfo | None:
        try:
            with self._open(tenant, path) as blob:
                return BlobInfo(path, blob.size, blob.digest)
        except NotFound:
            return None

    async def delete(self, tenant: str, path: str) -> None:
        # Empty folders stay: removing one would race with a put that has just made it.
        self._file(tenant, path).unlink(missing_ok=True)

    async def signed_url(self, tenant: str, path: str, *, expires_in: timedelta) -> str:
        """The blob need not exist yet."""
        self._file(tenant, path)
        expires = str(int((self._clock.now() + expires_in).timestamp()))
        place = f"{URL_PREFIX}{quote(tenant, safe='')}/{quote(path, safe='/')}"
        return f"{self._base_url}{place}?expires={expires}&sig={self._sign(tenant, path, expires)}"

    def verify(self, tenant: str, path: str, expires: str, signature: str) -> bool:
        """Whether the signature was made here for exactly this and has not expired; looks at no file."""
        try:
            genuine = hmac.compare_digest(
                self._sign(tenant, path, expires).encode(), signature.encode("utf-8", "replace")
            )
        except UnicodeEncodeError:  # a tenant or path that no URL of ours can hold
            return False
        fresh = _EXPIRES.fullmatch(expires) is not None and self._clock.now().timestamp() < int(expires)
        return genuine and fresh

    def open_signed(self, path_and_query: str) -> tuple[str, OpenBlob]:
        """The path and the open blob a signed URL leads to; `path_and_query` as it stood in the request line.

        Raises Forbidden for a bad or expired signature, before it looks for the blob, so that nobody learns
        which blobs exist; NotFound for a good signature of a blob that is gone.
        """
        place, _, search = path_and_query.partition("?")
        tenant, _, path = place.removeprefix(URL_PREFIX).partition("/")
        tenant, path = unquote(tenant), unquote(path)
        query = parse_qs(search, keep_blank_values=True)
        expires, signature = query.get("expires", []), query.get("sig", [])
        if (
            len(expires) != 1
            or len(signature) != 1
            or not self.verify(tenant, path, expires[0], signature[0])
        ):
            raise Forbidden("This link is not valid or has expired; ask for a new one where you got it.")
        return path, self._open(tenant, path)

    def _sign(self, tenant: str, path: str, expires: str) -> str:
        # JSON keeps the three apart whatever they hold; with a plain separator one could lend to the next.
        text = json.dumps([tenant, path, expires], ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, text, "sha256")).rstrip(b"=").decode("ascii")

    def _open(self, tenant: str, path: str) -> OpenBlob:
        try:
            return OpenBlob(self._file(tenant, path))
        except FileNotFoundError:
            raise NotFound(f"There is no blob at {path}.") from None

    def _put(self, target: Path, path: str, data: bytes) -> BlobInfo:
        draft = Draft(self._incoming)
        try:
            draft.write(data)
            return BlobInfo(path, draft.size, draft.publish(target))
        finally:
            draft.discard()

    def _append(self, target: Path, path: str, data: bytes) -> int:
        while True:
            try:
                handle = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                break
            except FileNotFoundError:
                self._begin(target)
        try:
            if os.pread(handle, WIDTH, 0) != GROWING:
                raise Conflict(f"The blob {path} was written whole and cannot grow; append to another path.")
            while data:
                data = data[os.write(handle, data) :]
            return os.fstat(handle).st_size - WIDTH
        finally:
            os.close(handle)

    def _begin(self, target: Path) -> None:
        draft = Draft(self._incoming)
        try:
            draft.publish_growing(target)
        finally:
            draft.discard()

    def _file(self, tenant: str, path: str) -> Path:
        """Folders end in `.d`, blobs in `.blob`: `a` and `a/b` can both exist, as in any blob store."""
        *folders, name = components(path)
        place = self._content.joinpath(tenant_folder(tenant), *(f"{folder}.d" for folder in folders))
        return place / f"{name}.blob"

    def _sweep(self) -> None:
        """Remove the drafts that killed processes left; a younger one may still be somebody's upload."""
        oldest = self._clock.now().timestamp() - _STALE_DRAFT
        for draft in self._incoming.iterdir():
            try:
                if draft.stat().st_mtime < oldest:
                    draft.unlink()
            except FileNotFoundError:
                continue  # its owner published it meanwhile
