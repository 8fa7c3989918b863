"""The three-way merge of trees. Conflicts are collected, not marked: a conflicted merge writes nothing.

Renames are not followed: a file renamed on one side and changed on the other is a conflict, never a guess.
"""

import stat
from dataclasses import dataclass, field

from dulwich.objects import Blob, ObjectID, ShaFile, Tree

from shared.adapters.hosts import git_lines
from shared.adapters.hosts.git_tree import FILE, FOLDER, Entry, Stored, read_tree

# Stands for a conflicted file in a tree that is never stored.
_CONFLICT: Entry = (FILE, ObjectID(b"0" * 40))


@dataclass(slots=True)
class TreeMerge:
    """After `run`: the merged tree's sha, the objects to store for it, and the paths in conflict."""

    repository: Stored
    objects: list[ShaFile] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    def run(self, base: ObjectID | None, ours: ObjectID, theirs: ObjectID) -> ObjectID:
        merged = self._trees(base, ours, theirs, b"")
        if merged is None:
            empty = Tree()
            self.objects.append(empty)
            return empty.id
        return merged

    def _trees(
        self, base: ObjectID | None, ours: ObjectID | None, theirs: ObjectID | None, at: bytes
    ) -> ObjectID | None:
        if theirs in (ours, base):
            return ours
        if base == ours:
            return theirs
        was, our, their = (read_tree(self.repository, sha) if sha else {} for sha in (base, ours, theirs))
        tree = Tree()
        for name in sorted(was.keys() | our.keys() | their.keys()):
            merged = self._entries(was.get(name), our.get(name), their.get(name), at + name)
            if merged is not None:
                tree.add(name, *merged)
        if not len(tree):
            return None
        self.objects.append(tree)
        return tree.id

    def _entries(
        self, base: Entry | None, ours: Entry | None, theirs: Entry | None, path: bytes
    ) -> Entry | None:
        """A name may be a file here and a folder there: the two merge apart, and only one may stay."""
        if theirs in (ours, base):
            return ours
        if base == ours:
            return theirs
        folder = self._trees(_folder(base), _folder(ours), _folder(theirs), path + b"/")
        file = self._files(_file(base), _file(ours), _file(theirs), path)
        if file is not None and folder is not None:
            self._conflict(path)
        return file if folder is None else (FOLDER, folder)

    def _files(
        self, base: Entry | None, ours: Entry | None, theirs: Entry | None, path: bytes
    ) -> Entry | None:
        if theirs in (ours, base):
            return ours
        if base == ours:
            return theirs
        if base is None or ours is None or theirs is None:
            # Added twice with different content, or changed on one side and deleted on the other.
            return self._conflict(path)
        mode = _pick(base[0], ours[0], theirs[0])
        sha = _pick(base[1], ours[1], theirs[1])
        if sha is None and all(stat.S_ISREG(entry[0]) for entry in (base, ours, theirs)):
            sha = self._contents(base[1], ours[1], theirs[1])
        if mode is None or sha is None:
            return self._conflict(path)
        return mode, sha

    def _contents(self, base: ObjectID, ours: ObjectID, theirs: ObjectID) -> ObjectID | None:
        was, our, their = (self.repository.store.get_raw(sha)[1] for sha in (base, ours, theirs))
        if any(git_lines.is_binary(content) for content in (was, our, their)):
            return None
        merged = git_lines.merge(was, our, their)
        if merged is None:
            return None
        blob = Blob.from_string(merged)
        self.objects.append(blob)
        return blob.id

    def _conflict(self, path: bytes) -> Entry:
        self.conflicts.append(path.decode("utf-8", "replace"))
        return _CONFLICT


def _pick[T](base: T, ours: T, theirs: T) -> T | None:
    """The side that changed; None where both did, differently."""
    if ours in (base, theirs):
        return theirs
    return ours if theirs == base else None


def _folder(entry: Entry | None) -> ObjectID | None:
    return entry[1] if entry is not None and stat.S_ISDIR(entry[0]) else None


def _file(entry: Entry | None) -> Entry | None:
    return entry if entry is not None and not stat.S_ISDIR(entry[0]) else None
