"""A release is content: components by digest, where they came from, and who planned it. It never moves."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record
from shared.domain.releases.strategies import RolloutWish, Strategy


class ReleaseStatus(StrEnum):
    DRAFT = "draft"
    READY = "ready"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class Role(StrEnum):
    """The primary artifact is what a deployment runs; the others travel with it."""

    PRIMARY = "primary"
    ADDITIONAL = "additional"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseComponent:
    """One artifact of a release. `digest` is `sha256:` and 64 hex digits; `ref` is where it was published."""

    component: str
    version: str
    digest: str
    artifact: str
    ref: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a release came from."""

    repository: str
    branch: str
    commit_sha: str
    pipeline_run: str
    build_result: str


@record("release", root="component")
class Release(Entity):
    """`number` has no gaps within the component; `version` is semantic. `created_by` is the planner, and
    `created_for` whom the planner acted for."""

    id: str
    tenant: str
    component: str
    project: str
    module: str
    name: str
    number: int
    version: str
    components: tuple[ReleaseComponent, ...]
    release_digest: str
    source: Source
    status: ReleaseStatus
    created_by: str
    created_for: str | None
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def primary(self) -> ReleaseComponent:
        """The component that a deployment runs."""
        return next(part for part in self.components if part.role is Role.PRIMARY)

    @property
    def images(self) -> tuple[str, ...]:
        """Every artifact as name@digest."""
        return tuple(f"{part.artifact}@{part.digest}" for part in self.components)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """The intent to promote a release into the environment of that name. Everything its promotion is made
    of, so that a lost second batch can be made again from here."""

    environment: str
    promotion: str
    strategy: Strategy
    reason: str
    requested_by: str
    requested_for: str | None
    requested_at: datetime
    rollout: RolloutWish | None = None
    required_approvals: int | None = None
    """What the environment asked when this was; None where nobody wrote it down: as it asks now."""
    human_required: bool | None = None


@record("release-track", root="component")
class ReleaseTrack(Entity):
    """The promotions of one release, oldest first: found by point reads, without an index."""

    id: str
    tenant: str
    release: str
    hops: tuple[Hop, ...] = ()
    revision: int = 0

    def into(self, environment: str) -> tuple[Hop, ...]:
        """The hops into that environment, oldest first."""
        return tuple(hop for hop in self.hops if hop.environment == environment)

    def latest(self) -> tuple[Hop, ...]:
        """The newest hop of every environment, oldest first: the only ones that can still be open."""
        newest = {hop.environment: hop for hop in self.hops}
        return tuple(hop for hop in self.hops if newest[hop.environment] is hop)


def release_id(component: str, build_result: str) -> str:
    return child_id(component, "release", build_result)


def release_track_id(release: str) -> str:
    return child_id(release, "release-track")


def promotion_id(environment_id: str, release: str, ordinal: int) -> str:
    """The id of the `ordinal`-th promotion of a release into an environment, known before it exists."""
    return child_id(environment_id, "promotion", release, str(ordinal))


__all__ = [
    "Hop",
    "Release",
    "ReleaseComponent",
    "ReleaseStatus",
    "ReleaseTrack",
    "Role",
    "RolloutWish",
    "Source",
    "Strategy",
    "promotion_id",
    "release_id",
    "release_track_id",
]
