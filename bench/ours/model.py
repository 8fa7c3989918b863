"""What the measured endpoint writes: a numbered release of a component, and the component's counter."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    name: str
    kind: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a caller says of a release."""

    name: str
    commit_sha: str
    strategy: str
    notes: str
    artifacts: tuple[Artifact, ...]


@record("measured-release", root="component")
class MeasuredRelease(Entity):
    id: str
    tenant: str
    component: str
    number: int
    name: str
    commit_sha: str
    strategy: str
    notes: str
    artifacts: tuple[Artifact, ...]
    status: str
    created_by: str
    created_at: datetime
    revision: int = 0


@record("measured-counter", root="component")
class MeasuredCounter(Entity):
    """The last number given in a component."""

    id: str
    last: int = 0
    revision: int = 0


def counter_id(component: str) -> str:
    return child_id(component, "measured-counter")


def release_id(component: str, seed: str) -> str:
    return child_id(component, "measured-release", seed)


def number_next(counter: MeasuredCounter) -> MeasuredCounter:
    return replace(counter, last=counter.last + 1)


def create(
    release: str, component: str, number: int, draft: Draft, by: Actor, at: datetime
) -> Change[MeasuredRelease]:
    made = MeasuredRelease(
        id=release,
        tenant=by.tenant,
        component=component,
        number=number,
        name=draft.name,
        commit_sha=draft.commit_sha,
        strategy=draft.strategy,
        notes=draft.notes,
        artifacts=draft.artifacts,
        status="ready",
        created_by=by.subject,
        created_at=at,
    )
    payload: dict[str, object] = {
        "releaseId": f"rel-{made.id}",
        "componentId": f"comp-{component}",
        "number": number,
        "commitSha": draft.commit_sha,
    }
    return Change(made, "release.created", (Event("MeasuredReleaseCreated", payload),))
