"""Reviews of pull requests: given, listed, and who is asked for one."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.ids import child_id
from shared.domain.source.model import PullRequest, Review, ReviewDecision
from shared.domain.source.reviews import ask_reviewers, release_reviewer, review
from shared.ports.store import Query
from shared.services.branches import get_writable
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units


@dataclass(frozen=True, slots=True)
class Reviews:
    units: Units

    async def give(
        self,
        actor: Actor,
        pull_request_id: str,
        decision: ReviewDecision,
        comment: str,
        once: Once | None,
        *,
        revision: int | None = None,
    ) -> Review:
        """One more review in the history; it stands in place of the reviewer's last verdict."""

        async def turn(unit: Unit) -> Review:
            request = await get_writable(unit, pull_request_id, revision=revision)
            review_id = child_id(pull_request_id, "pull-request-review", unit.new_id())
            change, given = review(request, actor, decision, comment, review_id, unit.now)
            unit.apply(change)
            return unit.put(given)

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def list(self, actor: Actor, pull_request_id: str, query: Query) -> Page[Review]:
        await self.units.get(actor, PullRequest, pull_request_id)
        return await self.units.list(actor, Review, query)

    async def ask(
        self, actor: Actor, pull_request_id: str, reviewers: Sequence[str], once: Once | None
    ) -> PullRequest:
        """Ask these for a review as well; who was asked before stays asked."""

        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id)
            change = ask_reviewers(request, reviewers, unit.now)
            return request if change is None else unit.apply(change)

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)

    async def release(
        self, actor: Actor, pull_request_id: str, reviewer: str, once: Once | None
    ) -> PullRequest:
        """Ask this one no longer, unless they have given their review."""

        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id)
            change = release_reviewer(request, reviewer, unit.now)
            return request if change is None else unit.apply(change)

        return await self.units.run(actor, PullRequest.__record__.root_of(pull_request_id), turn, once)
