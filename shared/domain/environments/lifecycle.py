"""The ladder of environments that every tenant starts with, and the rules of an environment's lane."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.deployments.model import Deployment
from shared.domain.environments.errors import LaneTaken, NoHold, PersonRequired, UnknownEnvironment
from shared.domain.environments.model import (
    Arrival,
    Current,
    Entry,
    Environment,
    Hold,
    Lane,
    Rung,
    arrival_id,
    current_id,
    entry_id,
    environment_id,
    lane_id,
)
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Problem
from shared.domain.kernel.events import Event
from shared.domain.releases.model import Release

_STAGES = {"production": "prod", "development": "dev", "testing": "test", "stage": "staging"}


def stage_of(name: str) -> str:
    """The stage that an environment of this name belongs to: `production` and `prod` are the same one."""
    return _STAGES.get(name.lower(), name.lower())


@dataclass(frozen=True, slots=True)
class Ladder:
    """The environments of the policy table, in the order of promotion."""

    rungs: tuple[Rung, ...]

    @classmethod
    def of(cls, approvals: Mapping[str, int]) -> "Ladder":
        """From environment names and their required approvals, in the mapping's order."""
        rungs: list[Rung] = []
        for order, (name, required) in enumerate(approvals.items()):
            previous = rungs[-1].name if rungs else None
            rungs.append(Rung(name, stage_of(name), order, required, previous))
        return cls(tuple(rungs))

    def resolve(self, text: str, *, field: str = "environment") -> Rung:
        """The environment meant by a name, or else by a stage. UnknownEnvironment lists the known ones."""
        for rung in self.rungs:
            if rung.name == text:
                return rung
        for rung in self.rungs:
            if rung.stage == stage_of(text):
                return rung
        known = ", ".join(rung.name for rung in self.rungs)
        raise UnknownEnvironment(
            "There is no environment of that name.",
            Problem(field, f"Use one of {known}.", "unknown_environment"),
        )

    def after(self, name: str | None) -> Rung | None:
        """The environment that follows the named one (the first for None), or None after the last."""
        return next((rung for rung in self.rungs if rung.previous == name), None)


def declare(tenant: str, rung: Rung, at: datetime) -> Change[Environment]:
    """The environment of a rung, made on its first use."""
    environment = Environment(
        id=environment_id(tenant, rung.name),
        tenant=tenant,
        name=rung.name,
        stage=rung.stage,
        order=rung.order,
        required_approvals=rung.required_approvals,
        human_required=rung.is_production,
        is_production=rung.is_production,
        previous=rung.previous,
        created_at=at,
        updated_at=at,
    )
    return Change(environment, "environment.declared")


def follow(environment: Environment, wanted: Environment, at: datetime) -> Change[Environment] | None:
    """The stored environment as the policy table and its own policy want it now, or None where it is so."""
    followed = replace(
        wanted,
        created_at=environment.created_at,
        updated_at=environment.updated_at,
        revision=environment.revision,
    )
    if followed == environment:
        return None
    return Change(replace(followed, updated_at=at), "environment.updated")


def first_lane(environment: Environment) -> Lane:
    return Lane(id=lane_id(environment.id), tenant=environment.tenant, environment=environment.id)


def enter(entry: Entry | None, environment: Environment, release: str, promotion: str) -> Entry:
    """A promotion is under way. Where another one of the release is, that one stays the one."""
    if entry is None:
        return Entry(
            id=entry_id(environment.id, release),
            tenant=environment.tenant,
            environment=environment.id,
            release=release,
            promotion=promotion,
        )
    return entry if entry.promotion is not None else replace(entry, promotion=promotion)


def vacate(entry: Entry, promotion: str) -> Entry:
    """The promotion has ended; another one of the release may come."""
    return replace(entry, promotion=None) if entry.promotion == promotion else entry


def leave(lane: Lane, promotion: str) -> Lane:
    """A promotion has ended, however: it no longer queues or holds the lock."""
    return replace(
        lane,
        queue=tuple(queued for queued in lane.queue if queued != promotion),
        lock=None if lane.lock == promotion else lane.lock,
    )


def enqueue(lane: Lane, promotion: str) -> Lane:
    """An approved promotion waits its turn, behind everyone decided before it."""
    return lane if promotion in lane.queue else replace(lane, queue=(*lane.queue, promotion))


def lock(lane: Lane, promotion: str) -> Lane:
    """The promotion leaves the queue and is let in alone, under a new token."""
    if lane.lock is not None:
        raise LaneTaken("Another deployment into this environment is under way; it is next when that ends.")
    queue = tuple(queued for queued in lane.queue if queued != promotion)
    return replace(lane, queue=queue, lock=promotion, token=lane.token + 1)


def holds(lane: Lane, promotion: str, token: int) -> bool:
    """Whether work under this token may still change anything."""
    return lane.lock == promotion and lane.token == token


def hold(lane: Lane, reason: str, by: str, deployment: str, at: datetime) -> Lane:
    """Nothing is let in until a person has looked at it. The first reason stays."""
    return lane if lane.hold is not None else replace(lane, hold=Hold(reason, by, at, deployment))


def release_hold(lane: Lane, environment: Environment, by: Actor, reason: str) -> Change[Lane]:
    """Raises PersonRequired for automation, NoHold where nothing is held."""
    if not by.is_human:
        raise PersonRequired("A hold is released by a person; ask somebody who runs this environment.")
    if lane.hold is None:
        raise NoHold(f"Nothing holds {environment.name}.")
    told = {"environment": environment.name, "change": "hold-released", "reason": reason}
    return Change(
        replace(lane, hold=None),
        "environment.hold-released",
        (Event("EnvironmentRulesChanged", told),),
        reason,
    )


def withdraw(arrival: Arrival, cause: str) -> Arrival:
    """The release was rolled back here: the next environment may not rely on it."""
    return replace(arrival, withdrawn=cause)


def take_over(
    environment: Environment,
    before: Current | None,
    deployment: Deployment,
    release: Release,
    *,
    url: str | None,
    at: datetime,
    previous: tuple[str, str] | None,
) -> Change[Current]:
    """The deployed release becomes what runs of its component here; `previous` are the release and the
    deployment that it can be rolled back to."""
    current = Current(
        id=current_id(environment.id, release.component),
        tenant=environment.tenant,
        environment=environment.id,
        component=release.component,
        project=release.project,
        module=release.module,
        release=release.id,
        version=release.version,
        release_digest=release.release_digest,
        promotion=deployment.serving,
        deployment=deployment.id,
        previous_release=previous[0] if previous else None,
        previous_deployment=previous[1] if previous else None,
        url=url,
        since=at,
        revision=before.revision if before else 0,
    )
    return Change(current, "environment.current-moved")


def arrive(environment: Environment, deployment: Deployment, release: Release, at: datetime) -> Arrival:
    """Also where it had arrived before and was withdrawn: what counts is that it came back."""
    return Arrival(
        id=arrival_id(environment.id, release.release_digest),
        tenant=environment.tenant,
        environment=environment.id,
        release=release.id,
        release_digest=release.release_digest,
        deployment=deployment.id,
        at=at,
    )
