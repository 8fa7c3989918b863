"""One blob as one file: how it is opened, and how it comes to be. Must not know tenants or paths.

Every file begins with one line of fixed width that holds the digest, so that content and digest change in one
rename: a digest in a file beside could be left describing the content before, by a crash between the two.
"""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.adapters.embedded.secret_file import sync_folder

INLINE = 256 * 1024
"""Bytes that are read or written on the event loop; a thread would cost more than the work."""

_MARK = b"slipway-blob 1 "
WIDTH = len(_MARK) + len("sha256:") + 64 + 1
GROWING = _MARK.ljust(WIDTH - 1, b"-") + b"\n"


class OpenBlob:
    """A blob as it was when opened: a later put or delete does not change what it reads."""

    def __init__(self, file: Path) -> None:
        self._handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._handle)
        self.size = max(0, status.st_size - WIDTH)
        header = os.pread(self._handle, WIDTH, 0)
        self.digest = None if header == GROWING else header[len(_MARK) : -1].decode("ascii")
        self.etag = f'"{self.digest or f"{status.st_mtime_ns:x}-{status.st_size:x}"}"'

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)

    async def read(self, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`; fewer only at the end of the blob."""
        wanted = max(0, min(length, self.size - start))
        if wanted <= INLINE:
            return self._read(start, wanted)
        return await asyncio.to_thread(self._read, start, wanted)

    def _read(self, start: int, wanted: int) -> bytes:
        parts: list[bytes] = []
        while wanted and (part := os.pread(self._handle, wanted, WIDTH + start)):
            parts.append(part)  # one call gives at most 2 GiB
            start, wanted = start + len(part), wanted - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Draft:
    """A blob being written aside; only `publish` shows it."""

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(dir=folder)
        self._path = Path(name)
        self._file = os.fdopen(handle, "wb")
        self._file.write(GROWING)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def publish(self, target: Path) -> str:
        """Seal with the digest and take the place of `target`; returns the digest."""
        digest = f"sha256:{self._hash.hexdigest()}"
        self._file.seek(0)
        self._file.write(_MARK + digest.encode("ascii") + b"\n")
        self._sync()
        _make_folder(target.parent)
        self._path.replace(target)
        sync_folder(target.parent)
        return digest

    def publish_growing(self, target: Path) -> None:
        """Become `target` unless another writer began it first."""
        self._sync()
        _make_folder(target.parent)
        try:
            os.link(self._path, target)
        except FileExistsError:
            return
        sync_folder(target.parent)

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _make_folder(folder: Path) -> None:
    """mkdir -p that survives a power cut."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
