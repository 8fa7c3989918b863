"""Azure DevOps by its REST API 7.1: one method per call that we make, with refusals as the port's errors.

Knows names, shas and refs, and nothing of git's objects.
https://learn.microsoft.com/rest/api/azure/devops/git
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, NoReturn

from pydantic import ValidationError

from shared.adapters.hosts.azure_devops_models import (
    Commit,
    CommitId,
    Item,
    Listed,
    ListedCommit,
    Operation,
    Process,
    Project,
    Ref,
    RefResult,
    Refusal,
    Repository,
    Tree,
    TreeEntry,
)
from shared.adapters.vendors.answers import Account, Answer, Vendor, meaning
from shared.adapters.vendors.guard import shown
from shared.adapters.vendors.http import Query, VendorHttp, path_of
from shared.domain.kernel.errors import (
    Conflict,
    Forbidden,
    NotFound,
    Permanent,
    Transient,
)
from shared.ports.source_host import Place, RepositoryMissing, UnknownCommit

NOTHING = "0" * 40
HEADS = "refs/heads/"
MOST_BYTES = 64 << 20
"""The largest answer that is read, and so the largest file."""

_VERSION = {"api-version": "7.1"}
_REFS_PER_PAGE = 1000
_TOLD_BY_KEY = (400, 404, 409)
_POLLS = 20
_EXISTS = frozenset(
    {
        "GitRepositoryNameAlreadyExistsException",
        "ProjectAlreadyExistsException",
        "DefinitionExistsException",
        "GitPullRequestExistsException",
    }
)
_PERMISSION = re.compile(r"Git '(\w+)' permission")


class ProjectMissing(NotFound):
    code = "project_missing"


class ItemMissing(NotFound):
    """A commit has nothing at that path."""


def _refusal(answer: Answer) -> Refusal:
    """Empty where it is not Azure DevOps that speaks."""
    try:
        return Refusal.model_validate_json(answer.body)
    except ValidationError:
        return Refusal()


def _said(answer: Answer) -> str:
    return _refusal(answer).said


def _permission(answer: Answer) -> str:
    found = _PERMISSION.search(_said(answer))
    return found[1] if found else ""


# Pipeline artifacts are kept by a service of its own, in each region, which knows the same tokens.
# A bad token is answered with 203 and the page to sign in on; asked not to redirect, also with 401.
AZURE_DEVOPS = Vendor(
    "Azure DevOps",
    headers={"Accept": "application/json", "X-TFS-FedAuthRedirect": "Suppress"},
    unauthenticated=frozenset({203, 302, 401}),
    siblings=frozenset({"*.artifacts.visualstudio.com"}),
    said=_said,
    permission=_permission,
)


@dataclass(frozen=True, slots=True)
class AzureApi:
    """One organization, as one account sees it. `refused` is told of a token that was."""

    http: VendorHttp
    account: Account
    organization: str
    refused: Callable[[], None]
    poll_seconds: float = 1.0

    async def read[M](self, kind: type[M], method: str, *parts: str, body: object = None) -> M:
        """What answers a call below the organization. Raises what `_refuse` says."""
        return (await self.send(method, *parts, body=body, repeatable=True)).read(kind)

    async def send(
        self,
        method: str,
        *parts: str,
        query: Query | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        try:
            answer = await self.http.send(
                self.account,
                method,
                path_of(self.organization, *parts),
                query={**(query or {}), **_VERSION},
                body=body,
                headers=headers,
                takes=_TOLD_BY_KEY,
                repeatable=repeatable,
            )
        except Forbidden:
            self.refused()
            raise
        if answer.status in _TOLD_BY_KEY:
            await self._refuse(answer)
        return answer

    async def download(self, url: str, file: IO[bytes], *, max_bytes: int) -> Answer:
        """What an address of the service's own gives out, into the file; a 404 or 410 comes back as it is.
        TooLarge."""
        try:
            return await self.http.download(self.account, url, file, max_bytes=max_bytes, takes=(404, 410))
        except Forbidden:
            self.refused()
            raise

    async def project(self, name: str) -> str:
        """Its id; ProjectMissing."""
        return (await self.read(Project, "GET", "_apis", "projects", name)).id

    async def create_project(self, name: str) -> str:
        """A private project that keeps git repositories, with the organization's own process; its id.

        The service makes it aside: this returns once it is there. Again: the same one.
        """
        processes = (await self.read(Listed[Process], "GET", "_apis", "process", "processes")).value
        default = next((each.id for each in processes if each.is_default), processes[0].id)
        wanted = {
            "name": name,
            "visibility": "private",
            "capabilities": {
                "versioncontrol": {"sourceControlType": "Git"},
                "processTemplate": {"templateTypeId": default},
            },
        }
        # Where it is there already, another call made it, and it may not be ready yet.
        with suppress(Conflict):
            operation = await self.read(Operation, "POST", "_apis", "projects", body=wanted)
            await self._finish(operation.id, name)
        return await self._until_there(name)

    async def _finish(self, operation: str, name: str) -> None:
        for _ in range(_POLLS):
            state = (await self.read(Operation, "GET", "_apis", "operations", operation)).status
            if state == "succeeded":
                return
            if state in {"failed", "cancelled"}:
                raise Permanent(
                    f"Azure DevOps could not make the project '{name}'; see the organization's log."
                )
            await asyncio.sleep(self.poll_seconds)
        raise Transient(f"Azure DevOps is still making the project '{name}'; try again.")

    async def _until_there(self, name: str) -> str:
        for _ in range(_POLLS):
            # It may not be seen everywhere at once.
            with suppress(ProjectMissing):
                found = await self.read(Project, "GET", "_apis", "projects", name)
                if found.state == "wellFormed":
                    return found.id
            await asyncio.sleep(self.poll_seconds)
        raise Transient(f"Azure DevOps is still making the project '{name}'; try again.")

    async def _refuse(self, answer: Answer) -> NoReturn:
        key, said = _refusal(answer).type_key, shown(_said(answer))
        if key == "GitRepositoryNotFoundException":
            raise RepositoryMissing("Azure DevOps has no such repository, or its token may not see it.")
        if key.startswith("ProjectDoesNotExist"):
            raise ProjectMissing("Azure DevOps has no such project, or its token may not see it.")
        if key in {"GitUnresolvableToCommitException", "GitObjectDoesNotExistException"}:
            raise UnknownCommit("There is no such commit in this repository.")
        if key == "GitItemNotFoundException":
            raise ItemMissing("There is nothing at this path.")
        if key in _EXISTS:
            raise Conflict("Azure DevOps has one of this name already.")
        if key == "GitNeedsPermissionException":
            raise Forbidden(
                f"Azure DevOps does not allow this: {said}", permission=_permission(answer) or None
            )
        token = (await self.account.authorize()).rpartition(" ")[2]
        raise meaning(self.http.vendor, answer, self.account, token, harmless=True)


@dataclass(frozen=True, slots=True)
class AzureRepository:
    """One repository by REST. Every method raises RepositoryMissing where it, or its project, is not."""

    api: AzureApi
    place: Place

    @property
    def _root(self) -> tuple[str, ...]:
        return (self.place.project, "_apis", "git", "repositories")

    async def _read[M](
        self, kind: type[M], method: str, *parts: str, query: Query | None = None, body: object = None
    ) -> M:
        return (await self.send(method, *parts, query=query, body=body)).read(kind)

    async def send(
        self,
        method: str,
        *parts: str,
        query: Query | None = None,
        body: object = None,
        accept: str = "application/json",
    ) -> Answer:
        """Every call that changes something is a compare-and-swap, and may be repeated."""
        try:
            return await self.api.send(
                method,
                *self._root,
                self.place.name,
                *parts,
                query=query,
                body=body,
                headers={"Accept": accept},
                repeatable=True,
            )
        except ProjectMissing as error:
            raise RepositoryMissing(error.message) from None

    async def get(self) -> Repository:
        return await self._read(Repository, "GET")

    async def create(self, project_id: str) -> None:
        """Conflict where there is one."""
        wanted = {"name": self.place.name, "project": {"id": project_id}}
        await self.api.read(Repository, "POST", *self._root, body=wanted)

    async def set_default(self, branch: str) -> None:
        await self.send("PATCH", body={"defaultBranch": HEADS + branch})

    async def refs(self, beginning: str) -> dict[str, str]:
        """Refs whose name below refs/ begins so, by full name."""
        found: dict[str, str] = {}
        asked: dict[str, str | int] = {"filter": beginning, "$top": _REFS_PER_PAGE}
        while True:
            answer = await self.send("GET", "refs", query=asked)
            found.update((each.name, each.object_id) for each in answer.read(Listed[Ref]).value)
            following = answer.headers.get("x-ms-continuationtoken", "")
            if following in {"", asked.get("continuationToken")}:
                return found
            asked["continuationToken"] = following

    async def move(self, ref: str, old: str | None, new: str | None) -> str:
        """Compare-and-swap a ref; the service's word for what came of it."""
        wanted = {"name": ref, "oldObjectId": old or NOTHING, "newObjectId": new or NOTHING}
        (result,) = (await self._read(Listed[RefResult], "POST", "refs", body=[wanted])).value
        return result.update_status

    async def commit(self, sha: str) -> Commit:
        """UnknownCommit where it is none."""
        return await self._read(Commit, "GET", "commits", sha)

    async def history(self, sha: str, count: int) -> list[ListedCommit]:
        """The commit and those before it, newest first."""
        criteria: Query = {
            "searchCriteria.itemVersion.versionType": "commit",
            "searchCriteria.itemVersion.version": sha,
            "searchCriteria.$top": count,
        }
        return (await self._read(Listed[ListedCommit], "GET", "commits", query=criteria)).value

    async def merge_bases(self, one: str, other: str) -> list[str]:
        query = {"otherCommitId": other}
        answer = await self._read(Listed[CommitId], "GET", "commits", one, "mergebases", query=query)
        return [each.commit_id for each in answer.value]

    async def tree(self, sha: str, *, recursive: bool) -> list[TreeEntry]:
        query = {"recursive": str(recursive).lower()}
        return (await self._read(Tree, "GET", "trees", sha, query=query)).tree_entries

    async def item(self, sha: str, path: str) -> Item | None:
        """What a commit has at a path; None where it has nothing."""
        query = {
            "path": f"/{path}",
            "versionDescriptor.versionType": "commit",
            "versionDescriptor.version": sha,
            "$format": "json",
        }
        try:
            return await self._read(Item, "GET", "items", query=query)
        except ItemMissing:
            return None

    async def blob(self, sha: str) -> bytes:
        query = {"$format": "octetstream"}
        return (await self.send("GET", "blobs", sha, query=query, accept="application/octet-stream")).body

    async def blobs(self, shas: Sequence[str]) -> bytes:
        """A zip with the content of each."""
        query = {"$format": "zip"}
        answer = await self.send("POST", "blobs", query=query, body=list(shas), accept="application/zip")
        return answer.body

    async def receive_pack(self, request: bytes) -> bytes:
        """What git's own push protocol answers."""
        kind = "application/x-git-receive-pack"
        headers = {"Content-Type": f"{kind}-request", "Accept": f"{kind}-result"}
        parts = (self.place.project, "_git", self.place.name, "git-receive-pack")
        return (await self.api.send("POST", *parts, body=request, headers=headers, repeatable=True)).body
