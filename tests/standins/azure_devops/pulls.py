"""A repository's pull requests: the service's rules for them, and what its users do. Serves nothing."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.pipelines import told
from tests.standins.azure_devops.pushes import add_commit, files_of
from tests.standins.azure_devops.repository import NOTHING, Repository

TITLE_CHARACTERS, DESCRIPTION_CHARACTERS = 400, 4000
LISTED_DESCRIPTION = 400
"""Characters of a description that a list shows."""
MERGER = "octocat"
"""The user who completes requests."""


@dataclass
class Pull:
    """`source_sha` is kept once it has ended; until then the branch says where it is."""

    number: int
    title: str
    description: str
    source: str
    target: str
    is_draft: bool
    fork: bool = False
    status: Literal["active", "completed", "abandoned"] = "active"
    source_sha: str = NOTHING
    merge_sha: str | None = None
    created: str = field(default_factory=lambda: told(datetime.now(UTC)))
    closed: str | None = None
    labels: list[str] = field(default_factory=list)


class Pulls:
    """A push of a merge leaves a request active: the documentation knows no other end than to complete it, or
    to abandon it."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.all: dict[int, Pull] = {}
        self.shows = True
        """Whether its lists show what there is; they may lag behind."""

    def get(self, number: int) -> Pull:
        if number not in self.all:
            raise errors.no_pull_request(number)
        return self.all[number]

    def open(self, number: int, body: Mapping[str, Any], *, fork: bool = False) -> Pull:
        title, description = body.get("title", ""), body.get("description", "")
        source, target = body.get("sourceRefName", ""), body.get("targetRefName", "")
        _check(title or "", description or "")
        refs = self.repository.refs()
        for ref in (target,) if fork else (source, target):
            if ref not in refs:
                raise errors.no_ref(ref)
        if source == target and not fork:
            raise errors.bad("The source and the target of a pull request may not be the same branch.")
        self._check_pair(source, target)
        made = Pull(number, title, description or "", source, target, bool(body.get("isDraft")), fork)
        self.all[number] = made
        return made

    def change(self, number: int, body: Mapping[str, Any]) -> Pull:
        pull = self.get(number)
        if unknown := sorted(body.keys() - {"title", "description", "isDraft", "status"}):
            raise errors.bad(f"These may not be changed: {', '.join(unknown)}.")
        if pull.status != "active" and body.get("status") != "active":
            raise errors.not_editable()
        if pull.status == "completed":
            raise errors.not_editable()
        _check(body.get("title", pull.title), body.get("description", pull.description))
        pull.title = body.get("title", pull.title)
        pull.description = body.get("description", pull.description)
        pull.is_draft = body.get("isDraft", pull.is_draft)
        match body.get("status"):
            case "abandoned":
                self._end(pull, "abandoned")
            case "active" if pull.status == "abandoned":
                if not {pull.source, pull.target} <= self.repository.refs().keys():
                    raise errors.not_activated()
                self._check_pair(pull.source, pull.target)
                pull.status, pull.closed = "active", None
        return pull

    def complete(self, number: int, how: Literal["merge", "squash", "rebase"]) -> str:
        """As a user does. What the target got."""
        pull, repository = self.get(number), self.repository
        ours, theirs = repository.refs()[pull.target], repository.refs()[pull.source]
        (base,) = repository.merge_bases(ours, theirs)
        before, files, after = (files_of(repository, sha) for sha in (base, ours, theirs))
        for path in before.keys() | after.keys():
            if before.get(path) != after.get(path):
                if files.get(path) != before.get(path):
                    raise errors.bad("The merge has conflicts.")
                files.pop(path, None)
                files |= {path: after[path]} if path in after else {}
        parents: Sequence[str] = [ours, theirs] if how == "merge" else [ours]
        message = f"Merged PR {number}: {pull.title}" if how != "rebase" else "theirs"
        sha = add_commit(repository, files, parents, message, datetime.now(UTC))
        self._end(pull, "completed")
        pull.merge_sha = sha
        assert repository.move(pull.target, ours, sha) == "succeeded"
        return sha

    def listed(self, criteria: Mapping[str, str]) -> list[Pull]:
        """Newest first."""
        status = criteria.get("status", "active")
        refs = {"source": criteria.get("sourceRefName"), "target": criteria.get("targetRefName")}
        since, of = criteria.get("minTime", ""), criteria.get("queryTimeRangeType", "created")
        return [
            each
            for each in reversed(self.all.values())
            if self.shows
            and status in {"all", each.status}
            and refs["source"] in {None, each.source}
            and refs["target"] in {None, each.target}
            and ((each.closed or "") if of.casefold() == "closed" else each.created) >= since
        ]

    def view(self, pull: Pull, *, whole: bool) -> dict[str, Any]:
        repository = self.repository
        head = pull.source_sha if pull.closed else repository.refs().get(pull.source, NOTHING)
        # Of a merge that was tried: it is no commit of the target, until the request is completed.
        tried = hashlib.sha1(f"{head} {pull.number}".encode(), usedforsecurity=False).hexdigest()
        view = {
            "repository": repository.view(),
            "pullRequestId": pull.number,
            "codeReviewId": pull.number,
            "status": pull.status,
            "createdBy": {"displayName": "Token Owner", "uniqueName": "owner@example.com"},
            "creationDate": pull.created,
            "title": pull.title,
            "sourceRefName": pull.source,
            "targetRefName": pull.target,
            "mergeStatus": "succeeded",
            "isDraft": pull.is_draft,
            "lastMergeSourceCommit": {"commitId": head},
            "lastMergeCommit": {"commitId": pull.merge_sha or tried},
            "reviewers": [],
            "supportsIterations": True,
            "url": f"{repository.view()['url']}/pullRequests/{pull.number}",
        }
        if pull.description:
            view["description"] = pull.description[: None if whole else LISTED_DESCRIPTION]
        if pull.closed:
            view["closedDate"] = pull.closed
            view["closedBy"] = {"displayName": MERGER, "uniqueName": "octocat@example.com"}
        if pull.labels:
            view["labels"] = [{"id": name, "name": name, "active": True} for name in pull.labels]
        if pull.fork:
            view["forkSource"] = {"name": pull.source, "repository": {"name": "fork"}}
        return view

    def _end(self, pull: Pull, status: Literal["completed", "abandoned"]) -> None:
        pull.source_sha = self.repository.refs().get(pull.source, NOTHING)
        pull.status, pull.closed = status, told(datetime.now(UTC))

    def _check_pair(self, source: str, target: str) -> None:
        for each in self.all.values():
            if (each.status, each.source, each.target, each.fork) == ("active", source, target, False):
                raise errors.pull_request_exists()


def _check(title: str, description: str) -> None:
    if not title.strip() or len(title) > TITLE_CHARACTERS:
        raise errors.bad(f"A title has 1 to {TITLE_CHARACTERS} characters.")
    if len(description) > DESCRIPTION_CHARACTERS:
        raise errors.bad(f"A description has at most {DESCRIPTION_CHARACTERS} characters.")
