"""What a push may do: which refs it may move, and whether what it brought is whole and safe to check out.

Judges one ref at a time: one refusal does not hold up the other refs of the same push.
"""

import stat
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from dulwich.errors import ChecksumMismatch, ObjectFormatException
from dulwich.objects import S_ISGITLINK, Blob, Commit, ObjectID, Tag
from dulwich.refs import Ref, check_ref_format

from shared.adapters.hosts.git_history import ancestors, is_ancestor
from shared.adapters.hosts.git_paths import MAX_DEPTH, branch_ref, component_problem, ref_in_the_way
from shared.adapters.hosts.git_repository import Repository
from shared.adapters.hosts.git_tree import read_tree
from shared.domain.kernel.errors import DeliveryError, RuleBroken
from shared.domain.source.errors import SecretsFound
from shared.domain.source.secrets import require_no_secrets
from shared.ports.source_host import HeadMoved, RefUpdate

_HEADS = b"refs/heads/"
_TAGS = b"refs/tags/"
_MAX_TAGS_OF_TAGS = 10
_MAX_TAG = len(_TAGS) + 244


class PushRefused(RuleBroken):
    """One ref of a push may not move; the message is what the person at the terminal reads."""

    code = "push_refused"


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a push. `old` or `new` is None for a birth or a deletion."""

    ref: Ref
    old: str | None
    new: str | None


def receive(
    repository: Repository,
    command: Command,
    *,
    protected: AbstractSet[str],
    kept: AbstractSet[str] = frozenset(),
    by: str,
) -> RefUpdate | None:
    """Move the ref if every rule allows it; the journaled move of a branch, None for a tag. PushRefused.

    Branches that are `kept` only grow."""
    if command.ref.startswith(_HEADS):
        return _branch(repository, command, protected, kept, by)
    if command.ref.startswith(_TAGS):
        _tag(repository, command)
        return None
    raise PushRefused("only branches and tags can be pushed")


def _branch(
    repository: Repository,
    command: Command,
    protected: AbstractSet[str],
    kept: AbstractSet[str],
    by: str,
) -> RefUpdate:
    branch = command.ref.removeprefix(_HEADS).decode("utf-8", "replace")
    if branch_ref(branch) != command.ref:
        raise PushRefused("not a valid branch name, or longer than 244 bytes")
    if branch in protected:
        raise PushRefused("protected branch: open a pull request")
    if command.new is None and branch == repository.default_branch:
        raise PushRefused("default branch: it cannot be deleted")
    if command.new is not None:
        _verify(repository, command.new)
        if branch in kept and not _grows(repository, command.old, command.new):
            raise PushRefused("its history is kept: revert with a new commit on top")
    with repository.locked():
        try:
            return repository.move(branch, command.old, command.new, by=by)
        except HeadMoved as moved:
            raise PushRefused("the branch has moved: fetch first") from moved
        except DeliveryError as refused:
            raise PushRefused(refused.message) from refused


def _grows(repository: Repository, old: str | None, new: str) -> bool:
    return old is not None and is_ancestor(repository, old, new)


def _tag(repository: Repository, command: Command) -> None:
    if not check_ref_format(command.ref) or len(command.ref) > _MAX_TAG:
        raise PushRefused("not a valid tag name, or longer than 244 bytes")
    if command.old is not None or command.new is None:
        raise PushRefused("tags never move once set: push another name")
    _verify(repository, _tagged(repository, command.new))
    with repository.locked():
        if ref_in_the_way(command.ref, repository.repo.refs.allkeys()):
            raise PushRefused("the name would share a file or a folder with another ref")
        if not repository.swap(command.ref, None, command.new):
            raise PushRefused("tags never move once set: push another name")


def _tagged(repository: Repository, sha: str) -> str:
    """The commit that a tag names at last."""
    here = ObjectID(sha.encode())
    for _ in range(_MAX_TAGS_OF_TAGS):
        if here not in repository.store:
            raise PushRefused("missing objects: the pack does not hold what the tag names")
        found = repository.store[here]
        if not isinstance(found, Tag):
            break
        here = found.object[1]
    return here.decode()


def _verify(repository: Repository, tip: str) -> None:
    """Every commit, tree and file that the tip needs is here, is well formed, and is safe to check out."""
    try:
        _Inspection(repository).run(tip)
    except KeyError as missing:
        raise PushRefused("missing objects: the pack is not complete") from missing
    except (ObjectFormatException, ChecksumMismatch, TypeError, AssertionError) as malformed:
        raise PushRefused("malformed objects: run 'git fsck' on your side") from malformed
    except SecretsFound as found:
        raise PushRefused(found.message) from found


class _Inspection:
    """Looks at what is new only: history that our refs reach was whole when it came."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._store = repository.store
        self._known: frozenset[str] = frozenset()
        for head in repository.branches().values():
            if head not in self._known:
                self._known |= ancestors(repository, head, without=self._known)
        self._trees: set[ObjectID] = set()
        self._files: dict[ObjectID, str] = {}
        """What is new, with a path that it has."""

    def run(self, tip: str) -> None:
        seen: set[str] = set()
        waiting = [tip]
        while waiting:
            sha = waiting.pop()
            if sha in seen or sha in self._known:
                continue
            seen.add(sha)
            commit = self._commit(sha)
            commit.check()
            waiting.extend(parent.decode() for parent in commit.parents)
            base = self._commit(commit.parents[0].decode()).tree if commit.parents else None
            self._tree(commit.tree, base)
        require_no_secrets((path, self._content(blob)) for blob, path in self._files.items())

    def _content(self, blob: ObjectID) -> bytes:
        found = self._store[blob]
        return found.data if isinstance(found, Blob) else b""

    def _commit(self, sha: str) -> Commit:
        found = self._store[ObjectID(sha.encode())]
        if not isinstance(found, Commit):
            raise PushRefused("only commits can be the tip of a branch or a tag")
        return found

    def _tree(self, tree: ObjectID, base: ObjectID | None) -> None:
        waiting = [(tree, base, 0, "")]
        while waiting:
            here, before, depth, folder = waiting.pop()
            if here in self._trees or here == before:
                continue
            if depth > MAX_DEPTH:
                raise PushRefused(f"folders nest deeper than {MAX_DEPTH}")
            self._trees.add(here)
            old = read_tree(self._repository, before) if before else {}
            for name, entry in read_tree(self._repository, here).items():
                if old.get(name) != entry:
                    was = old.get(name)
                    folder_before = was[1] if was and stat.S_ISDIR(was[0]) else None
                    if self._entry(name, *entry):
                        waiting.append((entry[1], folder_before, depth + 1, f"{folder}{name.decode()}/"))
                    elif not S_ISGITLINK(entry[0]):
                        self._files.setdefault(entry[1], folder + name.decode())
            # After the names, whose refusals say more than "malformed".
            self._store[here].check()

    def _entry(self, name: bytes, mode: int, sha: ObjectID) -> bool:
        """Check one name of a tree; whether it is a folder to look into."""
        try:
            problem = component_problem(name.decode())
        except UnicodeDecodeError:
            problem = "a file name is not UTF-8"
        if problem:
            raise PushRefused(f"unsafe tree: {problem}")
        if stat.S_ISDIR(mode):
            return True
        if not S_ISGITLINK(mode) and sha not in self._store:
            raise KeyError(sha)
        return False
