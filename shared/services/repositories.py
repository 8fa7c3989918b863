"""Repositories: provisioned on a source host, found by a name that is unique in the tenant, archived."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import (
    Conflict,
    DeliveryError,
    Forbidden,
    Invalid,
    NotFound,
    Permanent,
    RuleBroken,
)
from shared.domain.kernel.ids import child_id
from shared.domain.source.errors import RepositoryExists
from shared.domain.source.lifecycle import (
    archive_repository,
    check_branch_name,
    complete_repository,
    fail_repository,
    name_project,
    new_branch,
    request_repository,
    unarchive_repository,
)
from shared.domain.source.model import (
    Branch,
    Project,
    Provider,
    Repository,
    RepositoryStatus,
    Visibility,
    project_id,
    repository_id,
)
from shared.ports.source_host import Signature, SourceHost
from shared.ports.store import Query
from shared.services.branches import commit_of, place_of
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

type Decision = Callable[[Repository, str, datetime], Change[Repository]]


@dataclass(frozen=True, slots=True)
class RepositoryDraft:
    project: str
    name: str
    provider: Provider = Provider.EMBEDDED
    default_branch: str = "main"
    visibility: Visibility = Visibility.PRIVATE
    module: str | None = None
    is_managed: bool = False


@dataclass(frozen=True, slots=True)
class Repositories:
    units: Units
    host: SourceHost
    base_url: str
    providers: Collection[Provider] = (Provider.EMBEDDED,)
    """Where this installation can make repositories."""

    async def provision(self, actor: Actor, draft: RepositoryDraft, once: Once | None) -> Repository:
        """Record the wish, make the repository on its host, record that it is there.

        Dying between the steps loses nothing: a retry with the same key and the worker both go on from there.
        """
        check_branch_name(draft.default_branch, "defaultBranch")
        key = repository_id(actor.tenant, draft.project, draft.name)
        root = Repository.__record__.root_of(key)
        await self.units.replay(actor, root, once)
        await self._name(actor, draft.project)

        async def request(unit: Unit) -> None:
            existing = await unit.find(Repository, key)
            if existing is None or existing.status is RepositoryStatus.FAILED:
                wanted = self._wanted(draft, key, once, unit)
                if existing is not None:
                    wanted = replace(wanted, status=existing.status, revision=existing.revision)
                change = request_repository(wanted, self.providers)
                unit.apply(replace(change, entity=self._placed(change.entity)))
            elif once is None or existing.requested_as != once.seed:
                raise RepositoryExists(
                    f"The project {existing.project} has a repository {existing.name}; choose another name,"
                    " in more than its case.",
                    repositoryId=f"repo-{key}",
                )

        await self.units.run(actor, root, request)
        return await self.complete(actor, key, once)

    async def _name(self, actor: Actor, project: str) -> None:
        """The project keeps the spelling of its first repository. ProjectExists for another one."""
        key, now = project_id(actor.tenant, project), self.units.clock.now()
        known = await self.units.find(actor, Project, key)
        if name_project(known, actor.tenant, project, actor.subject, now) is None:
            return

        async def turn(unit: Unit) -> None:
            known = await unit.find(Project, key)
            change = name_project(known, actor.tenant, project, actor.subject, unit.now)
            if change is not None:
                unit.apply(change)

        await self.units.run(actor, Project.__record__.root_of(key), turn)

    async def complete(self, actor: Actor, repository_id: str, once: Once | None = None) -> Repository:
        """Make the repository on its host, again if need be, and record that it is provisioned."""
        wanted = await self.units.get(actor, Repository, repository_id)
        if wanted.status in (RepositoryStatus.FAILED, RepositoryStatus.ARCHIVED):
            return wanted
        place = place_of(wanted)
        author = Signature("Slipway", f"slipway@{wanted.tenant}.slipway", wanted.created_at)
        readme = f"# {wanted.name}\n"
        try:
            first = await self.host.create(
                place,
                default_branch=wanted.default_branch,
                author=author,
                readme=readme,
                visibility=wanted.visibility,
            )
        except (NotFound, RuleBroken, Conflict, Forbidden, Invalid, Permanent) as error:
            await self._fail(actor, repository_id, error)
            raise
        info = await self.host.info(place, first)

        async def turn(unit: Unit) -> Repository:
            repository = await unit.get(Repository, repository_id)
            if repository.status is not RepositoryStatus.PROVISIONING:
                return repository
            done = unit.apply(complete_repository(repository, unit.now))
            branch = await unit.find(Branch, child_id(repository_id, "branch", wanted.default_branch))
            if branch is None:
                by = repository.created_by
                unit.apply(new_branch(done, None, wanted.default_branch, first, by=by, at=unit.now))
                unit.put(commit_of(done, wanted.default_branch, info, by, unit.now))
            return done

        return await self.units.run(actor, Repository.__record__.root_of(repository_id), turn, once)

    async def _fail(self, actor: Actor, repository_id: str, error: DeliveryError) -> None:
        """Record why the host does not make it, so that it can be asked for anew once that is mended."""

        async def turn(unit: Unit) -> None:
            repository = await unit.get(Repository, repository_id)
            if repository.status is RepositoryStatus.PROVISIONING:
                unit.apply(fail_repository(repository, error.message, unit.now))

        await self.units.run(actor, Repository.__record__.root_of(repository_id), turn)

    async def archive(
        self, actor: Actor, repository_id: str, once: Once | None, *, revision: int | None = None
    ) -> Repository:
        """From now on it can only be read. What was under way on its host is still recorded."""
        return await self._turn(actor, repository_id, archive_repository, once, revision)

    async def unarchive(
        self, actor: Actor, repository_id: str, once: Once | None, *, revision: int | None = None
    ) -> Repository:
        return await self._turn(actor, repository_id, unarchive_repository, once, revision)

    async def _turn(
        self, actor: Actor, repository_id: str, decide: Decision, once: Once | None, revision: int | None
    ) -> Repository:
        async def turn(unit: Unit) -> Repository:
            repository = await unit.get(Repository, repository_id, revision=revision)
            return self._addressed(unit.apply(decide(repository, actor.subject, unit.now)))

        return await self.units.run(actor, Repository.__record__.root_of(repository_id), turn, once)

    async def get(self, actor: Actor, repository_id: str) -> Repository:
        return self._addressed(await self.units.get(actor, Repository, repository_id))

    async def find_named(self, actor: Actor, project: str, name: str) -> Repository | None:
        """By its name on the embedded host, as it is written there: one point read."""
        found = await self.units.find(actor, Repository, repository_id(actor.tenant, project, name))
        return found if found is not None and (found.project, found.name) == (project, name) else None

    async def list(self, actor: Actor, query: Query) -> Page[Repository]:
        page = await self.units.list(actor, Repository, query)
        return replace(page, items=tuple(self._addressed(repository) for repository in page.items))

    async def ensure_system_repository(self, actor: Actor, project: str, name: str) -> Repository:
        """A repository that the platform itself keeps, such as the desired state of the environments."""
        found = await self.find_named(actor, project, name)
        if found is not None and found.status is RepositoryStatus.PROVISIONED:
            return found
        if found is not None:
            return await self.complete(actor, found.id)
        try:
            return await self.provision(
                actor, RepositoryDraft(project=project, name=name, is_managed=True), None
            )
        except RepositoryExists:
            return await self.complete(actor, repository_id(actor.tenant, project, name))

    def _addressed(self, repository: Repository) -> Repository:
        """With the URL it can be cloned from now: an embedded host moves with its installation's address."""
        return repository if repository.provider is not Provider.EMBEDDED else self._placed(repository)

    def _placed(self, repository: Repository) -> Repository:
        """Before anything is recorded: ProviderUnavailable and Invalid where the host can never make it."""
        url = self.host.clone_url(place_of(repository))
        return replace(repository, remote_url=f"{self.base_url}{url}" if url.startswith("/") else url)

    def _wanted(
        self, draft: RepositoryDraft, repository_id: str, once: Once | None, unit: Unit
    ) -> Repository:
        tenant = unit.actor.tenant
        return Repository(
            id=repository_id,
            tenant=tenant,
            project=draft.project,
            name=draft.name,
            module=draft.module,
            provider=draft.provider,
            default_branch=draft.default_branch,
            visibility=draft.visibility,
            status=RepositoryStatus.REQUESTED,
            remote_url="",
            created_by=unit.actor.subject,
            created_at=unit.now,
            updated_at=unit.now,
            requested_as=once.seed if once else None,
            is_managed=draft.is_managed,
        )
