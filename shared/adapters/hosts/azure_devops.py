"""Azure Repos as a source host: a tenant's repositories in its organization, by REST and by git's own push.

Reads, branches and repositories go by REST (azure_devops_api). Commits and merges are made here, by the code
that makes them in embedded repositories, and go as a pack to git-receive-pack: REST's pushes can set no file
mode, and its merges have no author, no time of ours and no list of conflicts. A push made so is known by its
sha before it is sent, so a lost answer leaves no doubt: the branch has the commit, or it has not.

Moves are not journaled: others push here too, and branches are compared with our records.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree

from shared.adapters.hosts import git_tree
from shared.adapters.hosts.azure_devops_api import HEADS, AzureRepository, ProjectMissing
from shared.adapters.hosts.azure_devops_ci import AzureDevOpsCi
from shared.adapters.hosts.azure_devops_history import History
from shared.adapters.hosts.azure_devops_hooks import AzureDevOpsHooks
from shared.adapters.hosts.azure_devops_models import Repository
from shared.adapters.hosts.azure_devops_objects import Kept, Objects
from shared.adapters.hosts.azure_devops_places import Organizations, can_be_named
from shared.adapters.hosts.azure_devops_refs import Refs, moved
from shared.adapters.hosts.azure_devops_requests import AzureDevOpsRequests
from shared.adapters.hosts.azure_devops_trees import Trees
from shared.adapters.hosts.git_history import make_commit, read_commit, written_trailers
from shared.adapters.hosts.git_merge import TreeMerge
from shared.adapters.hosts.git_paths import branch_ref, path_problem
from shared.adapters.vendors.throttling import Patience
from shared.domain.kernel.errors import Conflict, Invalid
from shared.domain.source.model import Visibility
from shared.ports.ids import Ids
from shared.ports.source_host import (
    CommitInfo,
    FileChange,
    FileDiff,
    MergeConflict,
    Place,
    RefUpdate,
    RepositoryMissing,
    RepositoryTaken,
    Signature,
)
from shared.ports.vault import Vault
from shared.ports.vendor import Vendor

OWNER_TRAILER = "Slipway-Repository"
"""Of a repository's first commit: says that we made it, and for which place."""
_TRIES = 20
"""Of a write whose branch others move meanwhile."""
_THREADS = 8


class AzureDevOps:
    """Implements ports.source_host.SourceHost: {organization}/{project}/_git/{name}."""

    def __init__(
        self,
        url: str,
        organizations: Mapping[str, str],
        vault: Vault,
        ids: Ids,
        *,
        create_projects: bool = False,
        patience: Patience | None = None,
        poll_seconds: float = 1.0,
    ) -> None:
        """`organizations` by tenant. A project that is not there is made where `create_projects` says so."""
        self.organizations = Organizations.at(url, organizations, vault, ids, patience, poll_seconds)
        self._create_projects = create_projects
        self._kept = Kept()
        self._threads = ThreadPoolExecutor(_THREADS, "azure-repos")
        # Writers of one repository in this process queue, instead of sending each other round again.
        self._queues: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    async def aclose(self) -> None:
        await self.organizations.http.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def clone_url(self, place: Place) -> str:
        return self.organizations.clone_url(place)

    async def create(
        self,
        place: Place,
        *,
        default_branch: str,
        author: Signature,
        readme: str,
        visibility: Visibility = Visibility.PRIVATE,
    ) -> str:
        """A repository is as visible as its project, which is somebody's own: `visibility` changes nothing.

        ProjectMissing where there is no project and none may be made.
        """
        if not can_be_named(place):
            raise Invalid("Azure DevOps takes letters, digits, '.', '_' and '-', 64 characters at most.")
        if branch_ref(default_branch) is None:
            raise Invalid(f"'{default_branch}' is not a valid branch name; git would not take it.")
        owner = (OWNER_TRAILER, _owner(place))
        blob, tree = Blob.from_string(readme.encode()), Tree()
        tree.add(b"README.md", git_tree.FILE, blob.id)
        commit = make_commit(tree.id, (), "Initial commit", author, [owner])
        remote = self.organizations.repository(place)
        async with self._turn(place):
            described = await self._provided(remote)
            refs = Refs(remote)
            heads = await refs.heads()
            if not heads and await refs.push(default_branch, None, commit.id.decode(), [blob, tree, commit]):
                first: Commit | None = commit
            else:
                head = heads.get(default_branch) or await refs.find_head(default_branch)
                first = await History(self._objects(remote)).first(head) if head else None
            if first is None or owner not in read_commit(first).trailers:
                raise RepositoryTaken(
                    f"Azure DevOps has another repository '{place.name}' in '{place.project}'; choose another"
                    " name, or remove it there.",
                    name=place.name,
                )
            if described.default_branch != HEADS + default_branch:
                await remote.set_default(default_branch)
            return first.id.decode()

    async def exists(self, place: Place) -> bool:
        if not can_be_named(place):
            return False
        try:
            await self.organizations.repository(place).get()
        except RepositoryMissing:
            return False
        return True

    async def branches(self, place: Place) -> dict[str, str]:
        return await self._refs(place).heads()

    async def head(self, place: Place, branch: str) -> str:
        return await self._refs(place).head(branch)

    async def create_branch(self, place: Place, name: str, at: str, *, by: str) -> None:
        await self.info(place, at)
        await self._refs(place).create(name, at)

    async def delete_branch(self, place: Place, name: str, *, expected: str, by: str) -> None:
        """HeadMoved where the branch is elsewhere, Conflict for the default branch; already gone is fine."""
        remote = self.organizations.repository(place)
        if (await remote.get()).default_branch == HEADS + name:
            raise Conflict(f"'{name}' is the default branch and cannot be deleted.", branch=name)
        await Refs(remote).delete(name, expected)

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
        remote = self.organizations.repository(place)
        refs, objects = Refs(remote), self._objects(remote)
        signed = (*trailers, once) if once else trailers
        async with self._turn(place):
            for _ in range(_TRIES):
                head = await refs.head(branch)
                if once and (made := await History(objects).find_made(head, once)):
                    return made
                if expected_head not in (None, head):
                    raise moved(branch, head)
                before = (await objects.commit(head)).tree
                tree, new = await self._trees(objects).change(before, changes)
                commit = make_commit(tree, (head,), message, author, signed)
                if await self._publish(refs, objects, branch, commit, new):
                    return read_commit(commit)
        raise moved(branch, None)

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
        remote = self.organizations.repository(place)
        refs, objects = Refs(remote), self._objects(remote)
        await objects.commit(expected_source)
        signed = written_trailers(message, trailers)
        async with self._turn(place):
            for _ in range(_TRIES):
                head = await refs.head(target)
                bases = await remote.merge_bases(head, expected_source)
                is_contained = expected_source in bases
                # Before the source is looked at: it may be gone, or further on, once it was merged.
                if is_contained and (
                    made := await History(objects).find_merged(head, expected_source, signed)
                ):
                    return made
                if (actual := await refs.head(source)) != expected_source:
                    raise moved(source, actual)
                if is_contained:
                    raise Conflict(
                        f"There is nothing to merge: '{target}' already contains '{source}'.", branch=target
                    )
                tree, merge = await self._merge(objects, bases, head, expected_source)
                if merge.conflicts:
                    raise MergeConflict(
                        f"'{source}' and '{target}' changed the same files; merge '{target}' into '{source}'"
                        " first.",
                        paths=sorted(set(merge.conflicts)),
                    )
                commit = make_commit(tree, (head, expected_source), message, author, trailers)
                if await self._publish(refs, objects, target, commit, merge.objects):
                    return read_commit(commit)
        raise moved(target, None)

    async def merge_conflicts(self, place: Place, *, source: str, target: str) -> Sequence[str] | None:
        remote = self.organizations.repository(place)
        bases = await remote.merge_bases(target, source)
        _, merge = await self._merge(self._objects(remote), bases, target, source)
        return sorted(set(merge.conflicts))

    async def merge_base(self, place: Place, one: str, other: str) -> str | None:
        remote = self.organizations.repository(place)
        best = await self._best(self._objects(remote), await remote.merge_bases(one, other))
        return best.id.decode() if best else None

    async def is_ancestor(self, place: Place, ancestor: str, descendant: str) -> bool:
        return ancestor in await self.organizations.repository(place).merge_bases(ancestor, descendant)

    async def diff(
        self, place: Place, base: str, head: str, *, max_patch_bytes: int = 262144
    ) -> list[FileDiff]:
        objects = self._objects(self.organizations.repository(place))
        old, new = (await objects.commit(base)).tree, (await objects.commit(head)).tree
        return await self._trees(objects).diff(old, new, max_patch_bytes)

    async def info(self, place: Place, sha: str) -> CommitInfo:
        objects = self._objects(self.organizations.repository(place))
        await objects.read_commit(sha)
        return read_commit(await objects.commit(sha))

    async def log(
        self, place: Place, head: str, *, until: str | None = None, limit: int = 50
    ) -> list[CommitInfo]:
        return await History(self._objects(self.organizations.repository(place))).log(head, until, limit)

    async def read_file(self, place: Place, sha: str, path: str) -> bytes | None:
        """A link answers with its target, as it is stored."""
        remote = self.organizations.repository(place)
        objects = self._objects(remote)
        await objects.commit(sha)
        item = None if path_problem(path) else await remote.item(sha, path)
        if item is None or item.git_object_type != "blob":
            return None
        return (objects.find(item.object_id) or await objects.read_blob(item.object_id))[1]

    async def list_files(self, place: Place, sha: str, prefix: str = "") -> list[str]:
        """Every path that begins with the prefix, in git's order."""
        objects = self._objects(self.organizations.repository(place))
        paths = await self._trees(objects).paths((await objects.commit(sha)).tree)
        return [path for path in paths if path.startswith(prefix)]

    async def checkout(self, place: Place, sha: str, folder: str) -> None:
        objects = self._objects(self.organizations.repository(place))
        await self._trees(objects).write_out((await objects.commit(sha)).tree, Path(folder))

    async def pending(self, *, older_than: float = 5.0) -> list[RefUpdate]:
        """None: branches here are compared with our records."""
        return []

    async def acknowledge(self, update: RefUpdate) -> None:
        """Nothing is journaled."""

    async def settle(self, place: Place, branch: str, new: str | None) -> None:
        """Nothing is journaled."""

    async def _provided(self, remote: AzureRepository) -> Repository:
        """The repository as the host describes it, made where it is not."""
        try:
            return await remote.get()
        except RepositoryMissing:
            project = await self._project(remote)
        # Where it is there by now, another call made it, or this one, whose answer was lost.
        with suppress(Conflict):
            await remote.create(project)
        return await remote.get()

    async def _project(self, remote: AzureRepository) -> str:
        name = remote.place.project
        try:
            return await remote.api.project(name)
        except ProjectMissing:
            if self._create_projects:
                return await remote.api.create_project(name)
            raise ProjectMissing(
                f"Azure DevOps has no project '{name}' in the organization, or its token may not see it;"
                " make it there, or set SLIPWAY_AZURE_DEVOPS_CREATE_PROJECTS=true.",
                project=name,
            ) from None

    async def _publish(
        self, refs: Refs, objects: Objects, branch: str, commit: Commit, new: Sequence[ShaFile]
    ) -> bool:
        parent = commit.parents[0].decode()
        if not await refs.push(branch, parent, commit.id.decode(), [*new, commit]):
            return False
        objects.keep(commit, *new)
        return True

    async def _best(self, objects: Objects, bases: Sequence[str]) -> Commit | None:
        """The latest of several: as embedded repositories choose."""
        commits = [await objects.commit(sha) for sha in bases]
        return max(commits, key=lambda commit: (commit.commit_time, commit.id), default=None)

    def _refs(self, place: Place) -> Refs:
        return Refs(self.organizations.repository(place))

    def _objects(self, remote: AzureRepository) -> Objects:
        return Objects(remote, self._kept)

    def _trees(self, objects: Objects) -> Trees:
        return Trees(objects, self._threads)

    async def _merge(
        self, objects: Objects, bases: Sequence[str], ours: str, theirs: str
    ) -> tuple[ObjectID, TreeMerge]:
        base = await self._best(objects, bases)
        our, their = await objects.commit(ours), await objects.commit(theirs)
        return await self._trees(objects).merge(base.tree if base else None, our.tree, their.tree)

    def _turn(self, place: Place) -> asyncio.Lock:
        return self._queues.setdefault(place, asyncio.Lock())


def _owner(place: Place) -> str:
    # A digest, since a tenant's name is nobody else's business.
    natural = "\0".join((place.tenant, place.project, place.name))
    return hashlib.sha256(natural.encode()).hexdigest()[:32]


def azure_devops(
    url: str, organizations: Mapping[str, str], vault: Vault, ids: Ids, *, create_projects: bool = False
) -> Vendor:
    """With the tenants' tokens, which are secrets of theirs."""
    host = AzureDevOps(url, organizations, vault, ids, create_projects=create_projects)
    at = host.organizations
    return Vendor(host, AzureDevOpsCi(at), AzureDevOpsHooks(at), AzureDevOpsRequests(at), host.aclose)
