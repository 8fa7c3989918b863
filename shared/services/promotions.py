"""Promotions: opened hop by hop, decided by gates and votes, let into their environment one at a time."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.approvals.lifecycle import vote
from shared.domain.approvals.model import Approval, Decision
from shared.domain.components.model import component_id
from shared.domain.environments.model import Entry, Environment, Rung, environment_id
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Problem
from shared.domain.kernel.events import id_in
from shared.domain.pipelines.model import BuildResult
from shared.domain.promotions import lifecycle
from shared.domain.promotions.errors import (
    EnvironmentRequired,
    EnvironmentSkipped,
    LastEnvironment,
    ReleaseNotReady,
)
from shared.domain.promotions.gates import Evaluation
from shared.domain.promotions.model import Outcome, Promotion, PromotionStatus
from shared.domain.releases.errors import NothingToRetry, StrategyUnavailable
from shared.domain.releases.lifecycle import first_track, next_hop, promote, retry
from shared.domain.releases.model import Hop, Release, ReleaseTrack, release_track_id
from shared.domain.releases.model import release_id as release_of_build
from shared.ports.store import Query
from shared.services.environments import Environments, Lanes
from shared.services.once import Once
from shared.services.unit import Page, Turn, Unit, Units

_log = logging.getLogger(__name__)
_ENTRIES_AT_ONCE = 100
_RETRIED = frozenset({PromotionStatus.FAILED, PromotionStatus.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote that was taken, and the promotion as it stands with it."""

    approval: Approval
    promotion: Promotion


@dataclass(frozen=True, slots=True)
class Asked:
    """What a turn on a release came to: its promotion, and the hop to open it by, where it is a new one."""

    release: Release
    hop: Hop | None
    promotion: Promotion


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What the gates say of a promotion that is open, or that might be asked for."""

    promotion: Promotion
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Promotions:
    units: Units
    environments: Environments
    lanes: Lanes

    async def open_next(
        self, actor: Actor, release_id: str, to_environment: str | None, once: Once | None
    ) -> Promotion:
        """The promotion of a release into an environment; by default the one after the furthest it reached.

        An open promotion there, or the one that brought what runs there now, is the answer. A new one is
        answered as it was asked for; what the gates say is read with `get`.
        Raises EnvironmentSkipped, LastEnvironment, ReleaseNotReady.
        """

        async def ask(unit: Unit) -> Asked:
            release, track = await tracked(unit, release_id)
            rung = await self._next(actor, release, to_environment)
            environment = await self.environments.governed(actor, rung.name)
            for hop in reversed(track.into(rung.name)[-1:]):
                known = await self.open(actor, release, hop)
                if known.is_open or (
                    known.status is PromotionStatus.DEPLOYED and known.superseded_by is None
                ):
                    return Asked(release, None, known)
            hop = next_hop(track, environment, actor, unit.now)
            await self.check(actor, release, hop, environment)
            track = unit.apply(promote(release, track, environment, actor, unit.now))
            hop = track.hops[-1]
            return Asked(release, hop, lifecycle.request(release, hop, environment).entity)

        return await self._asked(actor, release_id, ask, once)

    async def _asked(
        self, actor: Actor, release_id: str, ask: Callable[[Unit], Awaitable[Asked]], once: Once | None
    ) -> Promotion:
        """Write the hop down at its release, then open its promotion where that lives."""
        opening: list[Asked] = []

        async def turn(unit: Unit) -> Promotion:
            opening[:] = [await ask(unit)]
            return opening[0].promotion

        promotion = await self.units.run(actor, Release.__record__.root_of(release_id), turn, once)
        for asked in opening:
            if asked.hop is not None:
                await self.open(actor, asked.release, asked.hop)
        return promotion

    async def open(self, actor: Actor, release: Release, hop: Hop) -> Promotion:
        """The promotion of a hop, made where it is missing, and re-evaluated. Safe to repeat."""

        async def turn(unit: Unit) -> Promotion:
            where = environment_id(actor.tenant, hop.environment)
            load = {"release": release.id, "component": release.component}
            await self.lanes.load(unit, where, hop.promotion, **load)
            environment = await self.environments.ensure(unit, hop.environment)
            promotion = await unit.find(Promotion, hop.promotion)
            if promotion is None:
                promotion = unit.apply(lifecycle.request(release, hop, environment))
                await self.lanes.enter(unit, environment, promotion)
            return await self.lanes.reconsider(unit, environment, promotion, release)

        return await self.units.run(actor, Promotion.__record__.root_of(hop.promotion), turn)

    async def retry(
        self, actor: Actor, release_id: str, environment: str | None, reason: str, once: Once | None
    ) -> Promotion:
        """A release whose last promotion into an environment failed or was rolled back goes there once more,
        with votes cast anew. Raises NothingToRetry, EnvironmentRequired."""

        async def ask(unit: Unit) -> Asked:
            release, track = await tracked(unit, release_id)
            ended = [await self.seen(actor, release, hop) for hop in track.latest()]
            name = self.environments.resolve(environment).name if environment else None
            failed = [
                promotion
                for promotion in ended
                if promotion.status in _RETRIED and name in (None, promotion.environment_name)
            ]
            if not failed:
                raise NothingToRetry(
                    "Nothing of this release has failed there; look at its promotions.",
                    statuses={row.environment_name: str(row.status) for row in ended},
                )
            where = await self.environments.governed(actor, one_of(failed).environment_name)
            track = unit.apply(retry(release, track, where, reason, actor, unit.now))
            hop = track.hops[-1]
            return Asked(release, hop, lifecycle.request(release, hop, where).entity)

        return await self._asked(actor, release_id, ask, once)

    async def check(self, actor: Actor, release: Release, hop: Hop, environment: Environment) -> None:
        """Whether the hop may be asked for at all: what waiting could never mend is refused, and so is
        skipping an environment. Raises EnvironmentSkipped, ReleaseNotReady, StrategyUnavailable."""
        wanted = lifecycle.request(release, hop, environment).entity
        evaluation = await self.lanes.preview(actor, wanted, release)
        for verdict in evaluation.verdicts:
            if verdict.outcome is Outcome.PASSED:
                continue
            if verdict.gate == "release_ready":
                raise ReleaseNotReady(verdict.reason)
            if verdict.gate == "strategy":
                raise StrategyUnavailable(verdict.reason)
            if verdict.gate == "environment_order":
                before = environment.previous
                raise EnvironmentSkipped(
                    f"The release has to be deployed in {before} before {environment.name};"
                    f" promote it into {before} first.",
                    requiredEnvironment=before,
                )

    async def eligibility(self, actor: Actor, release_id: str, environment: str | None) -> Eligibility:
        """Whether a release may enter an environment now (default: the one after the furthest it reached),
        and every reason why not: by the function that decides it. Raises LastEnvironment."""
        release = await self.units.get(actor, Release, release_id)
        track = await self.units.find(actor, ReleaseTrack, release_track_id(release_id)) or first_track(
            release
        )
        where = await self.environments.governed(actor, (await self._next(actor, release, environment)).name)
        known = [await self.seen(actor, release, hop) for hop in track.into(where.name)[-1:]]
        if not known or not known[-1].is_open:
            hop = next_hop(track, where, actor, self.units.clock.now())
            known = [lifecycle.request(release, hop, where).entity]
        return Eligibility(known[-1], await self.lanes.preview(actor, known[-1], release))

    async def override_freeze(
        self, actor: Actor, promotion_id: str, reason: str, once: Once | None
    ) -> Promotion:
        """In an emergency a person lets a promotion in although starts are frozen. Raises NotFrozen,
        OverrideNeedsPerson."""

        async def turn(unit: Unit) -> Promotion:
            promotion, environment = await self._load(unit, promotion_id)
            let_in = unit.apply(lifecycle.override_freeze(promotion, actor, reason, unit.now))
            return await self.lanes.reconsider(unit, environment, let_in)

        return await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn, once)

    async def open_planned(self, actor: Actor, release_id: str, promotion_id: str) -> None:
        """Open the promotion that a stored hop names."""
        release = await self.units.get(actor, Release, release_id)
        track = await self.units.get(actor, ReleaseTrack, release_track_id(release_id))
        for hop in track.hops:
            if hop.promotion == promotion_id:
                await self.open(actor, release, hop)

    async def seen(self, actor: Actor, release: Release, hop: Hop) -> Promotion:
        """The promotion of a hop without touching it: as stored, or as it was asked for."""
        stored = await self.units.find(actor, Promotion, hop.promotion)
        if stored is not None:
            return stored
        environment = await self.environments.governed(actor, hop.environment)
        return lifecycle.request(release, hop, environment).entity

    async def get(self, actor: Actor, promotion_id: str) -> Promotion:
        return await self.units.get(actor, Promotion, promotion_id)

    async def list(self, actor: Actor, query: Query) -> Page[Promotion]:
        return await self.units.list(actor, Promotion, query)

    async def reevaluate(self, actor: Actor, promotion_id: str) -> Promotion:
        """Ask the gates again: what waited may go on, and what is approved starts when the lane is free."""

        async def turn(unit: Unit) -> Promotion:
            promotion, environment = await self._load(unit, promotion_id)
            return await self.lanes.reconsider(unit, environment, promotion)

        return await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn)

    async def vote(
        self, actor: Actor, promotion_id: str, decision: Decision, comment: str, once: Once | None
    ) -> Vote:
        """Cast the actor's vote and act on it in the same batch.

        Raises SelfApproval, HumanRequired, AlreadyVoted, VotingClosed, CommentRequired.
        """

        async def turn(unit: Unit) -> Vote:
            promotion, environment = await self._load(unit, promotion_id)
            cast = await self.lanes.approvals(unit, promotion)
            approval = unit.apply(vote(promotion, environment, cast, actor, decision, comment, unit.now))
            promotion = unit.put(lifecycle.take_vote(promotion, approval.id))
            return Vote(approval, await self.lanes.reconsider(unit, environment, promotion))

        return await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn, once)

    async def cancel(self, actor: Actor, promotion_id: str, reason: str, once: Once | None) -> Promotion:
        """End it before it is deployed. NotCancellable afterwards."""

        async def turn(unit: Unit) -> Promotion:
            promotion, environment = await self._load(unit, promotion_id)
            cancelled = unit.apply(lifecycle.cancel(promotion, actor, reason, unit.now))
            await self.lanes.leave(unit, environment, promotion)
            return cancelled

        return await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn, once)

    async def approvals(self, actor: Actor, promotion: Promotion) -> tuple[Approval, ...]:
        """The votes cast on a promotion."""
        return tuple([await self.units.get(actor, Approval, vote) for vote in promotion.approvals])

    async def on_hop(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For ReleasePlanned and PromotionReady: the promotion opens, also if its caller died."""
        await self.open_planned(
            actor, id_in(payload, "releaseId", "rel"), id_in(payload, "promotionId", "prom")
        )

    async def on_due(self, actor: Actor, payload: Mapping[str, object], once: Once | None = None) -> None:
        """For PromotionDue: what it waited for is over by the calendar, and it is asked again."""
        promotion_id = id_in(payload, "promotionId", "prom")

        async def turn(unit: Unit) -> None:
            promotion, environment = await self._load(unit, promotion_id)
            promotion = await self.lanes.reconsider(unit, environment, promotion)
            if promotion.is_open and promotion.wakes_at is not None and unit.now < promotion.wakes_at:
                # It came early, or the wait grew: without another message nobody would come again.
                unit.emit(*lifecycle.wake(promotion))

        await self.units.run(actor, Promotion.__record__.root_of(promotion_id), turn, once)

    async def on_rules_changed(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For EnvironmentRulesChanged: everyone who waits at the environment is asked again."""
        where = self.environments.declared(actor, str(payload.get("environment")))
        after = ""
        while True:
            entries = await self.units.run(actor, Environment.__record__.root_of(where.id), _entries(after))
            for entry in entries:
                if entry.promotion is not None:
                    await self.reevaluate(actor, entry.promotion)
            if len(entries) < _ENTRIES_AT_ONCE:
                return
            after = entries[-1].id

    async def on_deployed(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For DeploymentPromoted: what of this release waited for its arrival is asked again."""
        release = await self.units.get(actor, Release, id_in(payload, "releaseId", "rel"))
        await self._ask_again(actor, release)

    async def on_image_judged(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For ContainerImageScanned: what the images of a build hold up, or should, is asked again."""
        build = await self.units.get(actor, BuildResult, id_in(payload, "buildResultId", "build"))
        component = component_id(actor.tenant, build.project, build.module)
        release = await self.units.find(actor, Release, release_of_build(component, build.id))
        if release is not None:
            await self._ask_again(actor, release)

    async def _ask_again(self, actor: Actor, release: Release) -> None:
        track = await self.units.get(actor, ReleaseTrack, release_track_id(release.id))
        for hop in track.latest():
            promotion = await self.open(actor, release, hop)
            _log.info("promotion %s is %s", promotion.id, promotion.status)

    async def _load(self, unit: Unit, promotion_id: str) -> tuple[Promotion, Environment]:
        promotion = await unit.get(Promotion, promotion_id)
        load = {"release": promotion.release, "component": promotion.component}
        await self.lanes.load(unit, promotion.environment, promotion_id, **load)
        return promotion, await unit.get(Environment, promotion.environment)

    async def _next(self, actor: Actor, release: Release, to_environment: str | None) -> Rung:
        if to_environment is not None:
            return self.environments.resolve(to_environment, field="toEnvironment")
        reached = await self.environments.furthest(actor, release)
        following = self.environments.ladder.after(reached)
        if following is None:
            raise LastEnvironment(f"The release has reached {reached}, which is the last environment.")
        return following


async def tracked(unit: Unit, release_id: str) -> tuple[Release, ReleaseTrack]:
    """A release and the promotions that were asked of it, in one operation."""
    track = release_track_id(release_id)
    await unit.load(Release.__record__.document(release_id), ReleaseTrack.__record__.document(track))
    release = await unit.get(Release, release_id)
    return release, await unit.find(ReleaseTrack, track) or first_track(release)


def one_of(promotions: Sequence[Promotion]) -> Promotion:
    """The one that is meant. EnvironmentRequired where several could be."""
    if len(promotions) > 1:
        names = ", ".join(promotion.environment_name for promotion in promotions)
        raise EnvironmentRequired(
            "Several promotions of this release could be meant.",
            Problem("environment", f"Name one of {names}.", "environment_required"),
        )
    return promotions[0]


def _entries(after: str) -> Turn[list[Entry]]:
    async def turn(unit: Unit) -> list[Entry]:
        return await unit.children(Entry, after=after, limit=_ENTRIES_AT_ONCE)

    return turn
