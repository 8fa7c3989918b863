"""Promotions: opened hop by hop, decided by gates and votes, let into their environment one at a time."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.approvals.lifecycle import vote
from shared.domain.approvals.model import Approval, Decision
from shared.domain.environments.model import Environment, Rung, environment_id
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.events import id_in
from shared.domain.promotions import lifecycle
from shared.domain.promotions.errors import EnvironmentSkipped, LastEnvironment, ReleaseNotReady
from shared.domain.promotions.model import Promotion, PromotionStatus
from shared.domain.releases.lifecycle import first_track, promote
from shared.domain.releases.model import Hop, Release, ReleaseStatus, ReleaseTrack, release_track_id
from shared.ports.store import Query
from shared.services.environments import Environments, Lanes
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote that was taken, and the promotion as it stands with it."""

    approval: Approval
    promotion: Promotion


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

        asked: list[tuple[Release, Hop]] = []

        async def turn(unit: Unit) -> Promotion:
            asked.clear()
            await unit.load(
                Release.__record__.document(release_id),
                ReleaseTrack.__record__.document(release_track_id(release_id)),
            )
            release = await unit.get(Release, release_id)
            track = await unit.find(ReleaseTrack, release_track_id(release_id)) or first_track(release)
            rung = await self._next(actor, release, to_environment)
            for hop in reversed(track.into(rung.name)[-1:]):
                known = await self.open(actor, release, hop)
                if known.is_open or (
                    known.status is PromotionStatus.DEPLOYED and known.superseded_by is None
                ):
                    return known
            await self._check_order(actor, release, rung)
            environment = self.environments.declared(actor, rung.name)
            track = unit.apply(promote(release, track, environment, actor, unit.now))
            asked.append((release, track.hops[-1]))
            return lifecycle.request(release, track.hops[-1], environment).entity

        root = Release.__record__.root_of(release_id)
        promotion = await self.units.run(actor, root, turn, once)
        for release, hop in asked:
            await self.open(actor, release, hop)
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
        environment = self.environments.declared(actor, hop.environment)
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

    async def on_deployed(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For DeploymentPromoted: what of this release waited for its arrival is asked again."""
        release = await self.units.get(actor, Release, id_in(payload, "releaseId", "rel"))
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

    async def _check_order(self, actor: Actor, release: Release, rung: Rung) -> None:
        if release.status is not ReleaseStatus.READY:
            raise ReleaseNotReady(f"The release is {release.status}; only a ready release is promoted.")
        if rung.previous is not None and not await self.environments.arrived(actor, release, rung.previous):
            raise EnvironmentSkipped(
                f"The release has to be deployed in {rung.previous} before {rung.name};"
                f" promote it into {rung.previous} first.",
                requiredEnvironment=rung.previous,
            )
