"""GitHub's comparison of two commits: what lies between them, in commits and in files. Writes nothing."""

from collections.abc import AsyncIterator
from typing import Literal

from dulwich.diff_tree import tree_changes
from dulwich.objects import S_ISGITLINK, ObjectID

from shared.adapters.hosts import git_diff
from shared.adapters.hosts.github_api import PAGE, Remote, check_sha
from shared.adapters.hosts.github_models import ComparedFile, Comparison
from shared.adapters.hosts.github_objects import Snapshot
from shared.ports.source_host import CommitInfo, FileDiff

_MOST_FILES = 300
"""GitHub tells no more of one comparison."""
_OPERATIONS: dict[str, Literal["add", "modify", "delete", "rename"]] = {
    "added": "add",
    "copied": "add",
    "removed": "delete",
    "renamed": "rename",
}


async def compare(remote: Remote, base: str, head: str, *, page: int = 1) -> Comparison | None:
    """None where the two have no common ancestor; UnknownCommit where one is not there."""
    check_sha(base)
    check_sha(head)
    query = {"per_page": PAGE, "page": page}
    answer = await remote.send("GET", "compare", f"{base}...{head}", query=query, takes=(404, 409, 422))
    if answer.status == 200:
        return answer.read(Comparison)
    # The same answer stands for a commit that is unknown and for histories that have nothing in common.
    await remote.info(base)
    await remote.info(head)
    return None


async def newest(remote: Remote, base: str, head: str, found: Comparison) -> AsyncIterator[CommitInfo]:
    """What `head` has and `base` has not, newest first. `found` is the first page of their comparison."""
    for page in range(-(-found.total_commits // PAGE), 0, -1):
        rows = found if page == 1 else await compare(remote, base, head, page=page)
        for row in reversed(rows.commits if rows is not None else []):
            yield row.info()


async def log(remote: Remote, head: str, until: str | None, limit: int) -> list[CommitInfo]:
    between = await compare(remote, until, head) if until else None
    if until is None or between is None:
        return await remote.latest(head, limit)
    found: list[CommitInfo] = []
    async for info in newest(remote, until, head, between):
        if len(found) == limit:
            break
        found.append(info)
    return found


async def diff(remote: Remote, base: str, head: str, max_patch_bytes: int) -> list[FileDiff]:
    """By GitHub's comparison where that is the difference of the two trees: where `head` contains `base`."""
    between = await compare(remote, base, head)
    if between is not None and between.is_descendant and len(between.files) < _MOST_FILES:
        found = (_diff(file, max_patch_bytes) for file in between.files)
        return sorted(found, key=lambda each: (each.path, each.operation))
    before, after = await remote.info(base), await remote.info(head)
    snapshot = Snapshot(remote)
    await snapshot.add_trees(before.tree, after.tree)
    old, new = ObjectID(before.tree.encode()), ObjectID(after.tree.encode())
    changed = [
        entry for change in tree_changes(snapshot.store, old, new) for entry in (change.old, change.new)
    ]
    await snapshot.add_blobs(entry.sha for entry in changed if entry and not S_ISGITLINK(entry.mode))
    return await snapshot.run(lambda objects: git_diff.diff(objects, old, new, max_patch_bytes))


def _diff(file: ComparedFile, max_patch_bytes: int) -> FileDiff:
    operation = _OPERATIONS.get(file.status, "modify")
    source = file.previous_filename if operation == "rename" else None
    patch = "".join(_header(file, operation)) + (f"{file.patch}\n" if file.patch else "")
    # No hunks where there should be some: a binary, or more than GitHub shows.
    told = file.patch is not None or (operation == "rename" and file.additions + file.deletions == 0)
    return FileDiff(
        path=file.filename,
        operation=operation,
        additions=file.additions,
        deletions=file.deletions,
        patch=patch if told and len(patch.encode()) <= max_patch_bytes else None,
        source=source,
    )


def _header(file: ComparedFile, operation: str) -> list[str]:
    """As git writes it, except for modes, which a comparison does not tell: a new file is a plain one."""
    after = file.filename
    before = (file.previous_filename or after) if operation == "rename" else after
    lines = [f"diff --git a/{before} b/{after}\n"]
    if operation == "add":
        lines.append("new file mode 100644\n")
    elif operation == "delete":
        lines.append("deleted file mode 100644\n")
    elif operation == "rename":
        lines.append(f"rename from {before}\nrename to {after}\n")
    if file.patch:
        lines.append("--- /dev/null\n" if operation == "add" else f"--- a/{before}{_end(before)}\n")
        lines.append("+++ /dev/null\n" if operation == "delete" else f"+++ b/{after}{_end(after)}\n")
    return lines


def _end(name: str) -> str:
    # A tab ends a name that has a space, as git writes it.
    return "\t" if " " in name else ""
