"""The two measured endpoints, declared as every other endpoint is, and the one service behind them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from bench.ours.model import (
    Artifact,
    Draft,
    MeasuredCounter,
    MeasuredRelease,
    counter_id,
    create,
    number_next,
    release_id,
)
from functions.http.dialects import DEVOPS
from functions.http.endpoint import Call
from functions.http.fields import Body, Name, PascalStatus, View, WireId
from functions.http.surface import Surface
from shared.domain.kernel.actor import Actor
from shared.services.once import Once
from shared.services.unit import Unit, Units

ReleaseId = Annotated[str, WireId("rel")]
ComponentId = Annotated[str, WireId("comp")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]

measured = Surface("measured", title="Measured", dialect=DEVOPS)


class ArtifactBody(Body):
    name: Name
    kind: Annotated[str, Field(min_length=1, max_length=40)]
    digest: Digest


class CreateRelease(Body):
    tenant_id: str | None = None
    name: Annotated[str, Field(min_length=1, max_length=100)]
    commit_sha: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    strategy: Annotated[str, Field(max_length=40)] = "RollingUpdate"
    notes: Annotated[str, Field(max_length=2000)] = ""
    artifacts: Annotated[tuple[ArtifactBody, ...], Field(min_length=1, max_length=20)]

    def draft(self) -> Draft:
        return Draft(
            name=self.name,
            commit_sha=self.commit_sha,
            strategy=self.strategy,
            notes=self.notes,
            artifacts=tuple(
                Artifact(name=one.name, kind=one.kind, digest=one.digest) for one in self.artifacts
            ),
        )


class ArtifactView(View):
    name: str
    kind: str
    digest: str


class ReleaseView(View):
    release_id: Annotated[ReleaseId, Field(validation_alias="id")]
    component_id: Annotated[ComponentId, Field(validation_alias="component")]
    number: int
    name: str
    commit_sha: str
    strategy: str
    notes: str
    artifacts: tuple[ArtifactView, ...]
    status: PascalStatus
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MeasuredReleases:
    units: Units

    async def create(self, actor: Actor, component: str, draft: Draft, once: Once | None) -> MeasuredRelease:
        async def turn(unit: Unit) -> MeasuredRelease:
            counter = await unit.find(MeasuredCounter, counter_id(component))
            counter = unit.put(number_next(counter or MeasuredCounter(id=counter_id(component))))
            made = release_id(component, unit.new_id())
            return unit.apply(create(made, component, counter.last, draft, actor, unit.now))

        root = MeasuredRelease.__record__.root_of(component)
        return await self.units.run(actor, root, turn, once)

    async def get(self, actor: Actor, release: str) -> MeasuredRelease:
        return await self.units.get(actor, MeasuredRelease, release)


@measured.post(
    "/components/{componentId}/releases",
    scope="devops.releases.plan",
    returns=ReleaseView,
    status=201,
    location="/releases/{id}",
)
async def create_release(call: Call, component_id: ComponentId, body: CreateRelease) -> MeasuredRelease:
    """Create the next release of a component."""
    releases = MeasuredReleases(call.app.units)
    return await releases.create(call.actor, component_id, body.draft(), call.once)


@measured.get("/releases/{releaseId}", scope="devops.releases.read", returns=ReleaseView)
async def get_release(call: Call, release_id: ReleaseId) -> MeasuredRelease:
    """Retrieve a release."""
    return await MeasuredReleases(call.app.units).get(call.actor, release_id)
