"""Work on whole trees of a repository on Azure DevOps, by the code that works on those of embedded ones.

That code reads objects one by one and waits for each, so it runs in threads of its own beside the loop.
"""

import asyncio
import stat
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dulwich.diff_tree import tree_changes
from dulwich.object_store import BaseObjectStore
from dulwich.objects import S_ISGITLINK, ObjectID, ShaFile, Tree

from shared.adapters.hosts import git_diff, git_tree
from shared.adapters.hosts.azure_devops_objects import Objects, Raw
from shared.adapters.hosts.git_merge import TreeMerge
from shared.ports.source_host import FileChange, FileDiff


@dataclass(frozen=True, slots=True)
class Trees:
    """`threads` are not the loop's: these wait for the network, and looking up its names needs one too."""

    objects: Objects
    threads: ThreadPoolExecutor

    async def change(self, tree: ObjectID, changes: Sequence[FileChange]) -> tuple[ObjectID, list[ShaFile]]:
        """As git_tree.change_tree."""
        return await self._beside(lambda stored: git_tree.change_tree(stored, tree, changes))

    async def merge(
        self, base: ObjectID | None, ours: ObjectID, theirs: ObjectID
    ) -> tuple[ObjectID, TreeMerge]:
        """The tree of both, and what it took; see git_merge.TreeMerge."""

        def work(stored: Loading) -> tuple[ObjectID, TreeMerge]:
            merge = TreeMerge(stored)
            return merge.run(base, ours, theirs), merge

        return await self._beside(work)

    async def diff(self, old: ObjectID, new: ObjectID, max_patch_bytes: int) -> list[FileDiff]:
        """As git_diff.diff: REST tells what changed and has no patches."""

        def work(stored: Loading) -> list[FileDiff]:
            changes = list(tree_changes(stored, old, new))
            entries = (entry for change in changes for entry in (change.old, change.new) if entry is not None)
            stored.expect(entry.sha for entry in entries if not S_ISGITLINK(entry.mode))
            return git_diff.diff(stored, old, new, max_patch_bytes)

        return await self._beside(work)

    async def paths(self, tree: ObjectID) -> list[str]:
        """Of every file, in git's order."""

        def work(stored: Loading) -> list[str]:
            stored.load_trees(tree)
            return [path.decode("utf-8", "replace") for path, _ in git_tree.files(stored, tree)]

        return await self._beside(work)

    async def write_out(self, tree: ObjectID, folder: Path) -> None:
        """As git_tree.write_out. Files come in zips and are placed by the trees, which have their modes; no
        path of a zip is used."""

        def work(stored: Loading) -> None:
            stored.load_trees(tree)
            found = (entry for _, entry in git_tree.files(stored, tree))
            stored.expect(blob for mode, blob in found if not S_ISGITLINK(mode))
            git_tree.write_out(stored, tree, folder)

        await self._beside(work)

    async def _beside[T](self, work: "Callable[[Loading], T]") -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, work, Loading(self.objects, loop))


class Loading(BaseObjectStore):
    """The trees and files of a repository as git code reads them, each loaded when it is first asked for.

    Used from a thread beside the loop, which it waits for; in the loop itself it would wait for ever.
    """

    def __init__(self, objects: Objects, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._objects = objects
        self._loop = loop
        self._blobs: set[str] = set()
        self._ahead: dict[str, int] = {}

    @property
    def store(self) -> BaseObjectStore:
        return self

    def get_raw(self, name: bytes) -> Raw:
        sha = name.decode()
        found = self._objects.find(sha)
        if found is None:
            found = self._wait(self._read_blob(sha) if sha in self._blobs else self._objects.read_tree(sha))
        if found[0] == Tree.type_num:
            tree = Tree.from_string(found[1])
            self._blobs.update(each.sha.decode() for each in tree.iteritems() if not stat.S_ISDIR(each.mode))
        return found

    def load_trees(self, tree: ObjectID) -> None:
        """Everything below a tree but the files, in one call."""
        self._wait(self._objects.read_trees(tree.decode()))

    def expect(self, blobs: Iterable[ObjectID]) -> None:
        """These are going to be read, mostly in this order: whoever asks for one gets the next ones too."""
        self._ahead = {sha.decode(): index for index, sha in enumerate(dict.fromkeys(blobs))}

    async def _read_blob(self, sha: str) -> Raw:
        if sha in self._ahead:
            await self._objects.read_blobs(islice(self._ahead, self._ahead[sha], None))
        return self._objects.find(sha) or await self._objects.read_blob(sha)

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
