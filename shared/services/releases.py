"""Releases: planned out of a build, decided on through their open promotion, read with how far they are."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from shared.domain.approvals.lifecycle import check_named_approver
from shared.domain.approvals.model import Approval, Decision
from shared.domain.components.lifecycle import extend, first_line, mention
from shared.domain.components.model import Component, ReleaseLine, component_id, release_line_id
from shared.domain.environments.policy import EnvironmentPolicy, policy_id, under
from shared.domain.images.lifecycle import require_no_objection
from shared.domain.images.model import BuildImages, build_images_id
from shared.domain.kernel.actor import Actor
from shared.domain.pipelines.model import BuildResult
from shared.domain.promotions.errors import NoOpenPromotion
from shared.domain.promotions.lifecycle import request
from shared.domain.promotions.model import VOTING, Promotion, PromotionStatus
from shared.domain.releases.errors import AlreadyDeployed, AlreadyPlanned, BuildNotReleasable
from shared.domain.releases.lifecycle import ReleaseDraft, check_plan, check_strategy, cut, first_track, plan
from shared.domain.releases.model import Release, ReleaseTrack, release_id, release_track_id
from shared.domain.retention.model import build_since
from shared.domain.retention.periods import BUILDS, USUAL, Periods
from shared.domain.source.model import Repository
from shared.ports.source_host import SourceHost, UnknownCommit
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.environments import Environments
from shared.services.once import Once
from shared.services.promotions import Promotions, Vote, one_of
from shared.services.unit import Page, Unit, Units

_COMMITS_READ = 500
"""Of a longer history only the newest commits say how far the version moves."""
_CANCELLABLE = VOTING | {PromotionStatus.APPROVED}


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned release and the promotion that planning asked for, as it was asked for."""

    release: Release
    promotion: Promotion
    required_approvals: int


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """A release and the promotion that matters most: the latest open one, or else the last one."""

    release: Release
    promotion: Promotion | None


@dataclass(frozen=True, slots=True)
class Releases:
    units: Units
    environments: Environments
    promotions: Promotions
    source_host: SourceHost
    periods: Periods = USUAL

    async def plan(self, actor: Actor, draft: ReleaseDraft, once: Once | None) -> Plan:
        """Find or make the release of a build and open its promotion into the target environment.

        Raises NotFound (build), UnknownEnvironment, BuildMismatch, BuildNotReleasable, StrategyUnavailable,
        AlreadyPlanned, AlreadyDeployed.
        """
        rung = self.environments.resolve(draft.target_environment, field="targetEnvironment")
        build = await self.units.get(actor, BuildResult, draft.build_result)
        check_plan(draft, build)
        declared = self.environments.declared(actor, rung.name)
        policy = await self.units.find(actor, EnvironmentPolicy, policy_id(declared.id))
        environment = under(declared, policy)
        if policy is not None:
            check_strategy(draft.strategy, policy.allowed_strategies, rung.name)
        component = component_id(actor.tenant, draft.project, draft.module)
        made = release_id(component, build.id)

        async def turn(unit: Unit) -> Plan:
            await unit.load(
                Component.__record__.document(component),
                ReleaseLine.__record__.document(release_line_id(component)),
                Release.__record__.document(made),
                ReleaseTrack.__record__.document(release_track_id(made)),
            )
            require_no_objection(await self.units.find(actor, BuildImages, build_images_id(build.id)))
            release = await self._release(unit, build)
            track = await unit.find(ReleaseTrack, release_track_id(release.id)) or first_track(release)
            await self._check_free(actor, release, track, rung.name)
            change = plan(release, track, environment, draft.strategy, actor, unit.now, draft.rollout)
            track = unit.apply(change)
            promotion = request(release, track.hops[-1], environment).entity
            return Plan(release, promotion, environment.required_approvals)

        planned = await self.units.run(actor, Component.__record__.root_of(component), turn, once)
        await self.promotions.open_planned(actor, planned.release.id, planned.promotion.id)
        return planned

    async def get(self, actor: Actor, release_id: str) -> ReleaseState:
        release = await self.units.get(actor, Release, release_id)
        track = await self.units.find(actor, ReleaseTrack, release_track_id(release_id))
        hops = track.latest() if track else ()
        promotions = [await self.promotions.seen(actor, release, hop) for hop in hops]
        chosen = [promotion for promotion in promotions if promotion.is_open] or promotions
        return ReleaseState(release, chosen[-1] if chosen else None)

    async def decide(
        self,
        actor: Actor,
        release_id: str,
        environment: str | None,
        decision: Decision,
        comment: str,
        *,
        approver: str | None,
        once: Once | None,
    ) -> Vote:
        """Vote on the open promotion of a release. `approver` is whom the body names, if anyone."""
        check_named_approver(actor, approver)
        promotion = await self._under_way(actor, release_id, environment, VOTING, once)
        return await self.promotions.vote(actor, promotion, decision, comment, once)

    async def cancel(
        self, actor: Actor, release_id: str, environment: str | None, reason: str, once: Once | None
    ) -> Promotion:
        """Cancel the open promotion of a release, also while it queues for its environment."""
        promotion = await self._under_way(actor, release_id, environment, _CANCELLABLE, once)
        return await self.promotions.cancel(actor, promotion, reason, once)

    async def approvals(self, actor: Actor, release_id: str) -> tuple[Approval, ...]:
        """Every vote on any promotion of a release, oldest promotion first."""
        await self.units.get(actor, Release, release_id)
        track = await self.units.find(actor, ReleaseTrack, release_track_id(release_id))
        votes: list[Approval] = []
        for hop in track.hops if track else ():
            promotion = await self.units.find(actor, Promotion, hop.promotion)
            if promotion is not None:
                votes.extend(await self.promotions.approvals(actor, promotion))
        return tuple(votes)

    async def _release(self, unit: Unit, build: BuildResult) -> Release:
        """The release of a build; a build that was planned before keeps its number and version."""
        key = component_id(build.tenant, build.project, build.module)
        component = await unit.find(Component, key)
        if component is None:
            at = unit.now
            born = mention(build.tenant, build.project, build.module, repository=build.repository, at=at)
            component = unit.apply(born)
        known = await unit.find(Release, release_id(component.id, build.id))
        if known is not None:
            return known
        if self.periods.is_over(BUILDS, build_since(build), unit.now):
            raise BuildNotReleasable(
                "The build is older than builds are kept; run its pipeline again, and release that."
            )
        line = await unit.find(ReleaseLine, release_line_id(component.id)) or first_line(component)
        messages = await self._messages(unit.actor, build, since=line.last_commit)
        line = unit.put(extend(line, build.commit_sha, messages))
        return unit.apply(cut(component, line, build, unit.actor, unit.now))

    async def _messages(self, actor: Actor, build: BuildResult, since: str | None) -> list[str]:
        if since is None:
            return []
        place = place_of(await self.units.get(actor, Repository, build.repository))
        try:
            log = await self.source_host.log(place, build.commit_sha, until=since, limit=_COMMITS_READ)
        except UnknownCommit:
            # History was rewritten: nothing can be said about what changed, and a patch claims the least.
            return []
        return [commit.message for commit in log]

    async def _check_free(
        self, actor: Actor, release: Release, track: ReleaseTrack, environment: str
    ) -> None:
        for hop in track.into(environment)[-1:]:
            promotion = await self.promotions.seen(actor, release, hop)
            if promotion.is_open:
                raise AlreadyPlanned(
                    f"Release {release.version} is on its way into {environment} already"
                    f" ({promotion.status.replace('_', ' ')}); decide on that promotion or cancel it.",
                    releaseId=f"rel-{release.id}",
                    promotionId=f"prom-{promotion.id}",
                )
            if promotion.status is PromotionStatus.DEPLOYED and promotion.superseded_by is None:
                raise AlreadyDeployed(
                    f"Release {release.version} is what runs in {environment}; there is nothing to do.",
                    releaseId=f"rel-{release.id}",
                    promotionId=f"prom-{promotion.id}",
                )

    async def _under_way(
        self,
        actor: Actor,
        release_id: str,
        environment: str | None,
        statuses: AbstractSet[PromotionStatus],
        once: Once | None,
    ) -> str:
        """The one promotion that a verb on a release means. Where an environment is named, its newest one:
        whether it can still be acted on is for the verb to say."""
        release = await self.units.get(actor, Release, release_id)
        track = await self.units.find(actor, ReleaseTrack, release_track_id(release_id))
        promotions = [
            await self.units.find(actor, Promotion, hop.promotion)
            or await self.promotions.open(actor, release, hop)
            for hop in (track.latest() if track else ())
        ]
        # A retry must find its answer where it was given, whatever has been opened or has ended since.
        for promotion in promotions:
            await self.units.replay(actor, Promotion.__record__.root_of(promotion.id), once)
        if environment is not None:
            name = self.environments.resolve(environment).name
            chosen = [promotion for promotion in promotions if promotion.environment_name == name]
        else:
            chosen = [promotion for promotion in promotions if promotion.status in statuses]
            # A hop that nobody has to approve is not what a vote on the release is about.
            chosen = [promotion for promotion in chosen if promotion.required_approvals] or chosen
        if not chosen:
            raise NoOpenPromotion(
                "Nothing of this release is under way there that could be decided on; plan it or promote it.",
                statuses={row.environment_name: str(row.status) for row in promotions},
            )
        return one_of(chosen).id

    async def list(self, actor: Actor, query: Query) -> Page[Release]:
        return await self.units.list(actor, Release, query)
