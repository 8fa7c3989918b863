"""The two ways a branch on GitHub grows from here: a commit of file changes, and a merge.

Content is made here, by the same code as on the embedded host, and sent through the git data API. The branch
is moved last, without force, so of two writers one is told that it was late, and begins anew.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dulwich.objects import ObjectID, ShaFile

from shared.adapters.hosts.git_history import Trailers, make_commit, written_trailers
from shared.adapters.hosts.git_merge import TreeMerge
from shared.adapters.hosts.git_tree import change_tree
from shared.adapters.hosts.github_api import Remote
from shared.adapters.hosts.github_compare import compare, newest
from shared.adapters.hosts.github_models import Comparison
from shared.adapters.hosts.github_objects import Snapshot, send_objects
from shared.adapters.vendors.throttling import Backoff
from shared.domain.kernel.errors import Conflict, Transient
from shared.ports.ids import Ids
from shared.ports.source_host import CommitInfo, FileChange, HeadMoved, MergeConflict, Signature

_LOOK_BACK = 50
_TRIES = 30


@dataclass(frozen=True, slots=True)
class Authored:
    """What a commit says of itself."""

    message: str
    author: Signature
    trailers: Trailers


async def make_next(
    remote: Remote,
    branch: str,
    changes: Sequence[FileChange],
    said: Authored,
    ids: Ids,
    *,
    expected_head: str | None,
    once: tuple[str, str] | None,
) -> CommitInfo:
    """One commit on top of the branch; see SourceHost.commit."""
    signed = Authored(said.message, said.author, (*said.trailers, once)) if once else said
    waits = Backoff(ids)
    for _ in range(_TRIES):
        head = await remote.head(branch)
        if once is not None and (made := await _made_before(remote, head, once)):
            return made
        _expect(branch, head, expected_head)
        before = await remote.info(head)
        snapshot = Snapshot(remote)
        await snapshot.add_trees(before.tree)
        changing = partial(change_tree, tree=ObjectID(before.tree.encode()), changes=changes)
        tree, objects = await snapshot.run(changing)
        made = await _publish(remote, branch, tree, objects, (head,), signed)
        if made is not None:
            return made
        await asyncio.sleep(waits.next())
    raise _crowded(branch)


async def make_merge(
    remote: Remote, source: str, target: str, expected_source: str, said: Authored, ids: Ids
) -> CommitInfo:
    """A commit of both branches on `target`; see SourceHost.merge. Conflict: nothing to merge."""
    waits, written = Backoff(ids), written_trailers(said.message, said.trailers)
    for _ in range(_TRIES):
        ours, theirs = await remote.head(target), await remote.info(expected_source)
        between = await compare(remote, theirs.sha, ours)
        # Before the source is looked at: it may be gone, or further on, once it was merged.
        is_merged = between is not None and between.is_descendant
        if between is not None and is_merged:
            made = await _merged_before(remote, theirs.sha, ours, between, written)
            if made is not None:
                return made
        _expect(source, await remote.head(source), theirs.sha)
        if is_merged:
            raise Conflict(
                f"There is nothing to merge: '{target}' already contains '{source}'.", branch=target
            )
        merge, tree = await _merged_trees(remote, await remote.info(ours), theirs, between)
        if merge.conflicts:
            raise MergeConflict(
                f"'{source}' and '{target}' changed the same files; merge '{target}' into '{source}' first.",
                paths=sorted(set(merge.conflicts)),
            )
        made = await _publish(remote, target, tree, merge.objects, (ours, theirs.sha), said)
        if made is not None:
            return made
        await asyncio.sleep(waits.next())
    raise _crowded(target)


async def find_conflicts(remote: Remote, source: str, target: str) -> list[str]:
    """The paths that both sides changed; see SourceHost.merge_conflicts."""
    ours, theirs = await remote.info(target), await remote.info(source)
    merge, _ = await _merged_trees(remote, ours, theirs, await compare(remote, source, target))
    return sorted(set(merge.conflicts))


async def _merged_trees(
    remote: Remote, ours: CommitInfo, theirs: CommitInfo, between: Comparison | None
) -> tuple[TreeMerge, ObjectID]:
    base = await remote.info(between.merge_base_commit.sha) if between is not None else None
    snapshot = Snapshot(remote)
    await snapshot.add_trees(ours.tree, theirs.tree, *([base.tree] if base else []))
    return await snapshot.run(_Merging(base.tree if base else None, ours.tree, theirs.tree))


@dataclass(frozen=True, slots=True)
class _Merging:
    """A merge that begins anew each time it is called."""

    base: str | None
    ours: str
    theirs: str

    def __call__(self, here: Snapshot) -> tuple[TreeMerge, ObjectID]:
        merge = TreeMerge(here)
        base = ObjectID(self.base.encode()) if self.base else None
        return merge, merge.run(base, ObjectID(self.ours.encode()), ObjectID(self.theirs.encode()))


async def _publish(
    remote: Remote,
    branch: str,
    tree: ObjectID,
    objects: Sequence[ShaFile],
    parents: tuple[str, ...],
    said: Authored,
) -> CommitInfo | None:
    """None where the branch has moved on without this commit: what was sent is then named by nothing."""
    commit = make_commit(tree, parents, said.message, said.author, said.trailers)
    await send_objects(remote, objects)
    made = await remote.create_commit(commit)
    if await remote.advance(branch, made.sha):
        return made
    # A move whose answer was lost is refused when it is sent again on top of what others added since.
    between = await compare(remote, made.sha, await remote.head(branch))
    return made if between is not None and between.is_descendant else None


async def _made_before(remote: Remote, head: str, once: tuple[str, str]) -> CommitInfo | None:
    return next((info for info in await remote.latest(head, _LOOK_BACK) if once in info.trailers), None)


async def _merged_before(
    remote: Remote, source: str, target: str, between: Comparison, trailers: Sequence[tuple[str, str]]
) -> CommitInfo | None:
    # A commit that merged the source cannot be one of the source's own ancestors.
    async for info in newest(remote, source, target, between):
        if source in info.parents[1:] and info.trailers == tuple(trailers):
            return info
    return None


def _expect(branch: str, head: str, expected: str | None) -> None:
    if expected is not None and expected != head:
        raise HeadMoved(
            f"Branch '{branch}' is not at the commit you started from; read its head and try again.",
            branch=branch,
            actual=head,
        )


def _crowded(branch: str) -> Transient:
    return Transient(f"Others keep moving '{branch}'; try again in a moment.", branch=branch)
