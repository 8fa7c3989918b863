"""What became of deployments, projected from the change feed, and the figures made of it.

A deployment that is over leaves one fact, under an id made of when it ended: seen twice, late or out of order
it is the same fact again. The facts of a project lie in one partition in the order of time, so that a period
is one scan of just that period.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from shared.domain.deployments.model import DeploymentKind, DeploymentStatus
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import digest, sha256_hex
from shared.domain.kernel.errors import Transient
from shared.domain.kernel.ids import Root, child_id
from shared.domain.metrics.performance import (
    RECOVERY_HORIZON,
    Bucket,
    DeploymentFact,
    Figures,
    Outcome,
    by_bucket,
    figures,
    require_period,
)
from shared.domain.metrics.standing import Standing, after
from shared.domain.releases.model import Release
from shared.domain.source.model import Commit
from shared.ports.clock import Clock
from shared.ports.store import Body, Document, Partition, Store, StoreConflict, TenantStore, Write
from shared.ports.telemetry import FAILURE_RATE, LEAD_TIME, OFF, RESTORE_TIME, Labels, Telemetry, labels_of

SOURCE_KIND = "deployment"
AT_ONCE = 500
USUAL_PERIOD = timedelta(days=30)
_FACT, _STANDING = "over:", "standing:"
_ATTEMPTS = 8
_OUTCOMES: Mapping[tuple[str, str], Outcome] = {
    (DeploymentKind.DEPLOY, DeploymentStatus.SUCCEEDED): Outcome.DEPLOYED,
    (DeploymentKind.DEPLOY, DeploymentStatus.PARTIALLY_SUCCEEDED): Outcome.DEPLOYED,
    (DeploymentKind.DEPLOY, DeploymentStatus.FAILED): Outcome.FAILED,
    (DeploymentKind.DEPLOY, DeploymentStatus.ROLLED_BACK): Outcome.ROLLED_BACK,
    (DeploymentKind.DEPLOY, DeploymentStatus.ROLLBACK_FAILED): Outcome.FAILED,
    (DeploymentKind.ROLLBACK, DeploymentStatus.SUCCEEDED): Outcome.UNDONE,
}


class CaughtUp(Protocol):
    """Projects what the feed has, where that is ours to do; False where it may be behind."""

    async def catch_up(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """`end` None is now, `start` None as long before as is usual. `environment` None is any."""

    project: str
    module: str | None = None
    environment: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    bucket: Bucket = Bucket.WEEK


@dataclass(frozen=True, slots=True)
class Performance:
    asked: Asked
    overall: Figures
    periods: tuple[Figures, ...]
    is_exact: bool


class DeploymentFacts:
    """The projection. What it reads besides, releases and commits, never changes."""

    def __init__(self, store: Store, telemetry: Telemetry = OFF) -> None:
        self._store = store
        self._telemetry = telemetry

    async def project(self, documents: Iterable[Document]) -> None:
        """Keep the facts of these versions of documents; repeats and older versions change nothing."""
        for document in documents:
            if document.kind != SOURCE_KIND:
                continue
            body = document.body
            outcome = _OUTCOMES.get((body["kind"], body["status"]))
            if outcome is None or body["completed_at"] is None:
                continue
            tenant = self._store.open(document.tenant)
            fact = {
                "deployment": body["id"],
                "promotion": body["promotion"],
                "module": body["module"],
                "environment": body["environment_name"],
                "outcome": str(outcome),
                "started_at": body["started_at"] or body["created_at"],
                "at": body["completed_at"],
                "release": body["release"],
                "committed_at": await _committed_at(tenant, body["release"]),
            }
            name = f"{_FACT}{fact['at']}:{fact['deployment']}"
            partition = tenant.partition(_facts_of(body["project"]))
            write = Write("upsert", name, "view-deployment-over", fact)
            if self._telemetry is OFF or name in await partition.read([name]):
                await partition.commit([write])
            else:
                place = labels_of(tenant=document.tenant, project=body["project"], module=body["module"])
                await self._measure(partition, write, {**place, "environment": body["environment_name"]})

    async def _measure(self, partition: Partition, write: Write, labels: Labels) -> None:
        """Keep a new fact, and what the measurements need to know of those before it, in one batch. A process
        that dies after it has not told of this one."""
        fact = _fact_in(write.body)
        name = f"{_STANDING}{digest([fact.module, fact.environment])}"
        for _ in range(_ATTEMPTS):
            found = (await partition.read([name])).get(name)
            standing, recovered = after(_standing_in(found.body) if found else Standing(), fact)
            body, etag = _body_of(standing), found.etag if found else None
            kept = Write("create" if found is None else "replace", name, "view-standing", body, etag=etag)
            try:
                await partition.commit([write, kept])
            except StoreConflict:
                continue
            break
        else:
            raise Transient("Others keep writing down deployments of the same module; try again.")
        if fact.outcome is Outcome.DEPLOYED and fact.committed_at:
            took = (fact.at - fact.committed_at).total_seconds()
            self._telemetry.measure(LEAD_TIME, max(took, 0.0), labels)
        for seconds in recovered:
            self._telemetry.measure(RESTORE_TIME, max(seconds, 0.0), labels)
        if standing.failure_rate is not None:
            self._telemetry.measure(FAILURE_RATE, standing.failure_rate, labels)

    async def between(
        self, tenant_id: str, project: str, start: datetime, end: datetime
    ) -> list[DeploymentFact]:
        """In the order of time."""
        tenant = self._store.open(tenant_id)
        partition = tenant.partition(_facts_of(project))
        after, last = f"{_FACT}{_text(start)}", f"{_FACT}{_text(end)}"
        found: list[DeploymentFact] = []
        while True:
            documents = await partition.scan(_FACT, after=after, limit=AT_ONCE)
            within = [document for document in documents if document.id < last]
            found += [await _read(tenant, document.body) for document in within]
            if len(within) < AT_ONCE:
                return found
            after = documents[-1].id


@dataclass(frozen=True, slots=True)
class DeliveryPerformance:
    facts: DeploymentFacts
    views: CaughtUp
    clock: Clock

    async def show(self, actor: Actor, asked: Asked) -> Performance:
        """Raises Invalid for a period that is empty or too long."""
        end = asked.end or self.clock.now()
        start = asked.start or end - USUAL_PERIOD
        require_period(start, end)
        is_exact = await self.views.catch_up()
        found = await self.facts.between(actor.tenant, asked.project, start, end + RECOVERY_HORIZON)
        wanted = [
            fact
            for fact in found
            if asked.module in (None, fact.module) and asked.environment in (None, fact.environment)
        ]
        periods = by_bucket(wanted, start, end, asked.bucket)
        return Performance(asked, figures(wanted, start, end), periods, is_exact)


def _facts_of(project: str) -> Root:
    return Root("view", f"deployments-over:{sha256_hex(project.encode())[:32]}")


def _text(at: datetime) -> str:
    """As times are stored: text order is time order."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


async def _committed_at(tenant: TenantStore, release: str) -> str | None:
    """When the commit was made that the release was built from; None where it is not recorded (yet)."""
    source = await _body(tenant, Release, release)
    if source is None:
        return None
    made_from = source["source"]
    commit = await _body(tenant, Commit, child_id(made_from["repository"], "commit", made_from["commit_sha"]))
    return None if commit is None else str(commit["committed_at"])


async def _body(tenant: TenantStore, kind: type[Release] | type[Commit], entity: str) -> Any:
    record = kind.__record__
    name = record.document(entity)
    found = await tenant.partition(record.root_of(entity)).read([name])
    return found[name].body if name in found else None


async def _read(tenant: TenantStore, body: Mapping[str, Any]) -> DeploymentFact:
    # A push is recorded after the fact: what was not there when it was deployed may be there now.
    committed_at = body["committed_at"] or await _committed_at(tenant, body["release"])
    return _fact_in({**body, "committed_at": committed_at})


def _fact_in(body: Mapping[str, Any]) -> DeploymentFact:
    committed_at = body["committed_at"]
    return DeploymentFact(
        deployment=body["deployment"],
        promotion=body["promotion"],
        module=body["module"],
        environment=body["environment"],
        outcome=Outcome(body["outcome"]),
        started_at=datetime.fromisoformat(body["started_at"]),
        at=datetime.fromisoformat(body["at"]),
        committed_at=None if committed_at is None else datetime.fromisoformat(committed_at),
    )


def _standing_in(body: Body) -> Standing:
    return Standing(
        days={date.fromisoformat(day): (tried, failed) for day, (tried, failed) in body["days"].items()},
        live={promotion: datetime.fromisoformat(at) for promotion, at in body["live"].items()},
        broken=tuple(map(datetime.fromisoformat, body["broken"])),
    )


def _body_of(standing: Standing) -> Body:
    return {
        "days": {day.isoformat(): list(counts) for day, counts in standing.days.items()},
        "live": {promotion: at.isoformat() for promotion, at in standing.live.items()},
        "broken": [at.isoformat() for at in standing.broken],
    }
