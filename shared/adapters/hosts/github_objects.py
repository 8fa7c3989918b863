"""Git objects of a repository on GitHub: fetched into memory to be worked on as if it were here, and sent.

Everything is checked against the sha that names it, so GitHub's JSON cannot change what a file holds.
"""

import asyncio
import base64
import stat
import tarfile
import zlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import IO, Any

from dulwich.object_store import MemoryObjectStore
from dulwich.objects import S_ISGITLINK, Blob, ObjectID, RawObjectID, ShaFile, Tree

from shared.adapters.hosts.git_tree import files
from shared.adapters.hosts.github_api import Remote
from shared.adapters.hosts.github_models import GitTree, Sha, TreeEntry
from shared.adapters.vendors.answers import Answer
from shared.domain.kernel.errors import Invalid, Permanent, Transient

EMPTY_TREE = Tree().id
_RAW = {"Accept": "application/vnd.github.raw+json"}
_INLINE_BYTES = 512 * 1024
"""Text up to this size travels in the tree that names it: GitHub limits how often content is created."""
_MOST_BYTES = 1024 * 1024 * 1024


class Unfetched(KeyError):
    """An object that was not fetched yet."""

    def __init__(self, sha: ObjectID) -> None:
        super().__init__(sha)
        self.sha = sha


class _Store(MemoryObjectStore):
    def __getitem__(self, name: ObjectID | RawObjectID) -> ShaFile:
        try:
            return super().__getitem__(name)
        except KeyError:
            raise Unfetched(ObjectID(name)) from None


class Snapshot:
    """Trees of a repository, whole, and those blobs that were asked for. Implements git_tree.Stored."""

    def __init__(self, remote: Remote) -> None:
        self.store = _Store()
        self._remote = remote

    async def run[T](self, work: Callable[["Snapshot"], T]) -> T:
        """Work on the objects in a thread; what it misses is fetched, and it begins anew."""
        while True:
            try:
                return await asyncio.to_thread(work, self)
            except Unfetched as missing:
                await self._fetch_blob(missing.sha)

    async def add_trees(self, *roots: str) -> None:
        """Everything below these trees, but no blobs."""
        for root in dict.fromkeys(roots):
            if ObjectID(root.encode()) not in self.store:
                await self._add_tree(root)

    async def add_blobs(self, shas: Iterable[ObjectID]) -> None:
        """In parallel, as far as GitHub takes it."""
        missing = [sha for sha in dict.fromkeys(shas) if sha not in self.store]
        await _together(self._fetch_blob(sha) for sha in missing)

    def blobs(self, tree: ObjectID) -> set[ObjectID]:
        """Of every file below a tree."""
        return {sha for _, (mode, sha) in files(self, tree) if not S_ISGITLINK(mode)}

    def add_archive(self, file: IO[bytes], tree: ObjectID) -> None:
        """Take the blobs of a tree from its tar.gz. Blocking.

        Only bytes are taken: which file is where is told by the tree alone. What the archive leaves out or
        changes, by `export-ignore` and `export-subst`, has another sha and is not taken.
        """
        wanted, size = self.blobs(tree), 0
        try:
            with tarfile.open(fileobj=file, mode="r|gz") as archive:
                for member in archive:
                    size += member.size
                    if size > _MOST_BYTES:
                        raise Invalid(f"The repository has more than {_MOST_BYTES} bytes; make it smaller.")
                    blob = Blob.from_string(_content(archive, member))
                    if blob.id in wanted:
                        self.store.add_object(blob)
        except (tarfile.TarError, EOFError, zlib.error, OSError):
            raise Transient("GitHub's archive of the commit broke off; try again.") from None

    async def _add_tree(self, root: str) -> None:
        answer = await self._remote.send("GET", "git", "trees", root, query={"recursive": "1"})
        listed = answer.read(GitTree)
        if not listed.truncated:
            self._add_listing(root, listed.tree)
            return
        answer = await self._remote.send("GET", "git", "trees", root)
        children = answer.read(GitTree).tree
        self._add(root, [(entry.path, entry) for entry in children])
        await self.add_trees(*(entry.sha for entry in children if entry.type == "tree"))

    def _add_listing(self, root: str, entries: Sequence[TreeEntry]) -> None:
        folders = {"": root, **{entry.path: entry.sha for entry in entries if entry.type == "tree"}}
        children: dict[str, list[tuple[str, TreeEntry]]] = {path: [] for path in folders}
        for entry in entries:
            folder, _, name = entry.path.rpartition("/")
            children[folder].append((name, entry))
        for path, sha in folders.items():
            self._add(sha, children[path])

    def _add(self, sha: str, entries: Sequence[tuple[str, TreeEntry]]) -> None:
        tree = Tree()
        for name, entry in entries:
            tree.add(name.encode(), int(entry.mode, 8), ObjectID(entry.sha.encode()))
        self._check(tree, sha)
        self.store.add_object(tree)

    async def _fetch_blob(self, sha: ObjectID) -> None:
        answer = await self._remote.send("GET", "git", "blobs", sha.decode(), headers=_RAW)
        blob = Blob.from_string(answer.body)
        self._check(blob, sha.decode())
        self.store.add_object(blob)

    @staticmethod
    def _check(found: ShaFile, sha: str) -> None:
        if found.id.decode() != sha:
            raise Permanent(
                f"GitHub cannot tell object {sha} exactly; a file whose name is not UTF-8 would do that."
            )


async def send_objects(remote: Remote, objects: Sequence[ShaFile]) -> None:
    """Store blobs and trees, those below before those above. Twice stores the same."""
    inline: dict[ObjectID, str] = {}
    large: dict[ObjectID, bytes] = {}
    for each in objects:
        if isinstance(each, Blob):
            text = _text(each.data)
            if text is None:
                large[each.id] = each.data
            else:
                inline[each.id] = text
    await _together(_send_blob(remote, sha, content) for sha, content in large.items())
    for each in objects:
        # Git knows the empty tree without being given it, and GitHub takes no list of no entries.
        if isinstance(each, Tree) and each.id != EMPTY_TREE:
            await _send_tree(remote, each, inline)


async def _together(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once; the first that fails ends the others, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _send_blob(remote: Remote, sha: ObjectID, content: bytes) -> None:
    body = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
    _same(sha, await remote.send("POST", "git", "blobs", body=body))


async def _send_tree(remote: Remote, tree: Tree, inline: dict[ObjectID, str]) -> None:
    entries = [
        {
            "path": entry.path.decode(),
            "mode": f"{entry.mode:06o}",
            "type": _type(entry.mode),
            **({"content": inline[entry.sha]} if entry.sha in inline else {"sha": entry.sha.decode()}),
        }
        for entry in tree.iteritems()
    ]
    _same(tree.id, await remote.send("POST", "git", "trees", body={"tree": entries}))


def _same(sha: ObjectID, answer: Answer) -> None:
    stored = answer.read(Sha).sha
    if stored != sha.decode():
        raise Permanent(f"GitHub stored {stored} where {sha.decode()} was sent; nothing was moved to it.")


def _text(content: bytes) -> str | None:
    """Content as JSON can carry it unharmed; None where it is large or not plain text."""
    if len(content) > _INLINE_BYTES or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _type(mode: int) -> str:
    if S_ISGITLINK(mode):
        return "commit"
    return "tree" if stat.S_ISDIR(mode) else "blob"


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.issym():
        return member.linkname.encode("utf-8", "surrogateescape")
    opened = archive.extractfile(member) if member.isreg() else None
    return opened.read() if opened is not None else b""
