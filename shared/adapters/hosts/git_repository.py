"""One bare repository on disk: where it lies, its lock, its refs, and the only code that moves them.

Everything here blocks; callers run it in a thread. Objects are written first, refs last.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dulwich.file import FileLocked
from dulwich.objects import Commit, ObjectID, ShaFile
from dulwich.protocol import ZERO_SHA
from dulwich.refs import HEADREF, Ref
from dulwich.repo import Repo

from shared.adapters.hosts.git_journal import Journal
from shared.adapters.hosts.git_paths import branch_ref, ref_in_the_way
from shared.domain.kernel.errors import Invalid
from shared.ports.clock import Clock
from shared.ports.source_host import (
    BranchExists,
    HeadMoved,
    Place,
    RefUpdate,
    RepositoryMissing,
    UnknownBranch,
    UnknownCommit,
)

_HEADS = b"refs/heads/"
_INITIAL = "slipway-initial"
_LOCK = "slipway.lock"
_PLACE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA = re.compile(r"[0-9a-f]{40}")


class Repository:
    """An open repository. Made by Repositories.open; not shared between threads."""

    def __init__(self, repo: Repo, place: Place, journal: Journal, clock: Clock) -> None:
        self.repo = repo
        self.place = place
        self.store = repo.object_store
        self._journal = journal
        self._clock = clock

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the repository against every other thread and process; the system frees it when we die."""
        with (Path(self.repo.path) / _LOCK).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def default_branch(self) -> str:
        return self.repo.refs.get_symrefs()[HEADREF].removeprefix(_HEADS).decode()

    def branches(self) -> dict[str, str]:
        heads = self.repo.refs.as_dict(Ref(b"refs/heads"))
        return {name.decode(): sha.decode() for name, sha in sorted(heads.items())}

    def find_head(self, branch: str) -> str | None:
        ref = branch_ref(branch)
        if ref is None:
            return None
        sha = self.repo.refs.read_loose_ref(ref) or self.repo.refs.get_packed_refs().get(ref)
        return sha.decode() if sha else None

    def head(self, branch: str) -> str:
        head = self.find_head(branch)
        if head is None:
            raise UnknownBranch(f"There is no branch '{branch}'.", branch=branch)
        return head

    def commit(self, sha: str) -> Commit:
        if _SHA.fullmatch(sha):
            try:
                found = self.store[ObjectID(sha.encode())]
            except KeyError:
                found = None
            if isinstance(found, Commit):
                return found
        raise UnknownCommit(f"There is no commit '{sha}' in this repository.", sha=sha)

    def tree(self, sha: str) -> ObjectID:
        tree: ObjectID = self.commit(sha).tree
        return tree

    def write(self, *objects: ShaFile) -> None:
        """Store objects; the caller holds the lock."""
        for each in objects:
            try:
                self.store.add_object(each)
            except FileLocked as left:
                # A writer died with this object's lock file; nobody else can be writing while we hold ours.
                Path(os.fsdecode(left.lockfilename)).unlink(missing_ok=True)
                self.store.add_object(each)

    def move(self, branch: str, old: str | None, new: str | None, *, by: str) -> RefUpdate:
        """Compare-and-swap a branch, journaled before it moves; the caller holds the lock.

        HeadMoved where the branch is not at `old`; Invalid and BranchExists where the name cannot be had.
        """
        ref = branch_ref(branch)
        if ref is None:
            raise Invalid(f"'{branch}' is not a valid branch name; git would not take it.", branch=branch)
        actual = self.find_head(branch)
        if actual != old:
            raise HeadMoved(
                f"Branch '{branch}' has moved; read its head and try again.", branch=branch, actual=actual
            )
        if old is None:
            self._refuse_collision(branch, ref)
        update = self._journal.intend(self.place, branch, old, new, by, self._clock.now())
        if not self.swap(ref, old, new):
            self._journal.forget(update.token)
            raise HeadMoved(
                f"Branch '{branch}' has moved; read its head and try again.",
                branch=branch,
                actual=self.find_head(branch),
            )
        self._journal.happened(update)
        return update

    def swap(self, ref: Ref, old: str | None, new: str | None) -> bool:
        """Move any ref if it is still at `old`, without a journal; the caller holds the lock."""
        self._clear_stale_locks(ref)
        before = ObjectID(old.encode()) if old else ZERO_SHA
        if new is None:
            return self.repo.refs.remove_if_equals(ref, before)
        return self.repo.refs.set_if_equals(ref, before, ObjectID(new.encode()))

    def _refuse_collision(self, branch: str, ref: Ref) -> None:
        taken = ref_in_the_way(ref, self.repo.refs.allkeys())
        if taken is not None:
            other = taken.removeprefix(_HEADS).decode()
            raise BranchExists(
                f"'{branch}' cannot be made beside '{other}'; choose another name.", branch=other
            )

    def _clear_stale_locks(self, ref: Ref) -> None:
        # dulwich's own lock files outlive a killed process and would block the branch for ever.
        root = Path(self.repo.path)
        for name in (os.fsdecode(ref), "packed-refs"):
            (root / f"{name}.lock").unlink(missing_ok=True)


class Repositories:
    """The folder of all repositories: root/{tenant}/{project}/{name}.git."""

    def __init__(self, root: Path, journal: Journal, clock: Clock) -> None:
        self._root = root
        self._journal = journal
        self._clock = clock

    def path(self, place: Place) -> Path | None:
        """None where a part of the place could not be the name of a folder."""
        parts = (place.tenant, place.project, place.name)
        if not all(_PLACE_PART.fullmatch(part) for part in parts):
            return None
        return self._root / place.tenant / place.project / f"{place.name}.git"

    def exists(self, place: Place) -> bool:
        path = self.path(place)
        return path is not None and path.is_dir()

    @contextmanager
    def open(self, place: Place) -> Iterator[Repository]:
        """RepositoryMissing where there is none."""
        path = self.path(place)
        if path is None or not path.is_dir():
            raise RepositoryMissing(f"There is no repository '{place.name}' in project '{place.project}'.")
        with closing(Repo(str(path), bare=True)) as repo:
            yield Repository(repo, place, self._journal, self._clock)

    def create(self, place: Place, default_branch: str, objects: list[ShaFile], initial: ObjectID) -> str:
        """Build the repository aside and rename it into place; where it stands already, its first commit."""
        path, ref = self.path(place), branch_ref(default_branch)
        if path is None:
            raise Invalid(
                "A repository's place takes letters, digits, '.', '_' and '-', 128 characters at most."
            )
        if ref is None:
            raise Invalid(f"'{default_branch}' is not a valid branch name; git would not take it.")
        if path.is_dir():
            return (path / _INITIAL).read_text()
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=self._root))
        try:
            self._build(building, ref, objects, initial)
            try:
                building.rename(path)
            except OSError:
                # Another create was quicker; a folder that holds a repository is never replaced.
                if not path.is_dir():
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return (path / _INITIAL).read_text()

    @staticmethod
    def _build(folder: Path, ref: Ref, objects: list[ShaFile], initial: ObjectID) -> None:
        with closing(Repo.init_bare(str(folder))) as repo:
            config = repo.get_config()
            config.set("core", "logAllRefUpdates", False)
            # A ref must never outlive the objects it names.
            config.set("core", "fsyncObjectFiles", True)
            config.write_to_path()
            repo.object_store.fsync_object_files = True
            for each in objects:
                repo.object_store.add_object(each)
            repo.refs.set_symbolic_ref(HEADREF, ref)
            repo.refs.set_if_equals(ref, ZERO_SHA, initial)
        with (folder / _INITIAL).open("wb") as file:
            file.write(initial)
            file.flush()
            os.fsync(file.fileno())
