"""Pull requests: opened, edited, merged into protected branches, abandoned and taken up again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.ids import child_id
from shared.domain.source.eligibility import is_open, passes_policies
from shared.domain.source.errors import NothingToMerge, StaleSource
from shared.domain.source.lifecycle import PULL_REQUEST_TRAILER, REQUEST_TRAILER, require_writable
from shared.domain.source.model import (
    Check,
    Mergeability,
    PolicyEvaluation,
    Provider,
    PullRequest,
    PullRequestIndex,
    PullRequestStatus,
    Repository,
)
from shared.domain.source.policies import BranchRules, MergeStrategy, Requirements, requirements_for, rules_id
from shared.domain.source.pull_requests import (
    PULL_REQUEST,
    abandon,
    auto_complete,
    bypass,
    cancel_auto_complete,
    check_branch_pair,
    edit,
    govern,
    open_pull_request,
    ready,
    reopen,
    require_mergeable,
    waive,
)
from shared.domain.source.reviews import record_check
from shared.domain.source.twins import Twin, Words, begun
from shared.ports.clock import Clock
from shared.ports.source_host import FileDiff, SourceHost
from shared.ports.store import Query
from shared.services.branches import Branches, close, get_writable, index_id, place_of
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
    labels: tuple[str, ...] = ()
    is_draft: bool = False
    twin: Twin | None = None
    """Where it was opened at a vendor."""


@dataclass(frozen=True, slots=True)
class PullRequestEdit:
    """What to change; None leaves a part as it is."""

    title: str | None = None
    description: str | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class MergeOrder:
    """How to merge. A `bypass` is why the policies are passed over, by somebody whose role may."""

    strategy: MergeStrategy = MergeStrategy.MERGE
    bypass: str | None = None


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
        root = Repository.__record__.root_of(repository.id)
        await self.units.replay(actor, root, once)
        require_writable(repository)
        source = await self.news(repository, draft.source_branch, draft.target_branch)

        async def turn(unit: Unit) -> PullRequest:
            return await enter(unit, repository, draft, source, unit.new_id())

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

    async def edit(
        self,
        actor: Actor,
        pull_request_id: str,
        changed: PullRequestEdit,
        once: Once | None,
        *,
        revision: int | None,
    ) -> PullRequest:
        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id, revision=revision)
            return unit.apply(
                edit(
                    request,
                    title=changed.title,
                    description=changed.description,
                    labels=changed.labels,
                    at=unit.now,
                )
            )

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def ready(
        self, actor: Actor, pull_request_id: str, once: Once | None, *, revision: int | None
    ) -> PullRequest:
        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id, revision=revision)
            change = ready(request, unit.now)
            return request if change is None else unit.apply(change)

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def waive(
        self, actor: Actor, pull_request_id: str, reason: str, once: Once | None, *, revision: int | None
    ) -> PullRequest:
        """Let it pass its policies at the head it has now; the reason stays on record."""

        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id, revision=revision)
            return unit.apply(waive(request, actor, reason, unit.now))

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def merge(
        self,
        actor: Actor,
        pull_request_id: str,
        once: Once | None,
        *,
        order: MergeOrder = MergeOrder(),
        revision: int | None = None,
    ) -> PullRequest:
        """A real merge commit, when nothing stands against it on what the branches are now."""
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
        if asked is None or request.bypass is None or request.bypass.requested_as != asked:
            require_revision(request, revision)
        PULL_REQUEST.next(request.status, "merge")
        require_writable(repository)
        place = place_of(repository)
        if await self.host.head(place, request.source_branch) != request.source_sha:
            # Who pushed that is not known here, but it was not this caller, to whom it is news.
            finder = system_actor(actor.tenant, "source")
            await self.branches.record_move(finder, repository, request.source_branch, "")
            raise StaleSource(
                f"{request.source_branch} has new commits; wait for its checks and merge again.",
                sourceBranch=request.source_branch,
            )
        request = await self._as_of_now(actor, repository, request)
        is_bypassed = order.bypass is not None and not passes_policies(request)
        if is_bypassed and order.bypass is not None:
            request = await self._bypass(actor, request, order.bypass, asked)
            if asked is not None and request.merged_as == asked:
                # A twin of this request was faster.
                return await self.units.run(actor, root, answer, once)
        require_mergeable(request, order.strategy, is_bypassed=is_bypassed)
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

    async def order_merge(
        self, actor: Actor, pull_request_id: str, strategy: MergeStrategy, once: Once | None
    ) -> PullRequest:
        """Merge it in the caller's name as soon as nothing stands against it, now or later."""

        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id)
            return unit.apply(auto_complete(request, actor, strategy, unit.now))

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def cancel_order(self, actor: Actor, pull_request_id: str, once: Once | None) -> PullRequest:
        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id)
            change = cancel_auto_complete(request, unit.now)
            return request if change is None else unit.apply(change)

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def abandon(
        self,
        actor: Actor,
        pull_request_id: str,
        once: Once | None,
        *,
        revision: int | None = None,
        twin: Twin | None = None,
    ) -> PullRequest:
        """`twin` where it was closed at its vendor, which knows of that."""

        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id, revision=revision)
            gone = unit.apply(abandon(replace(request, twin=twin or request.twin), unit.now))
            await close(unit, request.repository, request.id)
            return gone

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def reopen(
        self,
        actor: Actor,
        pull_request_id: str,
        once: Once | None,
        *,
        revision: int | None = None,
        twin: Twin | None = None,
    ) -> PullRequest:
        """Take an abandoned one up again, at what its source branch is now. Both branches must be there.

        `twin` where it was reopened at its vendor, which knows of that."""
        request = await self.units.get(actor, PullRequest, pull_request_id)
        repository = await self.units.get(actor, Repository, request.repository)
        root = Repository.__record__.root_of(repository.id)
        await self.units.replay(actor, root, once)
        require_revision(request, revision)
        PULL_REQUEST.next(request.status, "reopen")
        require_writable(repository)
        source = await self.news(repository, request.source_branch, request.target_branch)

        async def turn(unit: Unit) -> PullRequest:
            current = await unit.get(PullRequest, pull_request_id, revision=revision)
            current = replace(current, twin=twin or current.twin)
            index = await unit.get(PullRequestIndex, index_id(repository.id))
            requirements = requirements_for(
                repository, await unit.find(BranchRules, rules_id(repository.id)), current.target_branch
            )
            change, index = reopen(current, index, sha=source, requirements=requirements, at=unit.now)
            unit.put(index)
            return unit.apply(change)

        return await self.units.run(actor, root, turn, once)

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

    async def news(self, repository: Repository, source_branch: str, target_branch: str) -> str:
        """The source's head, which must have something that the target has not. NothingToMerge otherwise."""
        place = place_of(repository)
        source = await self.host.head(place, source_branch)
        target = await self.host.head(place, target_branch)
        if await self.host.is_ancestor(place, source, target):
            raise NothingToMerge(
                f"{target_branch} has all that {source_branch} has; commit something first.",
                sourceBranch=source_branch,
                targetBranch=target_branch,
            )
        return source

    async def _as_of_now(self, actor: Actor, repository: Repository, request: PullRequest) -> PullRequest:
        """With the policies and the target as they are at this moment; nothing of it is recorded."""
        rules = await self.units.find(actor, BranchRules, rules_id(repository.id))
        requirements = requirements_for(repository, rules, request.target_branch)
        change = govern(request, requirements, self.clock.now())
        request = request if change is None else change.entity
        place = place_of(repository)
        target = await self.host.head(place, request.target_branch)
        if target == request.target_sha:
            return request
        behind = None
        if requirements.require_up_to_date:
            behind = not await self.host.is_ancestor(place, target, request.source_sha)
        # What is known of conflicts is about another target; the merge itself will tell.
        return replace(request, mergeability=Mergeability.UNKNOWN, conflicts=(), is_behind=behind)

    async def _bypass(
        self, actor: Actor, request: PullRequest, reason: str, asked: str | None
    ) -> PullRequest:
        """On record, with the policies it was asked under, before anything is merged."""
        requirements: Requirements = request.requirements

        async def turn(unit: Unit) -> PullRequest:
            current = await unit.get(PullRequest, request.id)
            if not is_open(current):
                return current
            governed = govern(current, requirements, unit.now)
            current = current if governed is None else governed.entity
            known = current.bypass
            if known is not None and asked is not None and known.requested_as == asked:
                return current
            return unit.apply(bypass(current, actor, reason, unit.now, asked))

        done = await self.units.run(actor, PullRequest.__record__.root_of(request.id), turn)
        return replace(
            done,
            mergeability=request.mergeability,
            conflicts=request.conflicts,
            is_behind=request.is_behind,
        )


async def enter(
    unit: Unit, repository: Repository, draft: PullRequestDraft, source: str, seed: str
) -> PullRequest:
    """The next pull request of the repository, opened by the unit's actor; `seed` makes its id."""
    rules, key = rules_id(repository.id), index_id(repository.id)
    await unit.load(BranchRules.__record__.document(rules), PullRequestIndex.__record__.document(key))
    index = await unit.find(PullRequestIndex, key)
    index = index or PullRequestIndex(id=key, tenant=repository.tenant, repository=repository.id)
    is_elsewhere = repository.provider is not Provider.EMBEDDED
    words = Words(draft.title, draft.description, draft.is_draft, is_open=True)
    wanted = PullRequest(
        id=child_id(repository.id, "pull-request", seed),
        tenant=repository.tenant,
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
        opened_by=unit.actor.subject,
        opened_for=unit.actor.on_behalf_of,
        labels=draft.labels,
        is_draft=draft.is_draft,
        requirements=requirements_for(repository, await unit.find(BranchRules, rules), draft.target_branch),
        twin=draft.twin or (begun(words) if is_elsewhere else None),
        created_at=unit.now,
        updated_at=unit.now,
    )
    change, index = open_pull_request(wanted, index)
    unit.put(index)
    return unit.apply(change)
