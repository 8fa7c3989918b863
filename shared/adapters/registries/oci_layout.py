"""The embedded registry: an OCI image layout on disk per repository, which standard tools read as it is.

Never keeps content that is not of its digest. Several processes may share the folder.
"""

import asyncio
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.adapters.blob_paths import tenant_folder
from shared.domain.images.errors import DigestMismatch
from shared.domain.images.oci import DIGEST, REF_NAME, REPOSITORY, Manifest, blob_path, digest_of, parts
from shared.domain.kernel.errors import Invalid, NotFound

_REPOSITORY, _DIGEST = re.compile(REPOSITORY), re.compile(DIGEST)
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutRegistry:
    """The Registry port over a folder. `index.json` says which manifests there are and what is tagged."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def has_blob(self, tenant: str, repository: str, digest: str) -> bool:
        return self._blob(tenant, repository, digest).is_file()

    async def put_blob(self, tenant: str, repository: str, digest: str, data: bytes) -> None:
        await asyncio.to_thread(self._put_blob, self._blob(tenant, repository, digest), digest, data)

    async def mount_blob(self, tenant: str, repository: str, digest: str, source: str) -> bool:
        found = self._blob(tenant, source, digest)
        target = self._blob(tenant, repository, digest)
        return await asyncio.to_thread(_link, found, target)

    async def read_blob(self, tenant: str, repository: str, digest: str) -> bytes:
        path = self._blob(tenant, repository, digest)
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            raise NotFound(f"{repository} has no blob {digest}.") from None
        _check(digest, content)
        return content

    async def find_manifest(self, tenant: str, repository: str, reference: str) -> Manifest | None:
        folder = self._folder(tenant, repository)
        for row in (await asyncio.to_thread(_index, folder))["manifests"]:
            if reference in (row["digest"], row.get("annotations", {}).get(REF_NAME)):
                return Manifest(row["mediaType"], await self.read_blob(tenant, repository, row["digest"]))
        return None

    async def put_manifest(self, tenant: str, repository: str, reference: str, manifest: Manifest) -> str:
        digest = manifest.digest
        if _DIGEST.fullmatch(reference) and reference != digest:
            raise DigestMismatch(f"The manifest is {digest} and was to be put as {reference}.")
        for part in parts(manifest):
            if not await self.has_blob(tenant, repository, part.digest):
                raise NotFound(f"The manifest refers to {part.digest}, which {repository} does not have.")
        tag = None if reference == digest else reference
        await self.put_blob(tenant, repository, digest, manifest.content)
        await asyncio.to_thread(_enter, self._folder(tenant, repository), manifest, tag)
        return digest

    async def tags(self, tenant: str, repository: str) -> Sequence[str]:
        index = await asyncio.to_thread(_index, self._folder(tenant, repository))
        names = (row.get("annotations", {}).get(REF_NAME) for row in index["manifests"])
        return sorted(name for name in names if name is not None)

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _folder(self, tenant: str, repository: str) -> Path:
        if _REPOSITORY.fullmatch(repository) is None or len(repository) > 200:
            raise Invalid(f"{repository[:200]!r} is no name of a repository.")
        # No name holds a `~`, so that `a/b` is never inside of `a`.
        return self._root / tenant_folder(tenant) / repository.replace("/", "~")

    def _blob(self, tenant: str, repository: str, digest: str) -> Path:
        if _DIGEST.fullmatch(digest) is None:
            raise Invalid("A digest is `sha256:` and 64 lower-case hex digits.")
        return self._folder(tenant, repository) / blob_path(digest)

    def _put_blob(self, path: Path, digest: str, data: bytes) -> None:
        _check(digest, data)
        if not path.is_file():
            _write(path, data)


def _check(digest: str, content: bytes) -> None:
    if (found := digest_of(content)) != digest:
        raise DigestMismatch(f"The content is {found} and not {digest}; upload it again.")


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and there after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _link(found: Path, target: Path) -> bool:
    if target.is_file():
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(found, target)
    except FileNotFoundError:
        return False
    except FileExistsError:
        return True
    return True


def _index(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "index.json").read_bytes())
    except FileNotFoundError:
        return {"schemaVersion": 2, "manifests": []}
    return found


def _enter(folder: Path, manifest: Manifest, tag: str | None) -> None:
    """The index knows the manifest, and the tag means it. An untagged row stays for what was tagged."""
    with _locked(folder):
        if not (folder / "oci-layout").exists():
            _write(folder / "oci-layout", _LAYOUT)
        index = _index(folder)
        row: dict[str, Any] = {
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": len(manifest.content),
        }
        rows = [each for each in index["manifests"] if tag is None or _tag(each) != tag]
        # What loses its tag stays: something may be deployed by its digest.
        lost = [each for each in index["manifests"] if tag is not None and _tag(each) == tag]
        for each in lost:
            bare = {name: value for name, value in each.items() if name != "annotations"}
            if all(other["digest"] != bare["digest"] for other in rows):
                rows.append(bare)
        if tag is not None:
            row["annotations"] = {REF_NAME: tag}
            rows = [each for each in rows if each["digest"] != manifest.digest or _tag(each) is not None]
        if tag is not None or all(each["digest"] != manifest.digest for each in rows):
            rows.append(row)
        _write(folder / "index.json", json.dumps(index | {"manifests": rows}).encode())


def _tag(row: dict[str, Any]) -> str | None:
    found = row.get("annotations", {}).get(REF_NAME)
    return found if isinstance(found, str) else None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer of the index at a time, in whichever process; the lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
