"""Pull requests: opened, checked, merged into protected branches, or abandoned."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.ids import child_id
from shared.domain.source.errors import NothingToMerge, StaleSource
from shared.domain.source.lifecycle import (
    PULL_REQUEST_TRAILER,
    REQUEST_TRAILER,
    abandon,
    check_branch_pair,
    open_pull_request,
    record_check,
    require_mergeable,
    require_writable,
)
from shared.domain.source.model import (
    Check,
    PolicyEvaluation,
    PullRequest,
    PullRequestIndex,
    PullRequestStatus,
    Repository,
)
from shared.ports.clock import Clock
from shared.ports.source_host import FileDiff, SourceHost
from shared.ports.store import Query
from shared.services.branches import Branches, close, index_id, place_of
from shared.services.commits import author_of
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units, require_revision


@dataclass(frozen=True, slots=True)
class PullRequestDraft:
    repository: str
    source_branch: str
    target_branch: str
    title: str
    description: str = ""
    reviewers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullRequests:
    units: Units
    host: SourceHost
    branches: Branches
    clock: Clock

    async def open(self, actor: Actor, draft: PullRequestDraft, once: Once | None) -> PullRequest:
        """The next number of the repository; its checks start by themselves."""
        check_branch_pair(draft.source_branch, draft.target_branch)
        repository = await self.units.get(actor, Repository, draft.repository)
        require_writable(repository)
        root = Repository.__record__.root_of(repository.id)
        await self.units.replay(actor, root, once)
        place = place_of(repository)
        source = await self.host.head(place, draft.source_branch)
        target = await self.host.head(place, draft.target_branch)
        if await self.host.is_ancestor(place, source, target):
            raise NothingToMerge(
                f"{draft.target_branch} has all that {draft.source_branch} has; commit something first.",
                sourceBranch=draft.source_branch,
                targetBranch=draft.target_branch,
            )

        async def turn(unit: Unit) -> PullRequest:
            index = await unit.find(PullRequestIndex, index_id(repository.id))
            index = index or PullRequestIndex(
                id=index_id(repository.id), tenant=actor.tenant, repository=repository.id
            )
            wanted = PullRequest(
                id=child_id(repository.id, "pull-request", unit.new_id()),
                tenant=actor.tenant,
                project=repository.project,
                repository=repository.id,
                number=0,
                title=draft.title,
                description=draft.description,
                source_branch=draft.source_branch,
                target_branch=draft.target_branch,
                source_sha=source,
                status=PullRequestStatus.OPEN,
                policy_evaluation=PolicyEvaluation.PENDING,
                checks=(),
                reviewers=draft.reviewers,
                opened_by=actor.subject,
                created_at=unit.now,
                updated_at=unit.now,
            )
            change, index = open_pull_request(wanted, index)
            unit.put(index)
            return unit.apply(change)

        return await self.units.run(actor, root, turn, once)

    async def get(self, actor: Actor, pull_request_id: str) -> PullRequest:
        return await self.units.get(actor, PullRequest, pull_request_id)

    async def list(self, actor: Actor, query: Query) -> Page[PullRequest]:
        return await self.units.list(actor, PullRequest, query)

    async def diff(self, actor: Actor, pull_request_id: str) -> Sequence[FileDiff]:
        """What merging would bring: the source against its merge base with the target."""
        request = await self.units.get(actor, PullRequest, pull_request_id)
        repository = await self.units.get(actor, Repository, request.repository)
        place = place_of(repository)
        if request.merge_commit is not None:
            first_parent = (await self.host.info(place, request.merge_commit)).parents[0]
            base = await self.host.merge_base(place, first_parent, request.source_sha)
        else:
            target = await self.host.head(place, request.target_branch)
            base = await self.host.merge_base(place, target, request.source_sha)
        return await self.host.diff(place, base or request.source_sha, request.source_sha)

    async def merge(
        self, actor: Actor, pull_request_id: str, once: Once | None, *, revision: int | None = None
    ) -> PullRequest:
        """A real merge commit, when every required check has passed on what the source branch is now."""
        request = await self.units.get(actor, PullRequest, pull_request_id)
        repository = await self.units.get(actor, Repository, request.repository)
        root = Repository.__record__.root_of(repository.id)
        await self.units.replay(actor, root, once)
        asked = sha256_hex(once.seed.encode())[:32] if once else None

        async def answer(unit: Unit) -> PullRequest:
            return await unit.get(PullRequest, pull_request_id)

        if asked is not None and request.merged_as == asked:
            # The first try merged on the host and died before it answered; the host's journal told us since.
            return await self.units.run(actor, root, answer, once)
        require_revision(request, revision)
        require_mergeable(request)
        place = place_of(repository)
        if await self.host.head(place, request.source_branch) != request.source_sha:
            await self.branches.record_move(actor, repository, request.source_branch, "")
            raise StaleSource(
                f"{request.source_branch} has new commits; wait for its checks and merge again.",
                sourceBranch=request.source_branch,
            )
        trailers = [(PULL_REQUEST_TRAILER, f"pr-{request.id}")]
        info = await self.host.merge(
            place,
            source=request.source_branch,
            target=request.target_branch,
            expected_source=request.source_sha,
            message=f"Merge pull request #{request.number}: {request.title}",
            author=author_of(actor, self.clock),
            trailers=[*trailers, (REQUEST_TRAILER, asked)] if asked else trailers,
        )
        merged = await self.branches.record(actor, repository, request.target_branch, answer, once)
        await self.host.settle(place, request.target_branch, info.sha)
        return merged

    async def abandon(
        self, actor: Actor, pull_request_id: str, once: Once | None, *, revision: int | None = None
    ) -> PullRequest:
        async def turn(unit: Unit) -> PullRequest:
            request = await unit.get(PullRequest, pull_request_id, revision=revision)
            gone = unit.apply(abandon(request, unit.now))
            await close(unit, request.repository, request.id)
            return gone

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def record_check(
        self, actor: Actor, pull_request_id: str, sha: str, check: Check, once: Once | None
    ) -> None:
        """Take a check's verdict on `sha`; a verdict on another head is too late and changes nothing."""

        async def turn(unit: Unit) -> None:
            request = await unit.get(PullRequest, pull_request_id)
            change = record_check(request, sha, check, unit.now)
            if change is not None:
                unit.apply(change)

        await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)
