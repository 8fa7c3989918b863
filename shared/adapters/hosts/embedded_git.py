"""The embedded git host: real bare repositories below one folder. The default host, and the one tests run on.

Git work runs in threads; the event loop never waits for a disk.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from weakref import WeakValueDictionary

from dulwich.objects import S_ISGITLINK, Blob, Tree

from shared.adapters.hosts import git_diff, git_history, git_tree
from shared.adapters.hosts.git_commits import find_conflicts, make_merge, make_next
from shared.adapters.hosts.git_journal import Journal
from shared.adapters.hosts.git_repository import Repositories, Repository
from shared.domain.kernel.errors import Conflict
from shared.domain.source.model import Visibility
from shared.ports.clock import Clock
from shared.ports.source_host import (
    BranchExists,
    CommitInfo,
    FileChange,
    FileDiff,
    Place,
    RefUpdate,
    Signature,
)


class EmbeddedGit:
    """Implements ports.source_host.SourceHost at root/{tenant}/{project}/{name}.git."""

    def __init__(self, root: Path, clock: Clock) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._journal = Journal(root / ".journal")
        self.repositories = Repositories(root, self._journal, clock)
        # Writers of one repository queue here instead of each blocking a thread on the file lock.
        self._queues: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    def clone_url(self, place: Place) -> str:
        return f"/git/{place.tenant}/{place.project}/{place.name}.git"

    async def create(
        self,
        place: Place,
        *,
        default_branch: str,
        author: Signature,
        readme: str,
        visibility: Visibility = Visibility.PRIVATE,
    ) -> str:
        """Who may read it is for who serves it to say: here nobody asks for the visibility."""
        blob = Blob.from_string(readme.encode())
        tree = Tree()
        tree.add(b"README.md", git_tree.FILE, blob.id)
        commit = git_history.make_commit(tree.id, (), "Initial commit", author, ())
        return await asyncio.to_thread(
            self.repositories.create, place, default_branch, [blob, tree, commit], commit.id
        )

    async def exists(self, place: Place) -> bool:
        return await asyncio.to_thread(self.repositories.exists, place)

    async def branches(self, place: Place) -> dict[str, str]:
        return await self._read(place, Repository.branches)

    async def head(self, place: Place, branch: str) -> str:
        return await self._read(place, lambda repository: repository.head(branch))

    async def create_branch(self, place: Place, name: str, at: str, *, by: str) -> None:
        def work(repository: Repository) -> None:
            repository.commit(at)
            head = repository.find_head(name)
            if head is None:
                repository.move(name, None, at, by=by)
            elif head != at:
                raise BranchExists(f"Branch '{name}' exists at another commit.", branch=name, actual=head)

        await self._write(place, work)

    async def delete_branch(self, place: Place, name: str, *, expected: str, by: str) -> None:
        """HeadMoved where the branch is elsewhere, Conflict for the default branch; already gone is fine."""

        def work(repository: Repository) -> None:
            if name == repository.default_branch:
                raise Conflict(f"'{name}' is the default branch and cannot be deleted.", branch=name)
            if repository.find_head(name) is not None:
                repository.move(name, expected, None, by=by)

        await self._write(place, work)

    async def commit(
        self,
        place: Place,
        branch: str,
        changes: Sequence[FileChange],
        *,
        message: str,
        author: Signature,
        expected_head: str | None = None,
        trailers: Sequence[tuple[str, str]] = (),
        once: tuple[str, str] | None = None,
    ) -> CommitInfo:
        return await self._write(
            place,
            lambda repository: make_next(
                repository,
                branch,
                changes,
                message=message,
                author=author,
                expected_head=expected_head,
                trailers=trailers,
                once=once,
            ),
        )

    async def merge(
        self,
        place: Place,
        *,
        source: str,
        target: str,
        expected_source: str,
        message: str,
        author: Signature,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> CommitInfo:
        return await self._write(
            place,
            lambda repository: make_merge(
                repository,
                source=source,
                target=target,
                expected_source=expected_source,
                message=message,
                author=author,
                trailers=trailers,
            ),
        )

    async def merge_conflicts(self, place: Place, *, source: str, target: str) -> list[str]:
        return await self._read(place, lambda repository: find_conflicts(repository, target, source))

    async def merge_base(self, place: Place, one: str, other: str) -> str | None:
        def work(repository: Repository) -> str | None:
            repository.commit(one)
            repository.commit(other)
            return git_history.merge_base(repository, one, other)

        return await self._read(place, work)

    async def is_ancestor(self, place: Place, ancestor: str, descendant: str) -> bool:
        def work(repository: Repository) -> bool:
            repository.commit(ancestor)
            repository.commit(descendant)
            return git_history.is_ancestor(repository, ancestor, descendant)

        return await self._read(place, work)

    async def diff(
        self, place: Place, base: str, head: str, *, max_patch_bytes: int = 262144
    ) -> list[FileDiff]:
        def work(repository: Repository) -> list[FileDiff]:
            return git_diff.diff(repository, repository.tree(base), repository.tree(head), max_patch_bytes)

        return await self._read(place, work)

    async def info(self, place: Place, sha: str) -> CommitInfo:
        return await self._read(place, lambda repository: git_history.read_commit(repository.commit(sha)))

    async def log(
        self, place: Place, head: str, *, until: str | None = None, limit: int = 50
    ) -> list[CommitInfo]:
        return await self._read(place, lambda repository: git_history.log(repository, head, until, limit))

    async def read_file(self, place: Place, sha: str, path: str) -> bytes | None:
        """A link answers with its target, as it is stored."""

        def work(repository: Repository) -> bytes | None:
            entry = git_tree.find_file(repository, repository.tree(sha), path)
            if entry is None or S_ISGITLINK(entry[0]):
                return None
            return repository.store.get_raw(entry[1])[1]

        return await self._read(place, work)

    async def list_files(self, place: Place, sha: str, prefix: str = "") -> list[str]:
        """Every path that begins with the prefix, in git's order."""

        def work(repository: Repository) -> list[str]:
            paths = (
                path.decode("utf-8", "replace")
                for path, _ in git_tree.files(repository, repository.tree(sha))
            )
            return [path for path in paths if path.startswith(prefix)]

        return await self._read(place, work)

    async def checkout(self, place: Place, sha: str, folder: str) -> None:
        await self._read(
            place, lambda repository: git_tree.write_out(repository, repository.tree(sha), Path(folder))
        )

    async def pending(self, *, older_than: float = 5.0) -> list[RefUpdate]:
        return await asyncio.to_thread(self._pending, older_than)

    async def acknowledge(self, update: RefUpdate) -> None:
        await asyncio.to_thread(self._journal.forget, update.token)

    async def settle(self, place: Place, branch: str, new: str | None) -> None:
        await asyncio.to_thread(self._journal.settle, place, branch, new)

    def _pending(self, older_than: float) -> list[RefUpdate]:
        entries = self._journal.entries(self._clock.now() - timedelta(seconds=older_than))
        return [entry.update for entry in entries if entry.certain or self._happened(entry.update)]

    def _happened(self, update: RefUpdate) -> bool:
        """Judge a move whose writer has not said that it is done: it still runs, or it died."""
        if not self.repositories.exists(update.place):
            self._journal.forget(update.token)
            return False
        # Under the lock no writer is half way: what is still an intent was left by a dead one.
        with self.repositories.open(update.place) as repository, repository.locked():
            state = self._journal.state(update)
            if state != "intent":
                return state == "moved"
            head = repository.find_head(update.branch)
            if update.new is None:
                moved = head is None
            else:
                moved = head is not None and git_history.is_ancestor(repository, update.new, head)
            if moved:
                self._journal.happened(update)
            else:
                self._journal.forget(update.token)
            return moved

    async def _read[T](self, place: Place, work: Callable[[Repository], T]) -> T:
        def run() -> T:
            with self.repositories.open(place) as repository:
                return work(repository)

        return await asyncio.to_thread(run)

    async def _write[T](self, place: Place, work: Callable[[Repository], T]) -> T:
        def run() -> T:
            with self.repositories.open(place) as repository, repository.locked():
                return work(repository)

        async with self._queues.setdefault(place, asyncio.Lock()):
            return await asyncio.to_thread(run)
