"""One pull request and its twin at a vendor, brought to say the same.

Must not believe what it was told: it reads both sides, and sees by what they last agreed who changed what.
Every step may be done again after a process died of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Invalid
from shared.domain.source.eligibility import is_open
from shared.domain.source.errors import NothingToMerge
from shared.domain.source.host_records import HostRequestRow, host_request_id
from shared.domain.source.host_requests import (
    absorb,
    agree,
    announce,
    closing,
    fitting,
    link,
    merge_at_host,
)
from shared.domain.source.lifecycle import require_writable
from shared.domain.source.mirroring import SEEN_AFTER, is_owed, person, vendor_actor, words_of
from shared.domain.source.model import (
    OpenPullRequest,
    Provider,
    PullRequest,
    PullRequestIndex,
    PullRequestStatus,
    Repository,
)
from shared.domain.source.twins import Difference, Twin, Words, begun, compare
from shared.ports.request_host import HostRequest, HostRequestStatus
from shared.ports.source_host import UnknownBranch
from shared.ports.vendor import Vendor
from shared.services.branches import Branches, close, index_id, place_of
from shared.services.pull_requests import PullRequestDraft, PullRequests, enter
from shared.services.unit import Unit, Units

MAX_LABELS = 20

type Decision = Callable[[PullRequest, datetime], Change[PullRequest] | None]


@dataclass(frozen=True, slots=True)
class HostTwins:
    units: Units
    vendors: Mapping[Provider, Vendor]
    branches: Branches
    pull_requests: PullRequests

    async def show(self, actor: Actor, repository: Repository, request: PullRequest) -> bool:
        """Ours, there: opened where it is not, else made to say what it says here. Whether that was news."""
        number = request.host_number
        if number is None:
            theirs = await self._opened(actor, repository, request)
            if theirs is None:
                return False
            request = await self._linked(actor, request, theirs)
            await self._settle(actor, repository, request, theirs)
            return True
        row = await self._row(actor, repository, number)
        if not is_owed(request) or row is None or row.pull_request != request.id:
            return False
        known = await self.vendors[repository.provider].requests.find_request(place_of(repository), number)
        return known is not None and await self._settle(actor, repository, request, known)

    async def take(self, actor: Actor, repository: Repository, theirs: HostRequest) -> bool:
        """Theirs, here: opened where it is not, else what has changed there is taken over. Whether there was
        anything."""
        row = await self._row(actor, repository, theirs.number)
        if row is not None:
            request = await self.units.get(actor, PullRequest, row.pull_request)
            return await self._settle(actor, repository, request, theirs)
        if theirs.status is not HostRequestStatus.OPEN:
            return False
        ours = await self._between(actor, repository, theirs.source_branch, theirs.target_branch)
        if ours is None:
            return await self._enter(repository, theirs)
        request = await self.units.get(actor, PullRequest, ours.id)
        if request.host_number is not None:
            return False  # there are two of this pair there, and one of them is it
        await self._settle(actor, repository, await self._linked(actor, request, theirs), theirs)
        return True

    async def _opened(self, actor: Actor, repository: Repository, request: PullRequest) -> HostRequest | None:
        """Its twin, made for an open one. A closed one may have one as well: a process may have died between
        making it and recording that."""
        requests, place = self.vendors[repository.provider].requests, place_of(repository)
        pair = request.source_branch, request.target_branch
        if not is_open(request):
            if request.twin is None or await self._between(actor, repository, *pair) is not None:
                return None
            for each in await requests.requests(place, since=request.created_at):
                is_left = (each.source_branch, each.target_branch) == pair
                if is_left and await self._row(actor, repository, each.number) is None:
                    return each
            return None
        request = await self._announced(actor, request)
        try:
            return await requests.open_request(
                place,
                source=request.source_branch,
                target=request.target_branch,
                title=request.title,
                description=request.description,
                is_draft=request.is_draft,
            )
        except UnknownBranch:
            return None  # its branch is gone there, and soon here

    async def _enter(self, repository: Repository, theirs: HostRequest) -> bool:
        """The next number here, opened by whom the vendor names; its checks start as for any."""
        require_writable(repository)
        try:
            source = await self.pull_requests.news(repository, theirs.source_branch, theirs.target_branch)
        except (NothingToMerge, UnknownBranch):
            return False
        said = said_by(theirs)
        words = fitting(said)
        draft = PullRequestDraft(
            repository.id,
            theirs.source_branch,
            theirs.target_branch,
            words.title,
            words.description,
            labels=tuple(dict.fromkeys(theirs.labels))[:MAX_LABELS],
            is_draft=words.is_draft,
            twin=Twin(words.sealed(), said.sealed(), theirs.number, theirs.url),
        )

        async def turn(unit: Unit) -> bool:
            key = host_request_id(repository.id, theirs.number)
            if await unit.find(HostRequestRow, key) is not None:
                return False
            request = await enter(unit, repository, draft, source, key)
            unit.put(_row_of(request, theirs))
            return True

        author = person(repository.provider, repository.tenant, theirs.author)
        return await self.units.run(author, Repository.__record__.root_of(repository.id), turn)

    async def _settle(
        self, actor: Actor, repository: Repository, request: PullRequest, theirs: HostRequest
    ) -> bool:
        """Take over what changed there, tell what changed here, put on record that both know."""
        here, there = words_of(request), said_by(theirs)
        found = compare(request.twin or begun(here), here, there)
        if request.status is PullRequestStatus.MERGED and there.is_open:
            merged_at = request.merged_at or request.updated_at
            if self.units.clock.now() < merged_at + SEEN_AFTER:
                return False  # the vendor is about to see it by itself
            found = Difference(frozenset(), frozenset({"is_open"}), frozenset())
        if found.inward:
            request = await self._absorbed(repository, request, theirs, found)
            here = words_of(request)
        if found.outward:
            request, there = await self._told(actor, repository, request, theirs, found)

        if agree(request, here, there) is not None:
            await self._change(actor, request, lambda current, at: agree(current, here, there))
        return bool(found)

    async def _absorbed(
        self, repository: Repository, request: PullRequest, theirs: HostRequest, found: Difference
    ) -> PullRequest:
        actor, there = vendor_actor(repository.provider, repository.tenant), said_by(theirs)
        if "is_open" in found.inward and there.is_open:
            twin = closing(request, there)
            request = await self.pull_requests.reopen(actor, request.id, None, twin=twin)
        vendor = str(repository.provider)
        request = await self._change(actor, request, lambda current, at: absorb(current, there, vendor, at))
        if "is_open" in found.inward and not there.is_open and is_open(request):
            if theirs.status is HostRequestStatus.MERGED:
                return await self._merged(actor, repository, request, theirs)
            return await self.pull_requests.abandon(actor, request.id, None, twin=closing(request, there))
        return request

    async def _merged(
        self, actor: Actor, repository: Repository, request: PullRequest, theirs: HostRequest
    ) -> PullRequest:
        """A merge commit is recorded as the move of its branch; of a squash or a rebase only the vendor knows
        that it is this request's, and who did it."""
        await self.branches.record_move(actor, repository, request.target_branch, "")

        who = theirs.merged_by
        by = actor if who is None else person(repository.provider, repository.tenant, who)

        async def turn(unit: Unit) -> PullRequest:
            current = await unit.get(PullRequest, request.id)
            if not is_open(current):
                return current
            sha = theirs.merge_sha or theirs.source_sha
            merged = unit.apply(merge_at_host(current, said_by(theirs), sha, by.subject, unit.now))
            await close(unit, repository.id, request.id)
            return merged

        return await self.units.run(by, Repository.__record__.root_of(repository.id), turn)

    async def _told(
        self,
        actor: Actor,
        repository: Repository,
        request: PullRequest,
        theirs: HostRequest,
        found: Difference,
    ) -> tuple[PullRequest, Words]:
        """What the vendor says once it was told."""
        requests, place = self.vendors[repository.provider].requests, place_of(repository)
        if not is_open(request):
            if "is_open" in found.outward:
                await requests.close_request(place, theirs.number)
            return request, replace(said_by(theirs), is_open=False)
        if "is_open" in found.outward:
            try:
                theirs = await requests.reopen_request(place, theirs.number)
            except Invalid:
                # A vendor does not reopen what was pushed anew since: then another one takes its place.
                opened = await self._opened(actor, repository, request)
                if opened is None:
                    return request, said_by(theirs)
                request, theirs = await self._linked(actor, request, opened), opened
        if found.outward - {"is_open"}:
            theirs = await requests.edit_request(
                place,
                theirs.number,
                title=request.title,
                description=request.description,
                is_draft=request.is_draft,
            )
        return request, said_by(theirs)

    async def _announced(self, actor: Actor, request: PullRequest) -> PullRequest:
        return await self._change(actor, request, lambda current, at: announce(current))

    async def _linked(self, actor: Actor, request: PullRequest, theirs: HostRequest) -> PullRequest:
        async def turn(unit: Unit) -> PullRequest:
            current = await unit.get(PullRequest, request.id)
            row = await unit.find(HostRequestRow, host_request_id(request.repository, theirs.number))
            if row is None or row.pull_request != request.id:
                unit.put(_row_of(current, theirs))
            if current.host_number == theirs.number:
                return current
            return unit.apply(link(current, theirs.number, theirs.url, said_by(theirs)))

        return await self.units.run(actor, PullRequest.__record__.root_of(request.id), turn)

    async def _change(self, actor: Actor, request: PullRequest, decide: Decision) -> PullRequest:
        """The decision on the request as it is by then, in a batch of its own where there is one."""

        async def turn(unit: Unit) -> PullRequest:
            current = await unit.get(PullRequest, request.id)
            change = decide(current, unit.now)
            return current if change is None else unit.apply(change)

        return await self.units.run(actor, PullRequest.__record__.root_of(request.id), turn)

    async def _row(self, actor: Actor, repository: Repository, number: int) -> HostRequestRow | None:
        return await self.units.find(actor, HostRequestRow, host_request_id(repository.id, number))

    async def _between(
        self, actor: Actor, repository: Repository, source: str, target: str
    ) -> OpenPullRequest | None:
        """Ours that is open between these branches."""
        index = await self.units.find(actor, PullRequestIndex, index_id(repository.id))
        rows = index.open if index is not None else ()
        pair = (source, target)
        return next((row for row in rows if (row.source_branch, row.target_branch) == pair), None)


def said_by(theirs: HostRequest) -> Words:
    is_open_there = theirs.status is HostRequestStatus.OPEN
    return Words(theirs.title, theirs.description, theirs.is_draft, is_open_there)


def _row_of(request: PullRequest, theirs: HostRequest) -> HostRequestRow:
    return HostRequestRow(
        id=host_request_id(request.repository, theirs.number),
        tenant=request.tenant,
        repository=request.repository,
        number=theirs.number,
        pull_request=request.id,
    )
