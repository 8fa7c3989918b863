"""Making a repository on GitHub, so that any part of it may be done twice, or by two at once."""

import base64

from shared.adapters.hosts.git_history import make_commit
from shared.adapters.hosts.git_paths import branch_ref
from shared.adapters.hosts.github_api import Remote, said
from shared.adapters.hosts.github_models import ListedCommit, Repository
from shared.adapters.hosts.github_objects import EMPTY_TREE
from shared.adapters.vendors.guard import shown
from shared.adapters.vendors.http import Query, path_of
from shared.domain.kernel.errors import Forbidden, Invalid, Transient
from shared.domain.source.model import Visibility
from shared.ports.source_host import CommitInfo, RepositoryTaken, Signature

_TRAILER = "Slipway-Repository"
_FIRST = "Initial commit"


async def create(
    remote: Remote, *, default_branch: str, author: Signature, readme: str, visibility: Visibility
) -> str:
    """See SourceHost.create. What proves that a repository is ours is a trailer of its first commit, and
    until there is one, its description."""
    if branch_ref(default_branch) is None:
        raise Invalid(f"'{default_branch}' is not a valid branch name; git would not take it.")
    await _request(remote, visibility)
    repository = await remote.get()
    first = await _first(remote, repository)
    if first is None:
        if repository.description != _description(remote):
            raise _taken(remote)
        await _write_readme(remote, author, readme)
        first = await _first(remote, repository)
    if first is None:
        raise Transient("GitHub does not show the first commit of a new repository yet; try again.")
    if (_TRAILER, _mark(remote)) not in first.trailers:
        raise _taken(remote)
    if repository.default_branch != default_branch:
        await _rename(remote, repository.default_branch, default_branch, first.sha)
    return first.sha


async def _request(remote: Remote, visibility: Visibility) -> None:
    body = {
        "name": remote.name,
        "description": _description(remote),
        "visibility": str(visibility),
        "private": visibility is not Visibility.PUBLIC,
        "auto_init": False,
    }
    answer = await remote.http.send(
        remote.account,
        "POST",
        path_of("orgs", remote.organization, "repos"),
        body=body,
        takes=(404, 422),
        repeatable=True,
    )
    if answer.status == 404:
        raise Forbidden(
            f"GitHub has no organization '{remote.organization}', or the token in '{remote.account.secret}'"
            " may not create repositories in it.",
            permission="administration=write",
        )
    if answer.status == 422 and "already exists" not in (words := said(answer)):
        raise Invalid(f"GitHub does not make the repository '{remote.name}' ({shown(words)}).")


async def _first(remote: Remote, repository: Repository) -> CommitInfo | None:
    """The oldest commit of the default branch; None where there is none yet."""
    query: Query = {"sha": repository.default_branch, "per_page": 1}
    answer = await remote.send("GET", "commits", query=query, takes=(404, 409))
    if answer.status != 200:
        return None
    last = remote.http.link(answer, "last")
    if last is not None:
        answer = await remote.http.send(remote.account, "GET", last)
    rows = answer.read(list[ListedCommit])
    return rows[-1].info() if rows else None


async def _write_readme(remote: Remote, author: Signature, readme: str) -> None:
    """By the contents API: of the ones that write, the only one that takes an empty repository."""
    commit = make_commit(EMPTY_TREE, (), _FIRST, author, [(_TRAILER, _mark(remote))])
    name, _, email = commit.author.decode().rpartition(" <")
    who = {
        "name": name,
        "email": email.removesuffix(">"),
        "date": author.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    body = {
        "message": commit.message.decode(),
        "content": base64.b64encode(readme.encode()).decode(),
        "author": who,
        "committer": who,
    }
    # Refused where the file is there: another was quicker, or our own answer was lost.
    await remote.send("PUT", "contents", "README.md", body=body, takes=(409, 422))


async def _rename(remote: Remote, default: str, wanted: str, first: str) -> None:
    """Let the wanted branch be the default one, while nothing but the first commit is there."""
    if await remote.find_head(default) != first:
        return
    # One call, so there is no moment to die at and leave both. Refused where it was done before.
    await remote.send("POST", "branches", default, "rename", body={"new_name": wanted}, takes=(404, 422))


def _description(remote: Remote) -> str:
    return f"{_mark(remote)}, made by Slipway"


def _mark(remote: Remote) -> str:
    return f"{remote.place.project}/{remote.place.name}"


def _taken(remote: Remote) -> RepositoryTaken:
    return RepositoryTaken(
        f"GitHub has a repository '{remote.organization}/{remote.name}' that Slipway did not make; rename it"
        " there, or choose another name."
    )
