"""Repositories on GitHub, one organization per tenant. What is written here is made by the same code as on
the embedded host; GitHub stores it.

Must not remember anything between calls: GitHub is the truth, and other processes write too.
"""

import asyncio
import base64
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from dulwich.objects import ObjectID
from yarl import URL

from shared.adapters.hosts import github_compare, github_growth
from shared.adapters.hosts.git_paths import branch_ref, path_problem, ref_in_the_way
from shared.adapters.hosts.git_tree import files, write_out
from shared.adapters.hosts.github_api import GITHUB, SECRET, GitHubApi, Remote, check_sha, said
from shared.adapters.hosts.github_ci import GitHubCi
from shared.adapters.hosts.github_creation import create
from shared.adapters.hosts.github_hooks import GitHubHooks
from shared.adapters.hosts.github_models import Content
from shared.adapters.hosts.github_objects import Snapshot
from shared.adapters.hosts.github_requests import GitHubRequests
from shared.adapters.vendors.guard import is_loopback, shown
from shared.adapters.vendors.http import VendorHttp, path_of
from shared.domain.kernel.errors import Conflict, Invalid, NotFound
from shared.domain.source.errors import ProviderUnavailable
from shared.domain.source.model import Provider, Visibility
from shared.ports.ids import Ids
from shared.ports.source_host import (
    BranchExists,
    CommitInfo,
    FileChange,
    FileDiff,
    HeadMoved,
    Place,
    RefUpdate,
    Signature,
)
from shared.ports.vault import Vault
from shared.ports.vendor import Vendor

_ARCHIVE_BYTES = 1024 * 1024 * 1024


class GitHub:
    """Implements ports.source_host.SourceHost on GitHub's REST API.

    It journals nothing: `pending` is always empty, and who uses it compares branches with records.
    """

    def __init__(
        self,
        http: VendorHttp,
        organizations: Mapping[str, str],
        token: Callable[[str], Awaitable[str]],
        ids: Ids,
    ) -> None:
        """`organizations` by tenant, none twice; `token` gives a tenant's current token."""
        self.api = GitHubApi(http, organizations, token)
        self._http = http
        self._ids = ids

    def clone_url(self, place: Place) -> str:
        remote = self.api.at(place)
        return f"{_site(self._http.base)}{path_of(remote.organization, remote.name)}.git"

    async def create(
        self,
        place: Place,
        *,
        default_branch: str,
        author: Signature,
        readme: str,
        visibility: Visibility = Visibility.PRIVATE,
    ) -> str:
        return await create(
            self.api.at(place),
            default_branch=default_branch,
            author=author,
            readme=readme,
            visibility=visibility,
        )

    async def exists(self, place: Place) -> bool:
        try:
            remote = self.api.at(place)
        except Invalid:
            return False
        return await remote.find() is not None

    async def branches(self, place: Place) -> dict[str, str]:
        return await self.api.at(place).branches()

    async def head(self, place: Place, branch: str) -> str:
        return await self.api.at(place).head(branch)

    async def create_branch(self, place: Place, name: str, at: str, *, by: str) -> None:
        remote, ref = self.api.at(place), branch_ref(name)
        if ref is None:
            raise Invalid(f"'{name}' is not a valid branch name; git would not take it.", branch=name)
        check_sha(at)
        if await self._stands(remote, name, at):
            return
        body = {"ref": ref.decode(), "sha": at}
        answer = await remote.send("POST", "git", "refs", body=body, takes=(404, 409, 422))
        if answer.status == 201:
            return
        await remote.info(at)
        # Made by another at this very moment, by ourselves with a lost answer, or refused.
        if not await self._stands(remote, name, at):
            raise Invalid(f"GitHub does not make the branch '{name}' ({shown(said(answer))}).", branch=name)

    async def delete_branch(self, place: Place, name: str, *, expected: str, by: str) -> None:
        """HeadMoved where the branch is elsewhere, Conflict for the default branch; already gone is fine."""
        remote = self.api.at(place)
        if name == (await remote.get()).default_branch:
            raise Conflict(f"'{name}' is the default branch and cannot be deleted.", branch=name)
        head = await remote.find_head(name)
        if head is None:
            return
        if head != expected:
            raise HeadMoved(
                f"Branch '{name}' has moved; read its head and try again.", branch=name, actual=head
            )
        answer = await remote.send("DELETE", "git", "refs", "heads", *name.split("/"), takes=(409, 422))
        if answer.status != 204 and await remote.find_head(name) is not None:
            raise Conflict(f"GitHub does not delete '{name}' ({shown(said(answer))}).", branch=name)

    async def commit(
        self,
        place: Place,
        branch: str,
        changes: Sequence[FileChange],
        *,
        message: str,
        author: Signature,
        expected_head: str | None = None,
        trailers: Sequence[tuple[str, str]] = (),
        once: tuple[str, str] | None = None,
    ) -> CommitInfo:
        authored = github_growth.Authored(message, author, trailers)
        return await github_growth.make_next(
            self.api.at(place), branch, changes, authored, self._ids, expected_head=expected_head, once=once
        )

    async def merge(
        self,
        place: Place,
        *,
        source: str,
        target: str,
        expected_source: str,
        message: str,
        author: Signature,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> CommitInfo:
        authored = github_growth.Authored(message, author, trailers)
        return await github_growth.make_merge(
            self.api.at(place), source, target, expected_source, authored, self._ids
        )

    async def merge_conflicts(self, place: Place, *, source: str, target: str) -> list[str]:
        return await github_growth.find_conflicts(self.api.at(place), source, target)

    async def merge_base(self, place: Place, one: str, other: str) -> str | None:
        between = await github_compare.compare(self.api.at(place), one, other)
        return between.merge_base_commit.sha if between is not None else None

    async def is_ancestor(self, place: Place, ancestor: str, descendant: str) -> bool:
        between = await github_compare.compare(self.api.at(place), ancestor, descendant)
        return between is not None and between.is_descendant

    async def diff(
        self, place: Place, base: str, head: str, *, max_patch_bytes: int = 262144
    ) -> list[FileDiff]:
        return await github_compare.diff(self.api.at(place), base, head, max_patch_bytes)

    async def info(self, place: Place, sha: str) -> CommitInfo:
        return await self.api.at(place).info(sha)

    async def log(
        self, place: Place, head: str, *, until: str | None = None, limit: int = 50
    ) -> list[CommitInfo]:
        return await github_compare.log(self.api.at(place), head, until, limit)

    async def read_file(self, place: Place, sha: str, path: str) -> bytes | None:
        """GitHub follows a link to a file of the same repository; any other is read as it is stored."""
        check_sha(sha)
        if path_problem(path):
            return None
        remote = self.api.at(place)
        parts = ("contents", *path.split("/"))
        answer = await remote.send("GET", *parts, query={"ref": sha}, takes=(404,))
        if answer.status == 404:
            await remote.info(sha)
            return None
        if answer.body.lstrip().startswith(b"["):
            return None
        found = answer.read(Content)
        if found.type == "symlink":
            return (found.target or "").encode()
        if found.type != "file":
            return None
        if found.encoding == "base64":
            return base64.b64decode(found.content)
        snapshot = Snapshot(remote)
        large = ObjectID(found.sha.encode())
        return await snapshot.run(lambda objects: objects.store.get_raw(large)[1])

    async def list_files(self, place: Place, sha: str, prefix: str = "") -> list[str]:
        """Every path that begins with the prefix, in git's order."""
        snapshot, tree = await self._tree(self.api.at(place), sha)
        paths = (path.decode("utf-8", "replace") for path, _ in files(snapshot, tree))
        return [path for path in paths if path.startswith(prefix)]

    async def checkout(self, place: Place, sha: str, folder: str) -> None:
        remote = self.api.at(place)
        snapshot, tree = await self._tree(remote, sha)
        with tempfile.TemporaryFile() as file:
            await self._http.download(
                remote.account, remote.path + path_of("tarball", sha), file, max_bytes=_ARCHIVE_BYTES
            )
            file.seek(0)
            await asyncio.to_thread(snapshot.add_archive, file, tree)
        await snapshot.add_blobs(snapshot.blobs(tree))
        await asyncio.to_thread(write_out, snapshot, tree, Path(folder))

    async def pending(self, *, older_than: float = 5.0) -> list[RefUpdate]:
        return []

    async def acknowledge(self, update: RefUpdate) -> None:
        """Nothing is kept that could be forgotten."""

    async def settle(self, place: Place, branch: str, new: str | None) -> None:
        """As `acknowledge`."""

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _stands(self, remote: Remote, name: str, at: str) -> bool:
        """Whether the branch is there already, at that commit; BranchExists where its name cannot be had."""
        heads = await remote.branches()
        if heads.get(name) == at:
            return True
        if name in heads:
            raise BranchExists(f"Branch '{name}' exists at another commit.", branch=name, actual=heads[name])
        refs = {ref: other for other in heads if (ref := branch_ref(other)) is not None}
        wanted = branch_ref(name)
        taken = ref_in_the_way(wanted, refs) if wanted is not None else None
        if taken is not None:
            other = refs[taken]
            raise BranchExists(
                f"'{name}' cannot be made beside '{other}'; choose another name.", branch=other
            )
        return False

    @staticmethod
    async def _tree(remote: Remote, sha: str) -> tuple[Snapshot, ObjectID]:
        tree = (await remote.info(sha)).tree
        snapshot = Snapshot(remote)
        await snapshot.add_trees(tree)
        return snapshot, ObjectID(tree.encode())


def github(url: str, organizations: Mapping[str, str], vault: Vault, ids: Ids) -> Vendor:
    """With the tenants' tokens, which are secrets of theirs."""

    async def token(tenant: str) -> str:
        try:
            return (await vault.get(tenant, SECRET)).value.strip()
        except NotFound:
            raise ProviderUnavailable(
                f"This tenant has no token for GitHub: keep one as its secret '{SECRET}'.",
                provider=str(Provider.GITHUB),
            ) from None

    host = GitHub(VendorHttp(GITHUB, url, ids), organizations, token, ids)
    return Vendor(host, GitHubCi(host.api), GitHubHooks(host.api), GitHubRequests(host.api), host.aclose)


def _site(api: URL) -> str:
    """The site of an API: github.com, or that of an Enterprise Server, whose API is below /api/v3."""
    host = api.host or ""
    if host == "api.github.com" or (host.startswith("api.") and not is_loopback(host)):
        return str(api.origin().with_host(host.removeprefix("api.")))
    return str(api.origin())
