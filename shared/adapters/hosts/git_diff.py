"""The difference between two trees, file by file, with renames and patches that `git apply` takes.

Nothing here writes.
"""

from collections.abc import Iterator
from typing import Literal

from dulwich.diff_tree import CHANGE_COPY, RenameDetector, TreeChange, tree_changes
from dulwich.objects import S_ISGITLINK, ObjectID, TreeEntry

from shared.adapters.hosts import git_lines
from shared.adapters.hosts.git_tree import Stored
from shared.ports.source_host import FileDiff

_RENAME_LIMIT = 200


def diff(repository: Stored, base: ObjectID, head: ObjectID, max_patch_bytes: int) -> list[FileDiff]:
    """Sorted by path. A patch longer than `max_patch_bytes` (of one file) is left out, its counts are not."""
    detector = RenameDetector(repository.store, max_files=_RENAME_LIMIT, rewrite_threshold=None)
    changes = tree_changes(repository.store, base, head, rename_detector=detector)
    diffs = [_diff(repository, change, max_patch_bytes) for change in changes]
    return sorted(diffs, key=lambda each: (each.path, each.operation))


def _diff(repository: Stored, change: TreeChange, max_patch_bytes: int) -> FileDiff:
    # A copy is an addition to us: its source stands where it stood.
    old, new = (None if change.type == CHANGE_COPY else change.old), change.new
    before, after = _content(repository, old), _content(repository, new)
    operation = _operation(old, new)
    patch, added, deleted = None, 0, 0
    if not git_lines.is_binary(before) and not git_lines.is_binary(after):
        hunks, added, deleted = git_lines.unified(before, after)
        patch = "".join(_header(old, new, has_hunks=bool(hunks))) + hunks
        if len(patch.encode()) > max_patch_bytes:
            patch = None
    return FileDiff(
        path=_name(new or old),
        operation=operation,
        additions=added,
        deletions=deleted,
        patch=patch,
        source=_name(old) if operation == "rename" else None,
    )


def _operation(old: TreeEntry | None, new: TreeEntry | None) -> Literal["add", "modify", "delete", "rename"]:
    if old is None:
        return "add"
    if new is None:
        return "delete"
    return "modify" if old.path == new.path else "rename"


def _header(old: TreeEntry | None, new: TreeEntry | None, *, has_hunks: bool) -> Iterator[str]:
    before, after = _name(old or new), _name(new or old)
    yield f"diff --git a/{before} b/{after}\n"
    if old is None and new is not None:
        yield f"new file mode {new.mode:06o}\n"
    elif new is None and old is not None:
        yield f"deleted file mode {old.mode:06o}\n"
    elif old is not None and new is not None:
        if old.mode != new.mode:
            yield f"old mode {old.mode:06o}\nnew mode {new.mode:06o}\n"
        if before != after:
            yield f"rename from {before}\nrename to {after}\n"
    if has_hunks:
        # A tab ends a name that has a space, as git writes it.
        yield f"--- a/{before}{_end(before)}\n" if old else "--- /dev/null\n"
        yield f"+++ b/{after}{_end(after)}\n" if new else "+++ /dev/null\n"


def _end(name: str) -> str:
    return "\t" if " " in name else ""


def _content(repository: Stored, entry: TreeEntry | None) -> bytes:
    if entry is None:
        return b""
    if S_ISGITLINK(entry.mode):
        return b"Subproject commit " + entry.sha + b"\n"
    return repository.store.get_raw(entry.sha)[1]


def _name(entry: TreeEntry | None) -> str:
    assert entry is not None
    return entry.path.decode("utf-8", "replace")
