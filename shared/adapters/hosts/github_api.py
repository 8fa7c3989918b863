"""GitHub's REST API for one repository: its address, its refs, its commits. Decides nothing about content."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dulwich.objects import Commit
from pydantic import ValidationError

from shared.adapters.hosts.github_models import BranchRow, GitCommit, ListedCommit, Ref, Refusal, Repository
from shared.adapters.vendors.answers import Account, Answer, Vendor
from shared.adapters.vendors.guard import shown
from shared.adapters.vendors.http import Query, VendorHttp, bearer, path_of
from shared.domain.kernel.errors import DeliveryError, Invalid
from shared.domain.source.errors import ProtectedBranch, ProviderUnavailable
from shared.domain.source.model import Provider
from shared.ports.source_host import (
    CommitInfo,
    Place,
    RepositoryMissing,
    UnknownBranch,
    UnknownCommit,
)

SECRET = "github-token"  # noqa: S105 - its name in the tenant's vault
PAGE = 100
_LONGEST_NAME = 100
_PLACE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA = re.compile(r"[0-9a-f]{40}")
_NOT_FAST_FORWARD = "not a fast forward"


# Where the logs and artifacts of workflows are kept; what lies there is asked for with a signed address.
_LEFT = {f"productionresultssa{number}.blob.core.windows.net" for number in range(20)}


def _permission(answer: Answer) -> str:
    """As in `contents=write`, of fine-grained tokens and apps, or the scopes of a classic token."""
    headers = answer.headers
    return headers.get("X-Accepted-GitHub-Permissions", "") or headers.get("X-Accepted-OAuth-Scopes", "")


def said(answer: Answer) -> str:
    """Everything that a refusal says, in one line; empty where it is not GitHub that speaks."""
    try:
        return str(Refusal.model_validate_json(answer.body))
    except ValidationError:
        return ""


GITHUB = Vendor(
    "GitHub",
    headers={
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2026-03-10",
        "User-Agent": "Slipway",
    },
    said=said,
    permission=_permission,
    downloads=frozenset({"codeload.github.com", *_LEFT}),
)


def repository_name(place: Place) -> str:
    """`project.name`, with the dots of the project doubled: no two places have one name, whatever their case.

    The first odd run of dots ends the project, as no name begins with one. Invalid where GitHub takes none.
    """
    if not all(_PLACE_PART.fullmatch(part) for part in (place.tenant, place.project, place.name)):
        raise Invalid("A repository's place takes letters, digits, '.', '_' and '-', 128 characters at most.")
    found = f"{place.project.replace('.', '..')}.{place.name}"
    if len(found) > _LONGEST_NAME:
        raise Invalid(f"'{found}' is longer than GitHub's {_LONGEST_NAME} characters; choose a shorter name.")
    if found.casefold().endswith((".git", ".wiki", ".atom")):
        raise Invalid(f"GitHub takes no repository whose name ends as '{place.name}' does; choose another.")
    return found


@dataclass(frozen=True, slots=True)
class GitHubApi:
    """`organizations` by tenant; `token` gives a tenant's current one, afresh for each request."""

    http: VendorHttp
    organizations: Mapping[str, str]
    token: Callable[[str], Awaitable[str]]

    def at(self, place: Place) -> "Remote":
        """ProviderUnavailable where the tenant has no organization; Invalid where the place cannot be one."""
        organization = self.organizations.get(place.tenant)
        if organization is None:
            raise ProviderUnavailable(
                "This tenant has no organization on GitHub: add it to SLIPWAY_GITHUB_ORGANIZATIONS, as in"
                f" {place.tenant}:<organization>, and keep its token as the secret '{SECRET}'.",
                provider=str(Provider.GITHUB),
            )

        async def authorize() -> str:
            return bearer(await self.token(place.tenant))

        return Remote(
            self.http, Account(place.tenant, authorize, SECRET), place, organization, repository_name(place)
        )


@dataclass(frozen=True, slots=True)
class Remote:
    """One repository on GitHub. Shas are checked before they are asked for."""

    http: VendorHttp
    account: Account
    place: Place
    organization: str
    name: str

    @property
    def path(self) -> str:
        return path_of("repos", self.organization, self.name)

    async def send(
        self,
        method: str,
        *parts: str,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        takes: tuple[int, ...] = (),
    ) -> Answer:
        """A call below the repository. All of them may be repeated: what is written is named by its content,
        or by where it goes."""
        path = self.path + path_of(*parts)
        return await self.http.send(
            self.account, method, path, query=query, body=body, headers=headers, takes=takes, repeatable=True
        )

    async def find(self) -> Repository | None:
        answer = await self.send("GET", takes=(404,))
        return None if answer.status == 404 else answer.read(Repository)

    async def get(self) -> Repository:
        found = await self.find()
        if found is None:
            raise RepositoryMissing(
                f"There is no repository '{self.organization}/{self.name}' on GitHub, or its token may not"
                " see it."
            )
        return found

    async def blame(self, error: DeliveryError) -> DeliveryError:
        """The error of a 404: RepositoryMissing is raised where it is the repository that is not there."""
        await self.get()
        return error

    async def branches(self) -> dict[str, str]:
        heads: dict[str, str] = {}
        pages = self.http.pages(
            self.account, f"{self.path}/branches", query={"per_page": PAGE}, takes=(404, 409)
        )
        async for answer in pages:
            if answer.status == 404:
                await self.get()
            if answer.status != 200:
                return {}
            heads.update((row.name, row.commit.sha) for row in answer.read(list[BranchRow]))
        return dict(sorted(heads.items()))

    async def find_head(self, branch: str) -> str | None:
        answer = await self.send("GET", "git", "ref", "heads", *branch.split("/"), takes=(404, 409))
        if answer.status == 404:
            await self.get()
        return answer.read(Ref).object.sha if answer.status == 200 else None

    async def head(self, branch: str) -> str:
        found = await self.find_head(branch)
        if found is None:
            raise UnknownBranch(f"There is no branch '{branch}'.", branch=branch)
        return found

    async def info(self, sha: str) -> CommitInfo:
        check_sha(sha)
        answer = await self.send("GET", "git", "commits", sha, takes=(404, 409, 422))
        if answer.status != 200:
            raise await self.blame(unknown(sha))
        return answer.read(GitCommit).info()

    async def latest(self, head: str, limit: int) -> list[CommitInfo]:
        """The history of a commit, newest first."""
        check_sha(head)
        found: list[CommitInfo] = []
        query: Query = {"sha": head, "per_page": min(limit, PAGE)}
        pages = self.http.pages(self.account, f"{self.path}/commits", query=query, takes=(404, 409, 422))
        async for answer in pages:
            if answer.status != 200:
                raise await self.blame(unknown(head))
            found += (row.info() for row in answer.read(list[ListedCommit]))
            if len(found) >= limit:
                break
        return found[:limit]

    async def create_commit(self, commit: Commit) -> CommitInfo:
        """Store a commit as it was made here: its author, its time, its message."""
        name, _, email = commit.author.decode().rpartition(" <")
        who = {"name": name, "email": email.removesuffix(">"), "date": _time(commit)}
        body = {
            "message": commit.message.decode(),
            "tree": commit.tree.decode(),
            "parents": [parent.decode() for parent in commit.parents],
            "author": who,
            "committer": who,
        }
        return (await self.send("POST", "git", "commits", body=body)).read(GitCommit).info()

    async def advance(self, branch: str, sha: str) -> bool:
        """Move a branch to a commit made on top of its head. False where it has moved in the meantime.

        UnknownBranch where it is gone; ProtectedBranch where GitHub's own rules do not let us.
        """
        parts = ("git", "refs", "heads", *branch.split("/"))
        answer = await self.send("PATCH", *parts, body={"sha": sha, "force": False}, takes=(409, 422))
        if answer.status == 200:
            return True
        words = said(answer)
        if _NOT_FAST_FORWARD in words.casefold():
            return False
        head = await self.head(branch)
        if head == sha:
            return True
        if answer.status == 409 and "rule" not in words.casefold():
            # Someone writes the same ref at this moment.
            return False
        raise ProtectedBranch(
            f"GitHub's own rules do not let Slipway move '{branch}' ({shown(words)}); let the token's account"
            " bypass them.",
            branch=branch,
        )


def check_sha(sha: str) -> None:
    if not _SHA.fullmatch(sha):
        raise unknown(sha)


def unknown(sha: str) -> UnknownCommit:
    return UnknownCommit(f"There is no commit '{sha}' in this repository.", sha=sha)


def _time(commit: Commit) -> str:
    return datetime.fromtimestamp(commit.commit_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
