"""The two ways a branch grows here: a commit of file changes, and a merge. Both hold the repository's lock.

A repeated call finds what the first one made and writes nothing.
"""

from collections.abc import Sequence
from itertools import islice

from dulwich.objects import ObjectID, ShaFile

from shared.adapters.hosts.git_history import (
    Trailers,
    ancestors,
    is_ancestor,
    make_commit,
    merge_base,
    read_commit,
    walk,
    written_trailers,
)
from shared.adapters.hosts.git_merge import TreeMerge
from shared.adapters.hosts.git_repository import Repository
from shared.adapters.hosts.git_tree import change_tree
from shared.domain.kernel.errors import Conflict
from shared.ports.source_host import CommitInfo, FileChange, HeadMoved, MergeConflict, Signature

_LOOK_BACK = 50


def make_next(
    repository: Repository,
    branch: str,
    changes: Sequence[FileChange],
    *,
    message: str,
    author: Signature,
    expected_head: str | None,
    trailers: Trailers,
    once: tuple[str, str] | None,
) -> CommitInfo:
    """One commit on top of the branch; see SourceHost.commit."""
    head = repository.head(branch)
    if once is not None and (made := _made_before(repository, head, once)):
        return made
    _expect(repository, branch, head, expected_head)
    tree, objects = change_tree(repository, repository.tree(head), changes)
    signed = (*trailers, once) if once else trailers
    return _publish(repository, branch, tree, objects, (head,), message, author, signed)


def make_merge(
    repository: Repository,
    *,
    source: str,
    target: str,
    expected_source: str,
    message: str,
    author: Signature,
    trailers: Trailers,
) -> CommitInfo:
    """A commit of both branches on `target`; see SourceHost.merge. Conflict: nothing to merge."""
    ours = repository.head(target)
    theirs = expected_source
    repository.commit(theirs)
    # Before the source is looked at: it may be gone, or further on, once it was merged.
    if made := _merged_before(repository, ours, theirs, written_trailers(message, trailers)):
        return made
    _expect(repository, source, repository.head(source), theirs)
    if is_ancestor(repository, theirs, ours):
        raise Conflict(f"There is nothing to merge: '{target}' already contains '{source}'.", branch=target)
    tree, merge = _merged_trees(repository, ours, theirs)
    if merge.conflicts:
        raise MergeConflict(
            f"'{source}' and '{target}' changed the same files; merge '{target}' into '{source}' first.",
            paths=sorted(set(merge.conflicts)),
        )
    return _publish(repository, target, tree, merge.objects, (ours, theirs), message, author, trailers)


def find_conflicts(repository: Repository, ours: str, theirs: str) -> list[str]:
    """The paths that both sides changed; see SourceHost.merge_conflicts."""
    _, merge = _merged_trees(repository, ours, theirs)
    return sorted(set(merge.conflicts))


def _merged_trees(repository: Repository, ours: str, theirs: str) -> tuple[ObjectID, TreeMerge]:
    base = merge_base(repository, ours, theirs)
    merge = TreeMerge(repository)
    tree = merge.run(repository.tree(base) if base else None, repository.tree(ours), repository.tree(theirs))
    return tree, merge


def _publish(
    repository: Repository,
    branch: str,
    tree: ObjectID,
    objects: Sequence[ShaFile],
    parents: tuple[str, ...],
    message: str,
    author: Signature,
    trailers: Trailers,
) -> CommitInfo:
    commit = make_commit(tree, parents, message, author, trailers)
    repository.write(*objects, commit)
    repository.move(branch, parents[0], commit.id.decode(), by=author.name)
    return read_commit(commit)


def _expect(repository: Repository, branch: str, head: str, expected: str | None) -> None:
    if expected is not None and expected != head:
        raise HeadMoved(
            f"Branch '{branch}' is not at the commit you started from; read its head and try again.",
            branch=branch,
            actual=head,
        )


def _made_before(repository: Repository, head: str, once: tuple[str, str]) -> CommitInfo | None:
    for commit in islice(walk(repository, head), _LOOK_BACK):
        info = read_commit(commit)
        if once in info.trailers:
            return info
    return None


def _merged_before(
    repository: Repository, target: str, source: str, trailers: tuple[tuple[str, str], ...]
) -> CommitInfo | None:
    # A commit that merged the source cannot be one of the source's own ancestors.
    for sha in ancestors(repository, target, without=ancestors(repository, source)):
        commit = repository.commit(sha)
        if source.encode() in commit.parents[1:]:
            info = read_commit(commit)
            if info.trailers == trailers:
                return info
    return None
