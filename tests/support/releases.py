"""The release services on embedded adapters in a scratch folder, with a relay that a test can hold back."""

import gzip
import io
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from shared.adapters.codec import RecordCodec
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.manifests import YamlManifests
from shared.adapters.targets.folder import FolderTarget
from shared.domain.approvals.model import Decision
from shared.domain.environments.calendar import FreezeWindow
from shared.domain.environments.lifecycle import Ladder
from shared.domain.environments.model import Current, Lane, current_id, environment_id, lane_id
from shared.domain.gitops.model import SyncState, sync_state_id
from shared.domain.kernel.actor import Actor, ActorKind, system_actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.ids import Root
from shared.domain.pipelines.model import BuildArtifact, BuildResult, BuildStatus, build_result_id, run_id
from shared.domain.promotions.model import Promotion
from shared.domain.releases.lifecycle import ReleaseDraft
from shared.domain.releases.model import Release, Strategy
from shared.domain.source.model import Repository
from shared.names import INDEXES
from shared.ports.source_host import FileChange, Place, Signature
from shared.ports.store import Document, Partition, Query, Store, TenantStore, Walk, Write
from shared.ports.target import Target
from shared.services.branches import Branches, place_of
from shared.services.deployments import Deployments
from shared.services.desired_state import DesiredStates
from shared.services.drift import Drifts
from shared.services.environments import Environments, Lanes
from shared.services.freeze_windows import FreezeWindows
from shared.services.gitops import GitOps
from shared.services.live_states import LiveStates
from shared.services.promotions import Promotions, Vote
from shared.services.releases import Plan, Releases
from shared.services.repositories import Repositories, RepositoryDraft
from shared.services.rollout_controls import RolloutControls
from shared.services.rollouts import Rollouts
from shared.services.unit import Unit, Units
from tests.support.app import START, CountingIds, SteppingClock

TENANT, PROJECT, MODULE = "acme", "proj-x", "module-y"
PLANNER = Actor("agent:Planner", ActorKind.AGENT, TENANT, on_behalf_of="user:paula")
PAULA = Actor("user:paula", ActorKind.HUMAN, TENANT)
ANN = Actor("user:ann", ActorKind.HUMAN, TENANT)
BOB = Actor("user:bob", ActorKind.HUMAN, TENANT)
MANAGER = Actor("agent:ReleaseManager", ActorKind.AGENT, TENANT)
STRANGER = Actor("user:mallory", ActorKind.HUMAN, "rival")

type Handler = Callable[[Actor, Mapping[str, object]], Awaitable[None]]


@dataclass
class Delivery:
    """Everything a test of releases needs. Events wait in the outbox until `deliver` or `drain`."""

    store: SqliteStore
    clock: SteppingClock
    host: EmbeddedGit
    units: Units
    blobs: FileBlobs
    target: Target
    repositories: Repositories
    environments: Environments
    lanes: Lanes
    promotions: Promotions
    releases: Releases
    deployments: Deployments
    gitops: GitOps
    rollouts: Rollouts
    controls: RolloutControls
    rules: FreezeWindows
    desired_states: DesiredStates
    drifts: Drifts
    branches: Branches
    delivered: set[str] = field(default_factory=set)
    builds: int = 0

    @property
    def handlers(self) -> dict[str, Handler]:
        return {
            "ReleasePlanned": self.promotions.on_hop,
            "PromotionReady": self.promotions.on_hop,
            "DeploymentPromoted": self.promotions.on_deployed,
            "PromotionDue": self.promotions.on_due,
            "EnvironmentRulesChanged": self.promotions.on_rules_changed,
            "RolloutDue": self.rollouts.on_due,
            "RolloutDueAgain": self.rollouts.on_due,
            "RetirementDue": self.rollouts.retire,
            "DeploymentRequested": self.deployments.run,
            "ReconcileRequested": self.gitops.sync,
            "DesiredStateCommitted": self.gitops.on_committed,
        }

    async def look(self) -> None:
        """What the timer has done: a look at every environment."""
        async for environment, after in self.drifts.due(ANN):
            payload = {"environment": environment.name, "after": after}
            await self.drifts.check(system_actor(TENANT, "gitops"), payload, self.clock.now())

    async def record_pushes(self) -> None:
        """What a push sets off: its moves are recorded."""
        for update in await self.host.pending(older_than=0):
            await self.branches.record_update(update)

    async def outbox(self) -> list[Document]:
        return [document for document in await self.store.changes(0, 10_000) if document.kind == "outbox"]

    async def events(self) -> list[str]:
        return [document.body["eventType"] for document in await self.outbox()]

    async def payload(self, event_type: str) -> dict[str, object]:
        """Of the latest event of that type."""
        found = [row.body for row in await self.outbox() if row.body["eventType"] == event_type]
        payload: dict[str, object] = found[-1]["payload"]
        return payload

    async def deliver(self, event_type: str | None = None) -> list[str]:
        """Hand the waiting events (of one type) to their workers, once around; the types handed over."""
        handed = []
        for document in await self.outbox():
            body = document.body
            if document.id in self.delivered or event_type not in (None, body["eventType"]):
                continue
            if body["notBefore"] and datetime.fromisoformat(body["notBefore"]) > self.clock.now():
                continue
            self.delivered.add(document.id)
            if handler := self.handlers.get(body["eventType"]):
                try:
                    await handler(system_actor(body["tenantId"], "worker"), body["payload"])
                except BaseException:
                    self.delivered.discard(document.id)  # not settled: it comes again
                    raise
                handed.append(body["eventType"])
        return handed

    async def drain(self) -> None:
        """Until nothing waits."""
        while await self.deliver():
            pass

    async def redeliver_everything(self, *, backwards: bool = False) -> None:
        """Every message that ever was, once more."""
        rows = await self.outbox()
        for document in reversed(rows) if backwards else rows:
            if handler := self.handlers.get(document.body["eventType"]):
                await handler(system_actor(TENANT, "worker"), document.body["payload"])

    async def a_repository(self, name: str = "api") -> Repository:
        return await self.repositories.provision(ANN, RepositoryDraft(PROJECT, name), None)

    async def a_commit(self, repository: Repository, message: str) -> str:
        place, at = place_of(repository), self.clock.now()
        change = FileChange(f"{at.timestamp()}.txt", "add", message.encode())
        author = Signature("Ann", "ann@acme.test", at)
        return (await self.host.commit(place, "main", [change], message=message, author=author)).sha

    async def a_build(
        self,
        repository: Repository,
        message: str = "fix: something",
        *,
        content: str | None = None,
        files: Mapping[str, str] | None = None,
        status: BuildStatus = BuildStatus.SUCCEEDED,
        module: str = MODULE,
        stored: bytes | None = None,
        artifacts: bool = True,
        created_at: datetime = START,
    ) -> BuildResult:
        """A build of a new commit. `stored` is kept in place of the bundle, whose digest it then belies."""
        self.builds += 1
        data = a_bundle(files or {"index.txt": content or f"build {self.builds}\n"})
        digest = sha256_hex(data)
        path = f"artifacts/sha256/{digest}"
        await self.blobs.put(TENANT, path, data if stored is None else stored)
        run = run_id(TENANT, repository.id, str(self.builds))
        published = BuildArtifact(
            name="bundle", kind="bundle", ref=path, digest=f"sha256:{digest}", size=len(data)
        )
        build = BuildResult(
            id=build_result_id(run, 1),
            tenant=TENANT,
            project=PROJECT,
            module=module,
            repository=repository.id,
            pipeline=repository.id,
            pipeline_run=run,
            branch="main",
            commit_sha=await self.a_commit(repository, message),
            build_number=f"20260611.{self.builds}",
            status=status,
            tests=None,
            coverage=None,
            artifacts=(published,) if artifacts else (),
            exit_codes=(),
            logs_uri="",
            created_at=created_at,
        )

        async def turn(unit: Unit) -> None:
            unit.put(build)

        await self.units.run(ANN, BuildResult.__record__.root_of(build.id), turn)
        return build

    async def a_plan(self, build: BuildResult, environment: str = "dev", actor: Actor = PLANNER) -> Plan:
        return await self.releases.plan(actor, a_draft(build, environment), None)

    async def approve(
        self,
        release: str,
        actor: Actor = ANN,
        decision: Decision = Decision.APPROVED,
        environment: str | None = None,
    ) -> Vote:
        return await self.releases.decide(
            actor, release, environment, decision, "looked at it", approver=None, once=None
        )

    async def promotion(self, promotion: str) -> Promotion:
        return await self.promotions.get(ANN, promotion)

    async def current(self, environment: str, release: Release) -> Current | None:
        key = current_id(environment_id(TENANT, environment), release.component)
        return await self.units.find(ANN, Current, key)

    async def lane(self, environment: str) -> Lane:
        return await self.units.get(ANN, Lane, lane_id(environment_id(TENANT, environment)))

    async def sync_state(self, environment: str, release: Release) -> SyncState:
        key = sync_state_id(environment_id(TENANT, environment), release.component)
        return await self.units.get(ANN, SyncState, key)

    def a_freeze(self, hours: float, begins: float = 0.0) -> FreezeWindow:
        """Of that many hours, beginning so many hours from now."""
        now = self.clock.now()
        starts = now + timedelta(hours=begins)
        return FreezeWindow(
            id="",
            name="Quiet",
            reason="",
            starts_at=starts,
            ends_at=starts + timedelta(hours=hours),
            created_by="",
            created_at=now,
        )

    async def in_git(self, environment: str) -> bytes | None:
        """The desired manifest of the module at the head of the GitOps repository."""
        place = Place(TENANT, "gitops", "environments")
        head = await self.host.head(place, "main")
        return await self.host.read_file(place, head, f"{environment}/{PROJECT}/{MODULE}/release.yaml")

    async def live(self, environment: str, release: Release) -> str | None:
        """The version that the target says runs."""
        folder = f"{release.module}-{release.component[:12]}"
        return (await self.target.observe(TENANT, environment, folder)).version


def a_draft(
    build: BuildResult, environment: str = "dev", strategy: Strategy = Strategy.ROLLING_UPDATE
) -> ReleaseDraft:
    return ReleaseDraft(
        project=build.project,
        module=build.module,
        build_result=build.id,
        target_environment=environment,
        strategy=strategy,
    )


def a_bundle(files: Mapping[str, str]) -> bytes:
    """A tar.gz of these files, equal for equal files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    # tarfile would write the time of day into the gzip header, and two equal bundles differ once a second.
    return gzip.compress(buffer.getvalue(), mtime=0)


def a_delivery(
    folder: Path,
    *,
    approvals: Mapping[str, int] | None = None,
    wrap: Callable[[Target], Target] = lambda target: target,
    wrap_store: Callable[[Store], Store] = lambda store: store,
) -> Delivery:
    clock = SteppingClock()
    store = SqliteStore(folder / "store.db", INDEXES, clock)
    host = EmbeddedGit(folder / "git", clock)
    units = Units(wrap_store(store), RecordCodec(), clock, CountingIds())
    blobs = FileBlobs(folder / "blobs", base_url="http://127.0.0.1:7071", clock=clock)
    target = wrap(FolderTarget(folder / "target", clock, health_timeout=5))
    repositories = Repositories(units, host, "http://127.0.0.1:7071")
    ladder = Ladder.of(approvals or {"dev": 0, "test": 0, "staging": 1, "prod": 2})
    environments = Environments(units, ladder)
    lanes = Lanes(units, environments)
    promotions = Promotions(units, environments, lanes)
    manifests = YamlManifests()
    desired_states = DesiredStates(host, repositories, clock)
    live_states = LiveStates(manifests, blobs, target)
    rollouts = Rollouts(units, lanes, desired_states, live_states)
    return Delivery(
        store=store,
        clock=clock,
        host=host,
        units=units,
        blobs=blobs,
        target=target,
        repositories=repositories,
        environments=environments,
        lanes=lanes,
        promotions=promotions,
        releases=Releases(units, environments, promotions, host),
        deployments=Deployments(units, lanes, manifests, desired_states),
        gitops=GitOps(units, environments, desired_states, live_states, rollouts),
        rollouts=rollouts,
        controls=RolloutControls(units, lanes),
        rules=FreezeWindows(units, environments, lanes),
        desired_states=desired_states,
        drifts=Drifts(units, environments, lanes, desired_states, live_states),
        branches=Branches(units, host),
    )


class Crash(BaseException):
    """The process dies here. No handler in the code under test may catch it."""


@dataclass
class DyingStore:
    """A store under which the process dies once: at the `at`-th commit, before it or just after it."""

    inner: Store
    at: int
    written: bool
    commits: int = 0
    armed: bool = False
    """Commits are counted, and the process may die, from when this is set."""

    def open(self, tenant: str) -> TenantStore:
        return DyingTenant(self, self.inner.open(tenant))

    async def ready(self) -> None:
        await self.inner.ready()

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class DyingTenant:
    store: DyingStore
    inner: TenantStore

    def partition(self, root: Root) -> Partition:
        return DyingPartition(self.store, self.inner.partition(root))

    async def query(self, query: Query) -> list[Document]:
        return await self.inner.query(query)

    async def walk(self, query: Query) -> Walk:
        return await self.inner.walk(query)


@dataclass
class DyingPartition:
    store: DyingStore
    inner: Partition

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        return await self.inner.read(ids)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        return await self.inner.scan(prefix, after=after, limit=limit)

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        self.store.commits += self.store.armed
        if not self.store.armed or self.store.commits != self.store.at:
            return await self.inner.commit(writes)
        if self.store.written:
            await self.inner.commit(writes)
        raise Crash
