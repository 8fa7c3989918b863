"""Bugs planted between the app and its ports, each of which a careless change could bring and the tests here
have to find."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.kernel.ids import Root
from shared.ports.source_host import CommitInfo, Place
from shared.ports.store import Write
from tests.faults.crash_points.installation import Installation, Plant, sound
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
    return lambda ports: ports | {"store": BuggyStore(ports["store"], batches)}


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
    plant: Plant = sound
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
        lambda ports: ports | {"source_host": HastyHost(ports["source_host"])},
    ),
    Bug("a retry has another key", "POST /pull-requests", forgets_keys=True),
)
