"""The pull requests of one repository: GitHub's rules for them, and what its users do with them."""

import itertools
import time
from dataclasses import dataclass, field
from typing import Literal

from tests.standins.github import users
from tests.standins.github.faults import Refused, invalid, not_found
from tests.standins.github.repository import Hosted

TITLE_CHARACTERS = 256
BODY_CHARACTERS = 65_536

MERGER = "octocat"
"""The user whose merges these are."""

type How = Literal["merge", "squash", "rebase"]


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass
class Pull:
    """`base_sha` is where the target stood when it was last looked at."""

    number: int
    title: str
    body: str | None
    source: str
    target: str
    head_sha: str
    base_sha: str
    draft: bool
    author: str
    fork: bool = False
    labels: list[str] = field(default_factory=list)
    state: Literal["open", "closed"] = "open"
    merge_sha: str | None = None
    merged_at: str | None = None
    closed_at: str | None = None
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)

    def touch(self) -> None:
        self.updated_at = now()

    def end(self, merge_sha: str | None = None) -> None:
        self.touch()
        self.state, self.closed_at = "closed", self.updated_at
        if merge_sha is not None:
            self.merge_sha, self.merged_at = merge_sha, self.updated_at


class Pulls:
    """Whatever moves a branch is followed at once. `drafts`: whether the repository's plan has them;
    `refusal`: why none is made ready or a draft, if so; `unresolved` are not found by their nodes."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted = hosted
        self.drafts = True
        self.refusal = ""
        self.unresolved: set[int] = set()
        self.all: dict[int, Pull] = {}
        self._numbers = itertools.count(1)
        hosted.watchers.append(self._settle)

    def get(self, number: int) -> Pull:
        if number not in self.all:
            raise not_found()
        return self.all[number]

    def open(
        self,
        source: str,
        target: str,
        title: str,
        body: str | None = None,
        *,
        draft: bool = False,
        author: str = "octocat",
    ) -> Pull:
        hosted = self.hosted
        for name, branch in (("base", target), ("head", source)):
            if branch not in hosted.heads:
                raise _failed(field=name, code="invalid")
        _check_text(title, body)
        head, base = hosted.heads[source], hosted.heads[target]
        if draft and not self.drafts:
            raise invalid("Draft pull requests are not supported in this repository.")
        self._require_single(source, target)
        if not hosted.history(head, [base]):
            raise _custom(f"No commits between {target} and {source}")
        return self._add(Pull(next(self._numbers), title, body, source, target, head, base, draft, author))

    def open_from_fork(self, source: str, target: str, title: str) -> Pull:
        """Of a user whose fork has a branch with a commit of its own."""
        base = self.hosted.heads[target]
        head = self.hosted.on_top(base, "from afar")
        number = next(self._numbers)
        return self._add(Pull(number, title, None, source, target, head, base, False, "stranger", fork=True))

    def edit(
        self,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
    ) -> Pull:
        """What is None stays as it is."""
        pull = self.get(number)
        _check_text(title or pull.title, body)
        if state is not None and state != pull.state:
            if state == "open":
                self._reopen(pull)
            else:
                pull.end()
        pull.title = title or pull.title
        pull.body = pull.body if body is None else body
        pull.touch()
        return pull

    def close(self, number: int) -> None:
        self.edit(number, state="closed")

    def turn(self, number: int, *, draft: bool) -> Pull:
        """Into a draft, or make it ready."""
        pull = self.get(number)
        if pull.state == "closed":
            raise invalid("Pull request is closed.")
        if self.refusal:
            raise invalid(self.refusal)
        if draft and not self.drafts:
            raise Refused(
                403, f"slipway-bot does not have permission to convert the pull request {number} to draft."
            )
        pull.draft = draft
        pull.touch()
        return pull

    def merge(self, number: int, how: How) -> str:
        """By the button. What the target got."""
        pull, hosted = self.get(number), self.hosted
        if pull.state == "closed" or pull.draft:
            raise Refused(405, "Pull Request is not mergeable")
        base, head = hosted.heads[pull.target], pull.head_sha
        between = hosted.merge_base(base, head)
        assert between is not None
        if how == "rebase":
            sha = self._rebased(base, head)
        else:
            files = users.merged(hosted, between, base, head)
            parents = [base, head] if how == "merge" else [base]
            sha = users.commit(hosted, files, parents, f"{pull.title} (#{number})")
        pull.end(sha)
        hosted.move_ref(f"refs/heads/{pull.target}", sha, force=False)
        return sha

    def _rebased(self, base: str, head: str) -> str:
        hosted, sha = self.hosted, base
        for each in reversed(hosted.history(head, [base])):
            files = users.merged(hosted, each.parents[0].decode(), sha, each.id.decode())
            sha = users.commit(hosted, files, [sha], each.message.decode().rstrip())
        return sha

    def _add(self, pull: Pull) -> Pull:
        self.all[pull.number] = pull
        return pull

    def _require_single(self, source: str, target: str) -> None:
        for other in self.all.values():
            if (other.state, other.source, other.target, other.fork) == ("open", source, target, False):
                raise _custom(f"A pull request already exists for {self.hosted.organization}:{source}.")

    def _reopen(self, pull: Pull) -> None:
        if pull.merged_at is not None:
            raise _failed(field="state", code="invalid", message="state cannot be changed.")
        heads = self.hosted.heads
        for branch in () if pull.fork else (pull.source, pull.target):
            if branch not in heads:
                gone = f"state cannot be changed. The {branch} branch has been deleted."
                raise _failed(field="state", code="invalid", message=gone)
        self._require_single(pull.source, pull.target)
        pull.state, pull.closed_at = "open", None
        pull.base_sha = heads[pull.target]
        pull.head_sha = pull.head_sha if pull.fork else heads[pull.source]

    def _settle(self) -> None:
        """A target that came to contain the source has merged it; without one of its branches it closes."""
        heads = self.hosted.heads
        for pull in self.all.values():
            if pull.state == "closed":
                continue
            head = pull.head_sha if pull.fork else heads.get(pull.source)
            base = heads.get(pull.target)
            moved = base is not None and base != pull.base_sha
            if head is not None and head != pull.head_sha:
                pull.head_sha = head
                pull.touch()
            if base is not None and pull.head_sha in self.hosted.ancestors(base):
                # A source that was set back has nothing left to merge.
                pull.end(base if moved else None)
            elif base is None or head is None:
                pull.end()
            pull.base_sha = base or pull.base_sha


def _check_text(title: str, body: str | None) -> None:
    for name, text, most in (("title", title, TITLE_CHARACTERS), ("body", body or "", BODY_CHARACTERS)):
        if len(text) > most:
            raise _failed(
                field=name, code="custom", message=f"{name} is too long (maximum is {most} characters)"
            )
    if not title.strip():
        raise _failed(field="title", code="missing_field")


def _failed(**error: str) -> Refused:
    return Refused(422, "Validation Failed", {"resource": "PullRequest", **error})


def _custom(message: str) -> Refused:
    return _failed(code="custom", message=message)
