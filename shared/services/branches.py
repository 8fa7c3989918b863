"""Branches and commits: the host's refs are the truth, and every move of one is recorded here exactly
once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.errors import AlreadyExists
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import child_id
from shared.domain.source.lifecycle import (
    ARTIFACT_TRAILER,
    BRANCH,
    PULL_REQUEST_TRAILER,
    REQUEST_TRAILER,
    check_branch_name,
    delete_branch,
    move_branch,
    new_branch,
    require_deletable,
    require_unarchived,
    require_writable,
)
from shared.domain.source.model import (
    Branch,
    BranchStatus,
    CheckReports,
    Commit,
    OpenPullRequest,
    PullRequest,
    PullRequestIndex,
    Repository,
    reports_id,
    repository_id,
)
from shared.domain.source.policies import BranchRules, requirements_for, rules_id
from shared.domain.source.pull_requests import abandon, close_row, merge, update_source
from shared.ports.source_host import CommitInfo, Place, RefUpdate, SourceHost, UnknownBranch
from shared.ports.store import Query
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units, missing

RECORDED_AT_ONCE = 20
"""Commits per batch: a document and an outbox entry each, well below the batch limit of 100."""
RECORDED_PER_PUSH = 200
"""Of a longer push only the newest are recorded one by one; git holds them all."""


def place_of(repository: Repository) -> Place:
    return Place(repository.tenant, repository.project, repository.name, repository.provider)


@dataclass(frozen=True, slots=True)
class Branches:
    units: Units
    host: SourceHost

    async def create(
        self, actor: Actor, repository_id: str, name: str, from_branch: str | None, once: Once | None
    ) -> Branch:
        """A new branch at the head of `from_branch` (default: the default branch)."""
        check_branch_name(name, "name")
        repository = await self.units.get(actor, Repository, repository_id)
        await self.units.replay(actor, Repository.__record__.root_of(repository_id), once)
        require_writable(repository)
        branch_id = child_id(repository_id, "branch", name)
        known = await self.units.find(actor, Branch, branch_id)
        head = await self.host.head(place_of(repository), from_branch or repository.default_branch)
        # A retry of a call that died before it answered finds its own branch, made and recorded.
        ours = (
            known is not None
            and known.created_by == actor.subject
            and known.head == known.from_commit == head
        )
        if known is not None and known.status is not BranchStatus.DELETED and not ours:
            raise AlreadyExists(f"The branch {name} exists already; choose another name.", branch=name)
        await self.host.create_branch(place_of(repository), name, head, by=actor.subject)

        async def answer(unit: Unit) -> Branch:
            return await unit.get(Branch, branch_id)

        branch = await self.record(actor, repository, name, answer, once)
        await self.host.settle(place_of(repository), name, head)
        return branch

    async def get(self, actor: Actor, repository_id: str, branch_id: str) -> Branch:
        branch = await self.units.get(actor, Branch, branch_id)
        if branch.repository != repository_id:
            raise missing(Branch)
        return branch

    async def delete(self, actor: Actor, repository_id: str, branch_id: str, once: Once | None) -> None:
        """Delete it, as a push would; the pull requests of it are abandoned.

        Raises DefaultBranch, ProtectedBranch; HeadMoved where somebody pushes to it at this moment.
        """
        repository = await self.units.get(actor, Repository, repository_id)
        await self.units.replay(actor, Repository.__record__.root_of(repository_id), once)
        require_writable(repository)
        branch = await self.get(actor, repository_id, branch_id)
        rules = await self.units.find(actor, BranchRules, rules_id(repository_id))
        place = place_of(repository)
        heads = await self.host.branches(place)
        if branch.status is not BranchStatus.DELETED or branch.name in heads:
            require_deletable(repository, branch, requirements_for(repository, rules, branch.name))
        if branch.name in heads:
            head = heads[branch.name]
            await self.host.delete_branch(place, branch.name, expected=head, by=actor.subject)
        await self.record(actor, repository, branch.name, _nothing, once)
        await self.host.settle(place, branch.name, None)

    async def commit(self, actor: Actor, repository_id: str, commit_id: str) -> Commit:
        commit = await self.units.get(actor, Commit, commit_id)
        if commit.repository != repository_id:
            raise missing(Commit)
        return commit

    async def list(self, actor: Actor, repository_id: str, query: Query) -> Page[Branch]:
        await self.units.get(actor, Repository, repository_id)
        return await self.units.list(actor, Branch, query)

    async def commits(self, actor: Actor, repository_id: str, query: Query) -> Page[Commit]:
        await self.units.get(actor, Repository, repository_id)
        return await self.units.list(actor, Commit, query)

    async def record_move(self, actor: Actor, repository: Repository, branch: str, new_sha: str) -> None:
        """Record where a branch is now, after `actor` moved it to `new_sha`."""
        await self.record(actor, repository, branch, _nothing)
        await self.host.settle(place_of(repository), branch, new_sha)

    async def record_update(self, update: RefUpdate) -> None:
        """Record a move that the host journaled: a push, or a call that died before it recorded its own."""
        tenant = update.place.tenant
        actor = replace(system_actor(tenant, "source"), subject=update.pushed_by)
        key = repository_id(tenant, update.place.project, update.place.name)
        repository = await self.units.find(actor, Repository, key)
        if repository is not None:
            await self.record(actor, repository, update.branch, _nothing)
        await self.host.acknowledge(update)

    async def catch_up(self, actor: Actor, repository: Repository) -> int:
        """Record every branch that is not where our records have it, for a host that keeps no journal; how
        many there were."""
        heads = await self.host.branches(place_of(repository))
        known = await self._known(actor, repository)
        moved = sorted(name for name in heads | known if heads.get(name) != known.get(name))
        for name in moved:
            await self.record(actor, repository, name, _nothing)
        return len(moved)

    async def _known(self, actor: Actor, repository: Repository) -> dict[str, str]:
        """Heads by branch, as recorded."""
        query = Query("branch", {"repository": repository.id}, "name", limit=100)
        branches = [branch async for branch in self.units.every(actor, Branch, query)]
        return {branch.name: branch.head for branch in branches if branch.status is not BranchStatus.DELETED}

    async def record[R](
        self,
        actor: Actor,
        repository: Repository,
        branch: str,
        answer: Callable[[Unit], Awaitable[R]],
        once: Once | None = None,
    ) -> R:
        """Bring our record of one branch to where the host has it now; the last batch also carries `once`.

        Reading the host at this moment makes it indifferent to late, doubled and reordered notices.
        """
        root = Repository.__record__.root_of(repository.id)
        known = await self.units.find(actor, Branch, child_id(repository.id, "branch", branch))
        since = known.head if known is not None and known.status is not BranchStatus.DELETED else None
        try:
            fresh, base = await self._news(repository, branch, since)
        except UnknownBranch:
            return await self._forget(actor, repository, branch, answer, once)
        while len(fresh) > RECORDED_AT_ONCE:
            chunk, fresh = fresh[:RECORDED_AT_ONCE], fresh[RECORDED_AT_ONCE:]
            await self.units.run(actor, root, _Recording(repository, branch, base, chunk, [], _nothing))
        merged = await self._merged(actor, repository, branch, fresh)
        return await self.units.run(
            actor, root, _Recording(repository, branch, base, fresh, merged, answer), once
        )

    async def _news(
        self, repository: Repository, branch: str, since: str | None
    ) -> tuple[Sequence[CommitInfo], str]:
        """The commits that came since, oldest first, and the commit that they came on top of."""
        place = place_of(repository)
        heads = await self.host.branches(place)
        if branch not in heads:
            raise UnknownBranch(f"The host has no branch {branch}.", branch=branch)
        head = heads[branch]
        if head == since:
            return [], head
        base = since or (
            heads.get(repository.default_branch) if branch != repository.default_branch else None
        )
        found = await self.host.log(place, head, until=base, limit=RECORDED_PER_PUSH)
        # A new branch at an old commit, or a push back to one, brings nothing new; its head is still news.
        news = list(reversed(found)) or [await self.host.info(place, head)]
        return news, base or news[0].sha

    async def _merged(
        self, actor: Actor, repository: Repository, branch: str, fresh: Sequence[CommitInfo]
    ) -> Sequence[str]:
        """Open pull requests into `branch` whose source its new head contains."""
        if not fresh:
            return []
        index = await self.units.find(actor, PullRequestIndex, index_id(repository.id))
        merged = []
        for row in index.open if index is not None else ():
            if row.target_branch == branch:
                request = await self.units.get(actor, PullRequest, row.id)
                if await self.host.is_ancestor(place_of(repository), request.source_sha, fresh[-1].sha):
                    merged.append(row.id)
        return merged

    async def _forget[R](
        self,
        actor: Actor,
        repository: Repository,
        name: str,
        answer: Callable[[Unit], Awaitable[R]],
        once: Once | None,
    ) -> R:
        async def turn(unit: Unit) -> R:
            branch = await unit.find(Branch, child_id(repository.id, "branch", name))
            if branch is None or not BRANCH.can(branch.status, "delete"):
                return await answer(unit)
            unit.apply(delete_branch(repository, branch, unit.now))
            for row in await open_rows(unit, repository.id):
                if name in (row.source_branch, row.target_branch):
                    request = await unit.get(PullRequest, row.id)
                    unit.apply(abandon(request, unit.now))
                    await close(unit, repository.id, row.id)
            return await answer(unit)

        return await self.units.run(actor, Repository.__record__.root_of(repository.id), turn, once)


@dataclass(frozen=True, slots=True)
class _Recording[R]:
    """One batch of a branch's move: its commits, its new head, and what that means for pull requests."""

    repository: Repository
    branch: str
    base: str
    commits: Sequence[CommitInfo]
    merged: Sequence[str]
    answer: Callable[[Unit], Awaitable[R]]

    async def __call__(self, unit: Unit) -> R:
        if self.commits:
            await self._move(unit)
            await self._tell_pull_requests(unit)
        return await self.answer(unit)

    async def _move(self, unit: Unit) -> None:
        repository, head = self.repository, self.commits[-1]
        branch = await unit.find(Branch, child_id(repository.id, "branch", self.branch))
        if branch is None or branch.status is BranchStatus.DELETED:
            rules = await unit.find(BranchRules, rules_id(repository.id))
            by, at = unit.actor.subject, unit.now
            birth = new_branch(repository, branch, self.branch, self.base, by=by, at=at, rules=rules)
            branch = unit.apply(birth)
        ids = [child_id(repository.id, "commit", info.sha) for info in self.commits]
        await unit.load(*(Commit.__record__.document(commit) for commit in ids))
        fresh = []
        for place, (info, commit_id) in enumerate(zip(self.commits, ids, strict=True)):
            if await unit.find(Commit, commit_id) is None:
                at = unit.now + timedelta(microseconds=place)
                fresh.append(unit.put(commit_of(repository, self.branch, info, unit.actor.subject, at)))
        if fresh or branch.head != head.sha:
            unit.apply(move_branch(repository, branch, head.sha, fresh, unit.now))

    async def _tell_pull_requests(self, unit: Unit) -> None:
        head = self.commits[-1]
        rows = await open_rows(unit, self.repository.id)
        if any(row.target_branch == self.branch and row.id not in self.merged for row in rows):
            payload = {"repositoryId": f"repo-{self.repository.id}", "targetBranch": self.branch}
            unit.emit(Event("WeighPullRequests", payload, project=self.repository.project))
        for row in rows:
            request = await unit.get(PullRequest, row.id)
            if row.source_branch == self.branch and request.source_sha != head.sha:
                early = await unit.find(CheckReports, reports_id(row.id, head.sha))
                reported = early.checks if early is not None else ()
                unit.apply(update_source(request, head.sha, unit.actor, unit.now, reported))
            elif row.id in self.merged:
                trailers = dict(head.trailers)
                asked = trailers.get(PULL_REQUEST_TRAILER) == f"pr-{row.id}"
                as_request = trailers.get(REQUEST_TRAILER) if asked else None
                by = unit.actor.subject
                unit.apply(merge(request, sha=head.sha, by=by, at=unit.now, requested_as=as_request))
                await close(unit, self.repository.id, row.id)


async def _nothing(unit: Unit) -> None:
    """The answer of a move that nobody waits for."""


def index_id(repository_id: str) -> str:
    return child_id(repository_id, "pull-request-index")


async def open_rows(unit: Unit, repository_id: str) -> tuple[OpenPullRequest, ...]:
    index = await unit.find(PullRequestIndex, index_id(repository_id))
    return index.open if index is not None else ()


async def get_writable(unit: Unit, pull_request_id: str, *, revision: int | None = None) -> PullRequest:
    """A pull request that a caller wants to change. RepositoryIsArchived where nobody may."""
    request = await unit.get(PullRequest, pull_request_id, revision=revision)
    require_unarchived(await unit.get(Repository, request.repository))
    return request


async def close(unit: Unit, repository_id: str, pull_request_id: str) -> None:
    index = await unit.get(PullRequestIndex, index_id(repository_id))
    unit.put(close_row(index, pull_request_id))


def commit_of(
    repository: Repository, branch: str, info: CommitInfo, recorded_by: str, recorded_at: datetime
) -> Commit:
    return Commit(
        id=child_id(repository.id, "commit", info.sha),
        tenant=repository.tenant,
        repository=repository.id,
        branch=branch,
        sha=info.sha,
        tree=info.tree,
        message=info.message,
        author=info.author,
        recorded_by=recorded_by,
        committed_at=info.committed_at,
        recorded_at=recorded_at,
        artifact=dict(info.trailers).get(ARTIFACT_TRAILER),
    )
