"""Bugs planted between the app and its ports or in the place of a service, each of which a careless change
could bring and the tests here have to find.

Two more are planted where they are looked for: a cursor that skips equal times in tests/api/test_lists.py,
keys that an error clears in tests/api/test_token_matrix.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from shared.app import App
from shared.domain.approvals.model import Approval
from shared.domain.deployments.model import Deployment
from shared.domain.environments.model import Environment
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.ids import Root
from shared.domain.pipelines.model import PipelineRun, RunStatus
from shared.domain.promotions.model import Promotion
from shared.ports.source_host import CommitInfo, Place
from shared.ports.store import Write
from shared.services.environments import Lanes
from shared.services.once import Once
from shared.services.runs import Runs
from shared.services.unit import Unit
from tests.faults.crash_points.installation import SOUND, Installation, Plant
from tests.faults.crash_points.operations import TOKEN_SECRET, Outcome, Request

type Batches = Callable[[Sequence[Write]], Sequence[Sequence[Write]]]
"""What becomes of one batch: the batches that are really committed, one after the other."""


class _Inner:
    """Whatever is not told otherwise is as it is inside."""

    def __init__(self, inner: Any, batches: Batches) -> None:
        self._inner = inner
        self._batches = batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class BuggyStore(_Inner):
    """A store whose batches are made into others on their way."""

    def open(self, tenant: str) -> "_BuggyTenant":
        return _BuggyTenant(self._inner.open(tenant), self._batches)


class _BuggyTenant(_Inner):
    def partition(self, root: Root) -> "_BuggyPartition":
        return _BuggyPartition(self._inner.partition(root), self._batches)


class _BuggyPartition(_Inner):
    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        etags: dict[str, str] = {}
        for batch in self._batches(writes):
            if batch:
                etags |= await self._inner.commit(batch)
        return etags


def _in_store(batches: Batches) -> Plant:
    return Plant(ports=lambda ports: ports | {"store": BuggyStore(ports["store"], batches)})


def _outbox_after_the_commit(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    return [
        [write for write in writes if write.kind != "outbox"],
        [write for write in writes if write.kind == "outbox"],
    ]


def _no_if_match(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    return [[replace(write, op="upsert") if write.op == "replace" else write for write in writes]]


def _marker_after_the_commit(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    markers = [write for write in writes if write.kind in ("once", "inbox")]
    return [[write for write in writes if write not in markers], markers]


def _write_by_write(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    return [[write] for write in writes]


def _events_twice(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    again = [
        replace(write, id=f"{write.id}-2", body={**write.body, "eventId": f"{write.body['eventId']}-2"})
        for write in writes
        if write.kind == "outbox"
    ]
    return [[*writes, *again]]


def _lane_stays_locked(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    return [[write for write in writes if write.kind != "lane" or write.body["lock"] is not None]]


def _token_in_the_audit_trail(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    return [
        [
            replace(write, body={**write.body, "token": TOKEN_SECRET}) if write.kind == "audit" else write
            for write in writes
        ]
    ]


class HastyHost:
    """A source host that forgets a move as soon as it was made, before anybody has recorded it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, place: Place, branch: str, *arguments: Any, **named: Any) -> CommitInfo:
        made: CommitInfo = await self._inner.commit(place, branch, *arguments, **named)
        await self._inner.settle(place, branch, made.sha)
        return made


class TenantlessStore(_Inner):
    """A store that keeps everything under one tenant, whoever opens it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def open(self, tenant: str) -> Any:
        return self._inner.open("acme")


class UnfencedLanes(Lanes):
    """Lanes that let work on which is over, or whose token is of an earlier start."""

    async def in_hand(
        self, unit: Unit, deployment: Deployment
    ) -> tuple[Deployment, Promotion, Environment] | None:
        mine = await unit.get(Deployment, deployment.id)
        promotion = await unit.get(Promotion, mine.promotion)
        return mine, promotion, await unit.get(Environment, mine.environment)


class TrustingLanes(Lanes):
    """Lanes in which a vote counts for whatever is promoted, and not for the content that was voted on."""

    async def approvals(self, unit: Unit, promotion: Promotion) -> tuple[Approval, ...]:
        cast = await super().approvals(unit, promotion)
        return tuple(replace(approval, release_digest=promotion.release_digest) for approval in cast)


class DeafRuns(Runs):
    """Runs of which only those can be cancelled that have not begun."""

    async def cancel(self, actor: Actor, run: str, once: Once | None) -> PipelineRun:
        async def unheard(unit: Unit) -> PipelineRun:
            return await unit.get(PipelineRun, run)

        if (await self.get(actor, run)).status is RunStatus.RUNNING:
            return await self.units.run(actor, PipelineRun.__record__.root_of(run), unheard, once)
        return await super().cancel(actor, run, once)


def _with_lanes(kind: type[Lanes]) -> Plant:
    def planted(app: App) -> App:
        lanes = kind(app.units, app.environments)
        promotions = replace(app.promotions, lanes=lanes)
        rollouts = replace(app.gitops.rollouts, lanes=lanes)
        return replace(
            app,
            promotions=promotions,
            releases=replace(app.releases, promotions=promotions),
            deployments=replace(app.deployments, lanes=lanes),
            gitops=replace(app.gitops, rollouts=rollouts),
        )

    return Plant(app=planted)


def _deaf(app: App) -> App:
    made_of = {each.name: getattr(app.runs, each.name) for each in fields(app.runs)}
    return replace(app, runs=DeafRuns(**made_of))


@dataclass
class ForgetfulClient:
    """A client that makes up a new key for every try."""

    request: Request
    tries: int = 0

    is_keyed = False

    async def attempt(self, installation: Installation, delivery: int) -> Outcome:
        self.tries += 1
        return await replace(self.request, key=f"key-{self.tries}").attempt(installation, delivery)


@dataclass(frozen=True)
class Bug:
    """A planted bug and the scenario that finds it."""

    name: str
    scenario: str
    plant: Plant = SOUND
    forgets_keys: bool = False


BUGS = (
    Bug("the outbox is written after the commit", "POST /pull-requests", _in_store(_outbox_after_the_commit)),
    Bug("If-Match is left out", "RunPipeline", _in_store(_no_if_match)),
    Bug(
        "the answer is kept after the commit",
        "POST /pipeline-runs/{pipelineRunId}/cancel",
        _in_store(_marker_after_the_commit),
    ),
    Bug(
        "the inbox marker is written after the commit",
        "ReconcileRequested, by a person",
        _in_store(_marker_after_the_commit),
    ),
    Bug("a counter moves outside the batch", "POST /pipelines/{pipelineId}/run", _in_store(_write_by_write)),
    Bug("events are sent twice under different ids", "POST /promotions", _in_store(_events_twice)),
    Bug("a lane is never unlocked", "ReconcileRequested, for a deployment", _in_store(_lane_stays_locked)),
    Bug("a token is written down", "POST /gitops/reconcile", _in_store(_token_in_the_audit_trail)),
    Bug(
        "the journal is acknowledged before anybody has recorded",
        "POST /repositories/{repositoryId}/commits, of what an artifact holds",
        Plant(ports=lambda ports: ports | {"source_host": HastyHost(ports["source_host"])}),
    ),
    Bug(
        "work goes on without its fencing token",
        "ReconcileRequested, for a deployment",
        _with_lanes(UnfencedLanes),
    ),
    Bug(
        "an approval is not bound to the digest of what was approved",
        "DeploymentPromoted, of what was approved as other content",
        _with_lanes(TrustingLanes),
    ),
    Bug(
        "a cancellation is ignored in one state",
        "POST /pipeline-runs/{pipelineRunId}/cancel, while it runs",
        Plant(app=_deaf),
    ),
    Bug(
        "what was done is known without its tenant",
        "POST /repositories, of another tenant with the names and the key of the first",
        Plant(ports=lambda ports: ports | {"store": TenantlessStore(ports["store"])}),
    ),
    Bug("a retry has another key", "POST /pull-requests", forgets_keys=True),
)
