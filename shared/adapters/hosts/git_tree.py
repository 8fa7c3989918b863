"""Trees of files: applying changes to one, listing it, writing it into a folder.

Nothing here moves a ref. Every mistake of a set of changes is found before the first object is written.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from dulwich.object_store import BaseObjectStore
from dulwich.objects import S_ISGITLINK, Blob, ObjectID, ShaFile, Tree

from shared.adapters.hosts.git_paths import path_problem
from shared.domain.kernel.errors import Conflict, Invalid, Problem
from shared.ports.source_host import BadChange, FileChange

FILE = 0o100644
PROGRAM = 0o100755
FOLDER = stat.S_IFDIR
LINK = stat.S_IFLNK

Entry = tuple[int, ObjectID]
"""Mode and sha."""


class Stored(Protocol):
    """Whatever holds git objects: a repository on disk, or what was fetched of one."""

    @property
    def store(self) -> BaseObjectStore: ...


class Folder:
    """A tree being edited. Subtrees are read when something inside them is asked for, and not before."""

    def __init__(self, repository: Stored, sha: ObjectID | None) -> None:
        self._repository = repository
        self._entries: dict[bytes, Entry | Folder] = {}
        if sha is not None:
            self._entries.update(read_tree(repository, sha))

    def find(self, path: bytes) -> "Entry | Folder | None":
        name, _, rest = path.partition(b"/")
        here = self._open(name)
        if not rest:
            return here
        return here.find(rest) if isinstance(here, Folder) else None

    def put(self, path: bytes, entry: Entry) -> bytes | None:
        """Place a file; the path in the way, if one is: a file where a folder is needed, or the reverse."""
        name, _, rest = path.partition(b"/")
        here = self._open(name)
        if not rest:
            if isinstance(here, Folder) and here._entries:
                return name
            self._entries[name] = entry
            return None
        if here is None:
            here = self._entries[name] = Folder(self._repository, None)
        if not isinstance(here, Folder):
            return name
        blocked = here.put(rest, entry)
        return None if blocked is None else name + b"/" + blocked

    def remove(self, path: bytes) -> None:
        name, _, rest = path.partition(b"/")
        here = self._open(name)
        if rest and isinstance(here, Folder):
            here.remove(rest)
            if here._entries:
                return
        del self._entries[name]

    def trees(self) -> Iterator[Tree]:
        """Every tree object to store, the root last. Git knows no empty folder, so none is written."""
        tree = Tree()
        for name, entry in self._entries.items():
            if isinstance(entry, Folder):
                *below, last = entry.trees()
                if len(last):
                    yield from below
                    yield last
                    tree.add(name, FOLDER, last.id)
            else:
                tree.add(name, *entry)
        yield tree

    def _open(self, name: bytes) -> "Entry | Folder | None":
        entry = self._entries.get(name)
        if entry is not None and not isinstance(entry, Folder) and stat.S_ISDIR(entry[0]):
            entry = self._entries[name] = Folder(self._repository, entry[1])
        return entry


def read_tree(repository: Stored, sha: ObjectID) -> dict[bytes, Entry]:
    """The entries of one tree, by name. KeyError where it is not stored, TypeError where it is no tree."""
    tree = repository.store[sha]
    if not isinstance(tree, Tree):
        raise TypeError(f"{sha.decode()} is not a tree")
    return {entry.path: (entry.mode, entry.sha) for entry in tree.iteritems()}


def files(repository: Stored, tree: ObjectID, prefix: bytes = b"") -> Iterator[tuple[bytes, Entry]]:
    """Every path below a tree with its entry, in git's order."""
    for name, (mode, sha) in read_tree(repository, tree).items():
        if stat.S_ISDIR(mode):
            yield from files(repository, sha, prefix + name + b"/")
        else:
            yield prefix + name, (mode, sha)


def change_tree(
    repository: Stored, tree: ObjectID, changes: Sequence[FileChange]
) -> tuple[ObjectID, list[ShaFile]]:
    """The tree after the changes, and the objects to store for it. BadChange lists every mistake."""
    root = Folder(repository, tree)
    planned = _Plan(root)
    for index, change in enumerate(changes):
        planned.read(f"changes[{index}]", change)
    planned.place()
    if planned.problems:
        raise BadChange("Some changes cannot be applied; correct them and send all again.", *planned.problems)
    objects = [*planned.blobs, *root.trees()]
    after = objects[-1].id
    if after == tree:
        raise BadChange("With these changes nothing would change; the branch already has this content.")
    return after, objects


class _Plan:
    """Removals happen as changes are read and placements after all of them, so that a folder may take the
    place of a file that the same commit deletes."""

    def __init__(self, root: Folder) -> None:
        self.problems: list[Problem] = []
        self.blobs: list[ShaFile] = []
        self._root = root
        self._seen: set[str] = set()
        self._removals: list[bytes] = []
        self._placements: list[tuple[str, bytes, Entry]] = []

    def read(self, field: str, change: FileChange) -> None:
        before = len(self.problems)
        self._check_path(f"{field}.path", change.path)
        if change.operation == "rename":
            self._check_path(f"{field}.source", change.source or "")
        if change.operation in {"add", "modify"} and change.content is None:
            self._problem(f"{field}.content", f"{change.operation} needs the file's content")
        if len(self.problems) > before:
            return
        match change.operation:
            case "add":
                self._add(field, change)
            case "modify":
                self._modify(field, change)
            case "delete":
                self._delete(field, change)
            case "rename":
                self._rename(field, change)

    def place(self) -> None:
        for path in self._removals:
            self._root.remove(path)
        for field, path, entry in self._placements:
            blocked = self._root.put(path, entry)
            if blocked is not None:
                self._problem(
                    field, f"'{blocked.decode()}' is both a file and a folder; delete or rename one"
                )

    def _add(self, field: str, change: FileChange) -> None:
        if self._file(change.path) is not None:
            self._problem(f"{field}.path", f"'{change.path}' exists; use modify", "exists")
            return
        self._store(field, change, PROGRAM if change.executable else FILE)

    def _modify(self, field: str, change: FileChange) -> None:
        entry = self._regular(f"{field}.path", change.path)
        if entry is not None:
            self._store(field, change, PROGRAM if change.executable else entry[0])

    def _delete(self, field: str, change: FileChange) -> None:
        if self._file(change.path) is None:
            self._missing(f"{field}.path", change.path)
            return
        self._removals.append(change.path.encode())

    def _rename(self, field: str, change: FileChange) -> None:
        source = change.source or ""
        entry = self._file(source)
        if entry is None:
            self._missing(f"{field}.source", source)
        if self._file(change.path) is not None:
            self._problem(
                f"{field}.path", f"'{change.path}' exists; delete it in an earlier commit", "exists"
            )
            return
        if entry is None:
            return
        mode, sha = entry
        self._removals.append(source.encode())
        if change.content is not None and stat.S_ISREG(mode):
            self._store(field, change, PROGRAM if change.executable else mode)
        elif change.content is not None:
            self._problem(f"{field}.source", f"'{source}' is not a regular file; rename it without content")
        else:
            self._placements.append((f"{field}.path", change.path.encode(), (mode, sha)))

    def _store(self, field: str, change: FileChange, mode: int) -> None:
        blob = Blob.from_string(change.content or b"")
        self.blobs.append(blob)
        self._placements.append((f"{field}.path", change.path.encode(), (mode, blob.id)))

    def _file(self, path: str) -> Entry | None:
        found = self._root.find(path.encode())
        return None if isinstance(found, Folder) else found

    def _regular(self, field: str, path: str) -> Entry | None:
        entry = self._file(path)
        if entry is None:
            self._missing(field, path)
        elif not stat.S_ISREG(entry[0]):
            self._problem(field, f"'{path}' is not a regular file; delete it and add the new one")
            return None
        return entry

    def _check_path(self, field: str, path: str) -> None:
        if problem := path_problem(path):
            self._problem(field, problem, "bad_path")
        elif path in self._seen:
            self._problem(field, f"'{path}' is named by two changes; keep one", "repeated")
        self._seen.add(path)

    def _missing(self, field: str, path: str) -> None:
        self._problem(field, f"there is no file '{path}' on this branch", "missing")

    def _problem(self, field: str, message: str, code: str = "invalid") -> None:
        self.problems.append(Problem(field, message, code))


def find_file(repository: Stored, tree: ObjectID, path: str) -> Entry | None:
    if path_problem(path):
        return None
    found = Folder(repository, tree).find(path.encode())
    return None if isinstance(found, Folder) else found


def write_out(repository: Stored, tree: ObjectID, folder: Path) -> None:
    """The exact files of a tree into an empty folder. Invalid where a link would lead out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"'{folder.name}' is not empty; check out into an empty folder.")
    links = []
    for path, (mode, sha) in files(repository, tree):
        if problem := path_problem(path.decode("utf-8", "surrogateescape")):
            raise Invalid(f"The tree cannot be written to disk: {problem}.")
        target = folder / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if S_ISGITLINK(mode):
            target.mkdir()
        elif stat.S_ISLNK(mode):
            to = repository.store.get_raw(sha)[1]
            if not to or b"\0" in to:
                raise Invalid(f"The link '{target.relative_to(folder)}' names no path; remove it.")
            links.append((target, to))
        else:
            target.write_bytes(repository.store.get_raw(sha)[1])
            target.chmod(0o755 if mode & 0o100 else 0o644)
    # Links come last, so that no file is ever written through one.
    for target, to in links:
        target.symlink_to(os.fsdecode(to))
    root = folder.resolve()
    escaping = [target for target, _ in links if not _inside(target, root)]
    if escaping:
        for target, _ in links:
            target.unlink()
        raise Invalid(f"The link '{escaping[0].relative_to(folder)}' leads out of the repository; remove it.")


def _inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=False).is_relative_to(root)
    except (OSError, RuntimeError):
        # A circle of links leads nowhere, and so not inside either.
        return False
