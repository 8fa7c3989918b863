"""Git objects of a repository on Azure DevOps, read by REST when git code asks for them, and kept by sha.

Trees and blobs are checked against their shas: what a lossy name or a proxy changed is never taken.
"""

import asyncio
import io
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock

from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree

from shared.adapters.hosts.azure_devops_api import MOST_BYTES, AzureRepository
from shared.adapters.hosts.azure_devops_models import Commit as CommitRow
from shared.adapters.hosts.azure_devops_models import TreeEntry
from shared.domain.kernel.errors import Permanent
from shared.ports.source_host import Place, UnknownCommit

_KEPT_BYTES = 64 << 20
_SIZES_KEPT = 100_000
_BATCH_BLOBS = 500
_BATCH_BYTES = 16 << 20
_AT_ONCE = 8
_SHA = re.compile(r"[0-9a-f]{40}")
_EMPTY = Tree().id.decode()
"""The tree without a file, which is stored nowhere."""

type Raw = tuple[int, bytes]
"""Git's number for the kind, and the content."""


class Kept:
    """Objects by place and sha, the latest used of them, up to so many bytes. Used by several threads."""

    def __init__(self, most: int = _KEPT_BYTES) -> None:
        self._most, self._size = most, 0
        self._found: OrderedDict[tuple[Place, str], Raw] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._lock = Lock()

    def size(self, sha: str) -> int | None:
        """Of a blob, as its tree's listing told it."""
        return self._sizes.get(sha)

    def keep_size(self, sha: str, size: int) -> None:
        with self._lock:
            if len(self._sizes) >= _SIZES_KEPT:
                self._sizes.clear()
            self._sizes[sha] = size

    def find(self, place: Place, sha: str) -> Raw | None:
        with self._lock:
            raw = self._found.get((place, sha))
            if raw is not None:
                self._found.move_to_end((place, sha))
            return raw

    def keep(self, place: Place, sha: str, raw: Raw) -> None:
        with self._lock:
            if (place, sha) in self._found:
                return
            self._found[place, sha] = raw
            self._size += len(raw[1])
            while self._size > self._most and len(self._found) > 1:
                self._size -= len(self._found.popitem(last=False)[1][1])


class Objects:
    """Loads the objects of one repository. Belongs to the event loop."""

    def __init__(self, remote: AzureRepository, kept: Kept) -> None:
        self.remote = remote
        self._kept = kept
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def find(self, sha: str) -> Raw | None:
        return self._kept.find(self.remote.place, sha)

    def keep(self, *objects: ShaFile) -> None:
        """What we have just written there."""
        for each in objects:
            self._keep(each.id.decode(), (each.type_num, each.as_raw_string()))

    async def commit(self, sha: str) -> Commit:
        """Kept, or read. UnknownCommit."""
        raw = self.find(sha) or await self.read_commit(sha)
        return commit_object(sha, raw)

    async def read_commit(self, sha: str) -> Raw:
        """Asks the host, whatever is kept."""
        unknown = UnknownCommit(f"There is no commit '{sha}' in this repository.", sha=sha)
        if not _SHA.fullmatch(sha):
            raise unknown
        try:
            async with self._at_once:
                return self._keep(sha, (Commit.type_num, _commit_text(await self.remote.commit(sha))))
        except UnknownCommit:
            raise unknown from None

    async def read_history(self, sha: str, count: int) -> None:
        """A commit and some before it. Of a list the parents are not told, so each is asked for."""
        rows = await self.remote.history(sha, count)
        missing = {row.commit_id for row in rows} | {sha}
        await asyncio.gather(*(self.read_commit(each) for each in missing if self.find(each) is None))

    async def read_tree(self, sha: str) -> Raw:
        if sha == _EMPTY:
            return self._keep_tree(sha, ())
        entries = await self.remote.tree(sha, recursive=False)
        return self._keep_tree(sha, [(each.relative_path, each) for each in entries])

    async def read_trees(self, sha: str) -> None:
        """A tree and every tree below it, in one call."""
        folders: dict[str, list[tuple[str, TreeEntry]]] = {"": []}
        shas = {"": sha}
        for each in await self.remote.tree(sha, recursive=True) if sha != _EMPTY else ():
            folder, _, name = each.relative_path.rpartition("/")
            folders.setdefault(folder, []).append((name, each))
            if each.git_object_type == "tree":
                shas[each.relative_path] = each.object_id
        for folder, entries in folders.items():
            self._keep_tree(shas[folder], entries)

    async def read_blob(self, sha: str) -> Raw:
        return self._keep_blob(sha, await self.remote.blob(sha))

    async def read_blobs(self, shas: Iterable[str]) -> None:
        """The first few of them that are not kept, in one zip. None of unknown size, nor a large one.

        What an entry holds says which one it is, whatever its name.
        """
        batch: list[str] = []
        total = 0
        for sha in shas:
            size = self._kept.size(sha)
            if size is None or self.find(sha) is not None:
                continue
            total += size
            if total > _BATCH_BYTES or len(batch) == _BATCH_BLOBS:
                break
            batch.append(sha)
        if len(batch) > 1:
            await self._read_zip(batch)

    async def _read_zip(self, shas: Sequence[str]) -> None:
        archive = io.BytesIO(await self.remote.blobs(shas))
        await asyncio.to_thread(self._unzip, archive)

    def _unzip(self, archive: io.BytesIO) -> None:
        try:
            with zipfile.ZipFile(archive) as files:
                if sum(info.file_size for info in files.infolist()) > MOST_BYTES:
                    raise Permanent(f"Azure DevOps answered with more than {MOST_BYTES} bytes of files.")
                for info in files.infolist():
                    blob = Blob.from_string(files.read(info))
                    self._keep(blob.id.decode(), (Blob.type_num, blob.data))
        except zipfile.BadZipFile:
            raise Permanent("Azure DevOps answered with a zip that cannot be read.") from None

    def _keep_tree(self, sha: str, entries: Sequence[tuple[str, TreeEntry]]) -> Raw:
        tree = Tree()
        for name, each in entries:
            tree.add(name.encode(), int(each.mode, 8), ObjectID(each.object_id.encode()))
            if each.git_object_type == "blob" and each.size is not None:
                self._kept.keep_size(each.object_id, each.size)
        if tree.id.decode() != sha:
            raise Permanent(f"The tree {sha} has names that are no UTF-8, which Azure DevOps does not tell.")
        return self._keep(sha, (Tree.type_num, tree.as_raw_string()))

    def _keep_blob(self, sha: str, content: bytes) -> Raw:
        if Blob.from_string(content).id.decode() != sha:
            raise Permanent(f"Azure DevOps answered with another content than that of the blob {sha}.")
        return self._keep(sha, (Blob.type_num, content))

    def _keep(self, sha: str, raw: Raw) -> Raw:
        self._kept.keep(self.remote.place, sha, raw)
        return raw


def commit_object(sha: str, raw: Raw) -> Commit:
    if raw[0] != Commit.type_num:
        raise UnknownCommit(f"There is no commit '{sha}' in this repository.", sha=sha)
    found = ShaFile.from_raw_string(*raw, sha=ObjectID(sha.encode()))
    assert isinstance(found, Commit)
    return found


def _commit_text(row: CommitRow) -> bytes:
    """What REST tells of a commit, as git writes it. Signatures and time zones are not told."""
    commit = Commit()
    commit.tree = ObjectID(row.tree_id.encode())
    commit.parents = [ObjectID(parent.encode()) for parent in row.parents]
    commit.author = f"{row.author.name} <{row.author.email}>".encode()
    commit.committer = f"{row.committer.name} <{row.committer.email}>".encode()
    commit.author_time = int(row.author.date.timestamp())
    commit.commit_time = int(row.committer.date.timestamp())
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = row.comment.encode()
    return commit.as_raw_string()
