"""How a build becomes a release, and how a release gets on its way into an environment."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from shared.domain.components.model import Component, ReleaseLine
from shared.domain.environments.model import Environment
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import digest
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event
from shared.domain.kernel.machine import Machine
from shared.domain.pipelines.model import BuildArtifact, BuildResult, BuildStatus
from shared.domain.releases.errors import BuildMismatch, BuildNotReleasable, StrategyUnavailable
from shared.domain.releases.model import (
    Hop,
    Release,
    ReleaseComponent,
    ReleaseStatus,
    ReleaseTrack,
    Role,
    RolloutWish,
    Source,
    Strategy,
    promotion_id,
    release_id,
    release_track_id,
)
from shared.domain.releases.strategies import RolloutSettings, check_settings, wished

MACHINE = Machine(
    "release",
    ReleaseStatus,
    initial=(ReleaseStatus.DRAFT, ReleaseStatus.READY),
    moves={
        "finalize": ((ReleaseStatus.DRAFT,), ReleaseStatus.READY),
        "deprecate": ((ReleaseStatus.READY,), ReleaseStatus.DEPRECATED),
        "archive": ((ReleaseStatus.DEPRECATED,), ReleaseStatus.ARCHIVED),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDraft:
    """What a planner asks for. `target_environment` is a name or a stage."""

    project: str
    module: str
    build_result: str
    target_environment: str
    strategy: Strategy
    rollout: RolloutWish | None = None


def check_plan(draft: ReleaseDraft, build: BuildResult) -> None:
    """Whether this build may be released as the draft says."""
    if (build.project, build.module) != (draft.project, draft.module):
        raise BuildMismatch(
            f"The build is of {build.project}/{build.module} and the plan is for"
            f" {draft.project}/{draft.module}; name the build's own project and module.",
            project=build.project,
            module=build.module,
        )
    if build.status is not BuildStatus.SUCCEEDED:
        raise BuildNotReleasable(
            f"The build has {build.status.replace('_', ' ')}; plan a release of one that has succeeded.",
            status=str(build.status),
        )
    if not build.artifacts:
        raise BuildNotReleasable(
            "The build published no artifact; let its pipeline publish one and run it again."
        )
    check_settings(wished(RolloutSettings(), draft.rollout), field="rollout")


def check_strategy(strategy: Strategy, allowed: Sequence[Strategy], environment: str) -> None:
    if strategy not in allowed:
        raise StrategyUnavailable(
            f"{environment} does not allow the strategy {strategy}; use {' or '.join(allowed)}.",
            available=[str(known) for known in allowed],
        )


def cut(
    component: Component, line: ReleaseLine, build: BuildResult, by: Actor, at: datetime
) -> Change[Release]:
    """The release that the line was just extended by: ready at birth, and never another content."""
    assert line.last_version is not None
    components = _components(component.id, line.last_version, build.artifacts)
    release = Release(
        id=release_id(component.id, build.id),
        tenant=component.tenant,
        component=component.id,
        project=component.project,
        module=component.module,
        name=f"{component.module} {line.last_version}",
        number=line.last_number,
        version=line.last_version,
        components=components,
        release_digest=digest([asdict(part) for part in components]),
        source=Source(
            repository=build.repository,
            branch=build.branch,
            commit_sha=build.commit_sha,
            pipeline_run=build.pipeline_run,
            build_result=build.id,
        ),
        status=ReleaseStatus.READY,
        created_by=by.subject,
        created_for=by.on_behalf_of,
        created_at=at,
        updated_at=at,
    )
    return Change(release, "release.created")


def _components(
    component: str, version: str, artifacts: Sequence[BuildArtifact]
) -> tuple[ReleaseComponent, ...]:
    """One entry per artifact, by name, so that the digest does not depend on the order of a build's list.
    The first artifact of the build is what runs."""
    entries = [
        ReleaseComponent(
            component=component,
            version=version,
            digest=artifact.digest,
            artifact=artifact.name,
            ref=artifact.ref,
            role=Role.ADDITIONAL if position else Role.PRIMARY,
        )
        for position, artifact in enumerate(artifacts)
    ]
    return tuple(sorted(entries, key=lambda entry: entry.artifact))


def first_track(release: Release) -> ReleaseTrack:
    return ReleaseTrack(id=release_track_id(release.id), tenant=release.tenant, release=release.id)


def plan(
    release: Release,
    track: ReleaseTrack,
    environment: Environment,
    strategy: Strategy,
    by: Actor,
    at: datetime,
    rollout: RolloutWish | None = None,
) -> Change[ReleaseTrack]:
    """The release is planned into an environment; a worker sees to it that its promotion opens."""
    reason = f"Release {release.version} was planned."
    hop = replace(hop_into(track, environment, strategy, reason, by, at), rollout=rollout)
    payload: dict[str, object] = {
        "releaseId": f"rel-{release.id}",
        "number": release.number,
        "version": release.version,
        "releaseDigest": release.release_digest,
        "buildResultId": f"build-{release.source.build_result}",
        "promotionId": f"prom-{hop.promotion}",
        "targetEnvironment": environment.name,
        "strategy": str(hop.strategy),
        "requiredApprovals": environment.required_approvals,
        "plannedBy": hop.requested_by,
        "repositoryId": f"repo-{release.source.repository}",
        "commitSha": release.source.commit_sha,
    }
    event = Event("ReleasePlanned", payload, project=release.project, module=release.module)
    return Change(replace(track, hops=(*track.hops, hop)), "release.planned", (event,))


def promote(
    release: Release, track: ReleaseTrack, environment: Environment, by: Actor, at: datetime
) -> Change[ReleaseTrack]:
    """The release goes on into one more environment, the way that it went into the one before."""
    return _ask(release, track, next_hop(track, environment, by, at), "release.promotion-requested")


def retry(
    release: Release, track: ReleaseTrack, environment: Environment, reason: str, by: Actor, at: datetime
) -> Change[ReleaseTrack]:
    """The release goes into an environment once more, the way that it was tried before; votes are cast
    anew."""
    before = track.into(environment.name)[-1]
    hop = hop_into(track, environment, before.strategy, reason or "It was tried again.", by, at)
    return _ask(release, track, replace(hop, rollout=before.rollout), "release.retried")


def next_hop(track: ReleaseTrack, environment: Environment, by: Actor, at: datetime) -> Hop:
    """What promoting the release into the environment would ask for."""
    last = track.hops[-1] if track.hops else None
    strategy = last.strategy if last else Strategy.ROLLING_UPDATE
    hop = hop_into(track, environment, strategy, "The next environment was asked for.", by, at)
    return replace(hop, rollout=last.rollout if last else None)


def _ask(release: Release, track: ReleaseTrack, hop: Hop, action: str) -> Change[ReleaseTrack]:
    payload: dict[str, object] = {
        "releaseId": f"rel-{release.id}",
        "version": release.version,
        "promotionId": f"prom-{hop.promotion}",
        "environment": hop.environment,
        "strategy": str(hop.strategy),
        "requestedBy": hop.requested_by,
    }
    event = Event("PromotionReady", payload, project=release.project, module=release.module)
    return Change(replace(track, hops=(*track.hops, hop)), action, (event,))


def hop_into(
    track: ReleaseTrack, environment: Environment, strategy: Strategy, reason: str, by: Actor, at: datetime
) -> Hop:
    return Hop(
        environment=environment.name,
        promotion=promotion_id(environment.id, track.release, len(track.into(environment.name))),
        strategy=strategy,
        reason=reason,
        requested_by=by.subject,
        requested_for=by.on_behalf_of,
        requested_at=at,
        required_approvals=environment.required_approvals,
        human_required=environment.human_required,
    )
