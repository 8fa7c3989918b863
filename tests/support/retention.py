"""A delivery whose clock can run for years, with the retention that keeps it tidy."""

from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.kernel.record import Entity
from shared.domain.pipelines.model import BuildResult, PipelineRun, RunStatus
from shared.names import INDEXES
from shared.ports.store import Query, Store
from shared.services.artifact_blobs import ArtifactBlobs
from shared.services.blob_retention import BlobRetention
from shared.services.releases import Plan
from shared.services.retention import Retention
from shared.services.tenants import Tenants
from shared.services.unit import Unit
from shared.services.views import Views
from tests.support.app import START
from tests.support.releases import ANN, TENANT, Delivery

YEAR = timedelta(days=365)
ALWAYS = 10 * YEAR


@dataclass
class Kept:
    """A delivery, the totals of its lists, and what keeps it tidy."""

    world: Delivery
    views: Views
    retention: Retention
    artifacts: ArtifactBlobs

    @classmethod
    def of(cls, world: Delivery, store: Store | None = None) -> "Kept":
        tenants = Tenants(world.store)
        views = Views(world.store, INDEXES, feed=world.store, others=(tenants,))
        units = world.units if store is None else replace(world.units, store=store)
        artifacts = ArtifactBlobs(units.store, world.blobs, world.clock)
        return cls(world, views, Retention(units, BlobRetention(artifacts, units.codec), tenants), artifacts)

    async def after(self, time: timedelta) -> list[str]:
        """The kinds of what goes, that long from now."""
        self.world.clock.advance(seconds=time.total_seconds())
        return await self.go()

    async def go(self, *, dry: bool = False) -> list[str]:
        await self.views.catch_up()
        gone = await self.retention.run(dry=dry)
        await self.views.catch_up()
        return [each.kind for each in gone]

    async def there[T: Entity](self, kind: type[T], entity_id: str) -> bool:
        return await self.world.units.find(ANN, kind, entity_id) is not None

    async def total(self, kind: str) -> int:
        return (await self.views.total(TENANT, Query(kind, {}, "created_at"))).count

    async def listed(self, kind: str) -> int:
        return len(await self.world.store.open(TENANT).query(Query(kind, {}, "created_at")))

    async def a_run(self, build: BuildResult) -> PipelineRun:
        """The run of a build, with its log."""
        run = PipelineRun(
            id=build.pipeline_run,
            tenant=TENANT,
            project=build.project,
            module=build.module,
            repository=build.repository,
            pipeline=build.pipeline,
            branch=build.branch,
            commit_sha=build.commit_sha,
            reason="",
            build_number=build.build_number,
            pull_request=None,
            requested_by=ANN.subject,
            status=RunStatus.SUCCEEDED,
            build_result=build.id,
            finished_at=self.world.clock.now(),
            deadline_at=START,
            created_at=build.created_at,
            updated_at=START,
        )
        await self.world.blobs.append(TENANT, run.logs_path, b"a line\n")
        return await self.put(run)

    async def put[T: Entity](self, entity: T) -> T:
        async def turn(unit: Unit) -> T:
            return unit.put(entity)

        return await self.world.units.run(ANN, entity.__record__.root_of(entity.id), turn)

    async def a_release(self, environment: str = "dev") -> tuple[BuildResult, PipelineRun, Plan]:
        """Built, run and deployed (or planned) in that environment."""
        found = await self.world.repositories.find_named(ANN, "proj-x", "api")
        build = await self.world.a_build(found or await self.world.a_repository())
        run = await self.a_run(build)
        plan = await self.world.a_plan(build, environment)
        await self.world.drain()
        return build, run, plan
