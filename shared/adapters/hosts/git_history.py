"""Commits as data: writing them, reading them with their trailers, and walking from one to its ancestors.

Nothing here moves a ref.
"""

import heapq
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from dulwich.objects import Commit, ObjectID

from shared.adapters.hosts.git_repository import Repository
from shared.domain.kernel.errors import Invalid
from shared.ports.source_host import CommitInfo, Signature

Trailers = Sequence[tuple[str, str]]

_TRAILER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*): *(\S.*)?")
_TRAILER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_NOT_IN_IDENTITY = re.compile(r"[<>\x00-\x1f\x7f]")


def make_commit(
    tree: ObjectID, parents: Sequence[str], message: str, author: Signature, trailers: Trailers
) -> Commit:
    """A commit object, not yet stored. Invalid where the message or a trailer cannot be written."""
    commit = Commit()
    commit.tree = tree
    commit.parents = [ObjectID(parent.encode()) for parent in parents]
    commit.author = commit.committer = _identity(author)
    commit.author_time = commit.commit_time = int(author.at.timestamp())
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = _text(message, trailers).encode()
    return commit


def read_commit(commit: Commit) -> CommitInfo:
    message, trailers = split_trailers(commit.message.decode("utf-8", "replace"))
    return CommitInfo(
        sha=commit.id.decode(),
        tree=commit.tree.decode(),
        parents=tuple(parent.decode() for parent in commit.parents),
        message=message,
        author=commit.author.decode("utf-8", "replace"),
        committed_at=datetime.fromtimestamp(commit.commit_time, UTC),
        trailers=trailers,
    )


def split_trailers(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A message without its last paragraph where every line of that is `Key: value`, and those lines."""
    text = text.strip("\n")
    body, blank, block = text.rpartition("\n\n")
    matches = [_TRAILER.fullmatch(line) for line in block.split("\n")]
    if not blank or not all(matches):
        return text, ()
    return body.rstrip("\n"), tuple((match[1], (match[2] or "").strip()) for match in matches if match)


def written_trailers(message: str, trailers: Trailers) -> tuple[tuple[str, str], ...]:
    """What `read_commit` will find in a commit made with these."""
    return split_trailers(_text(message, trailers))[1]


def _text(message: str, trailers: Trailers) -> str:
    if "\0" in message:
        raise Invalid("A commit message cannot hold a NUL character; remove it.")
    try:
        message.encode()
    except UnicodeEncodeError as error:
        raise Invalid("A commit message must be valid Unicode.") from error
    lines = []
    for name, value in trailers:
        if not _TRAILER_NAME.fullmatch(name) or not value.strip() or not value.isprintable():
            raise Invalid(
                f"Trailer '{name}' must be a name of letters, digits and '-' with one line of text."
            )
        lines.append(f"{name}: {value.strip()}\n")
    body = message.strip("\n") + "\n"
    return body + "\n" + "".join(lines) if lines else body


def _identity(who: Signature) -> bytes:
    # An angle bracket or a line break would forge the header that follows.
    name = " ".join(_NOT_IN_IDENTITY.sub(" ", who.name).split()) or "unknown"
    email = "".join(_NOT_IN_IDENTITY.sub("", who.email).split()) or "unknown"
    return f"{name} <{email}>".encode("utf-8", "replace")


def ancestors(repository: Repository, sha: str, *, without: frozenset[str] = frozenset()) -> frozenset[str]:
    """The commit and everything before it, not looking past `without`."""
    seen: set[str] = set()
    waiting = [sha]
    while waiting:
        here = waiting.pop()
        if here not in seen and here not in without:
            seen.add(here)
            waiting.extend(parents(repository, here))
    return frozenset(seen)


def is_ancestor(repository: Repository, ancestor: str, descendant: str) -> bool:
    seen: set[str] = set()
    waiting = [descendant]
    while waiting:
        here = waiting.pop()
        if here == ancestor:
            return True
        if here not in seen:
            seen.add(here)
            waiting.extend(parents(repository, here))
    return False


def merge_base(repository: Repository, one: str, other: str) -> str | None:
    """The best common ancestor: one no other common ancestor descends from, the latest where several are.

    Walks without trusting commit times: a pushed history may have any.
    """
    common = ancestors(repository, one) & ancestors(repository, other)
    passed = {parent for sha in common for parent in parents(repository, sha)}
    best = common - passed
    return max(best, key=lambda sha: (repository.commit(sha).commit_time, sha), default=None)


def log(repository: Repository, head: str, until: str | None, limit: int) -> list[CommitInfo]:
    known = ancestors(repository, until) if until else frozenset()
    return [read_commit(commit) for commit in islice(walk(repository, head, known), limit)]


def walk(repository: Repository, head: str, without: frozenset[str] = frozenset()) -> Iterator[Commit]:
    """From `head` backwards, latest first; of the same second, a child before its parents."""
    if head in without:
        return
    # The step grows from child to parent, which keeps a chain in order when the clock shows one second.
    waiting = [(0, 0, head, repository.commit(head))]
    seen = {head, *without}
    while waiting:
        _, step, _, commit = heapq.heappop(waiting)
        yield commit
        for parent in (each.decode() for each in commit.parents):
            if parent not in seen:
                seen.add(parent)
                found = repository.commit(parent)
                heapq.heappush(waiting, (-found.commit_time, step + 1, parent, found))


_PARENTS: dict[str, tuple[str, ...]] = {}
_PARENTS_KEPT = 200_000


def parents(repository: Repository, sha: str) -> tuple[str, ...]:
    """A commit's parents. A sha names its content, so what was read once holds for every repository."""
    found = _PARENTS.get(sha)
    if found is None:
        found = tuple(parent.decode() for parent in repository.commit(sha).parents)
        if len(_PARENTS) >= _PARENTS_KEPT:
            _PARENTS.clear()
        _PARENTS[sha] = found
    return found
