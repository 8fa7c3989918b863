"""Environments in the order of promotion, what runs in each, and the lane that lets one deployment in."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.kernel.ids import child_id, root_id
from shared.domain.kernel.record import Entity, record

PRODUCTION = "prod"


@dataclass(frozen=True, slots=True)
class Rung:
    """One environment as the policy table declares it. `previous` is the name of the one before it."""

    name: str
    stage: str
    order: int
    required_approvals: int
    previous: str | None

    @property
    def is_production(self) -> bool:
        return self.stage == PRODUCTION


@record("environment", root="environment")
class Environment(Entity):
    """A place that releases are promoted into. `human_required`: only people's approvals count."""

    id: str
    tenant: str
    name: str
    stage: str
    order: int
    required_approvals: int
    human_required: bool
    is_production: bool
    previous: str | None
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@record("entry", root="environment")
class Entry(Entity):
    """Which promotion brings one release into one environment at the moment: one at a time, or none.

    A document for each release, so that however many wait, nobody's turn grows with them.
    """

    id: str
    tenant: str
    environment: str
    release: str
    promotion: str | None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is let in since something was rolled back here. A person releases it."""

    reason: str
    by: str
    at: datetime
    deployment: str


@record("lane", root="environment")
class Lane(Entity):
    """The way into one environment. `queue` are the approved promotions in the order of their decisions,
    `lock` the one being deployed, and `token` counts the starts: work that carries an older token is late and
    changes nothing."""

    id: str
    tenant: str
    environment: str
    queue: tuple[str, ...] = ()
    lock: str | None = None
    token: int = 0
    hold: Hold | None = None
    revision: int = 0


@record("current", root="environment")
class Current(Entity):
    """What runs of one component in one environment, and what ran before it."""

    id: str
    tenant: str
    environment: str
    component: str
    project: str
    module: str
    release: str
    version: str
    release_digest: str
    promotion: str
    deployment: str
    previous_release: str | None
    previous_deployment: str | None
    url: str | None
    since: datetime
    revision: int = 0


@record("arrival", root="environment")
class Arrival(Entity):
    """This content was deployed here, `at` last. Never removed: the next environment may rely on it, unless
    it was `withdrawn` here by a rollback."""

    id: str
    tenant: str
    environment: str
    release: str
    release_digest: str
    deployment: str
    at: datetime
    withdrawn: str | None = None
    revision: int = 0


def environment_id(tenant: str, name: str) -> str:
    return root_id("environment", tenant, name)


def entry_id(environment: str, release: str) -> str:
    return child_id(environment, "entry", release)


def lane_id(environment: str) -> str:
    return child_id(environment, "lane")


def current_id(environment: str, component: str) -> str:
    return child_id(environment, "current", component)


def arrival_id(environment: str, release_digest: str) -> str:
    return child_id(environment, "arrival", release_digest)
