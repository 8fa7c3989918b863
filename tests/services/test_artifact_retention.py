"""Content that builds share goes with the last of them, whatever dies, and whoever records it just now."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.deployments.model import Deployment
from shared.domain.environments.model import Current
from shared.domain.gitops.model import Manifest
from shared.domain.images.model import BuildImages, ContainerImage, build_images_id, image_id
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.errors import Transient
from shared.domain.kernel.ids import root_id
from shared.domain.kernel.record import Entity
from shared.domain.packages.model import PackagePublication, package_key, publication_id
from shared.domain.packages.naming import PackageType
from shared.domain.pipelines.model import BuildResult, PipelineRun
from shared.domain.promotions.model import Promotion
from shared.domain.releases.model import Release, release_id
from shared.domain.retention.periods import BUILDS, GRACE, RELEASES, USUAL
from shared.ports.blobs import BlobInfo
from shared.services.artifact_blobs import PATIENCE, ArtifactBlobs, stored_at
from shared.services.blob_retention import BlobRetention
from tests.support.releases import ANN, MODULE, PROJECT, TENANT, Crash, DyingStore, a_delivery
from tests.support.retention import Kept

RUN = root_id("run", TENANT, "somebody", "1")
DATA = b"what was made"
DIGEST = f"sha256:{sha256_hex(DATA)}"
DAY = timedelta(days=1)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    world = a_delivery(tmp_path)
    made = Kept.of(world)
    await a_build(made, "the first")
    await made.go()
    assert await made.after(GRACE) == [], "from now on every build has its references"
    yield made
    await world.store.aclose()


async def a_build(kept: Kept, content: str) -> BuildResult:
    world = kept.world
    found = await world.repositories.find_named(ANN, PROJECT, "api")
    repository = found or await world.a_repository()
    build = await world.a_build(repository, content=content, created_at=world.clock.now())
    for part in build.artifacts:
        await kept.artifacts.claim(TENANT, part.digest, build.pipeline_run)
    return build


async def store(kept: Kept) -> None:
    """As somebody does who is about to record a build."""
    if await kept.artifacts.claim(TENANT, DIGEST, RUN) is None:
        await kept.world.blobs.put(TENANT, stored_at(DIGEST), DATA)


async def is_stored(kept: Kept, digest: str = DIGEST) -> bool:
    return await kept.world.blobs.info(TENANT, stored_at(digest)) is not None


async def test_content_goes_with_the_last_build_that_has_it(kept: Kept) -> None:
    old = await a_build(kept, "shared")
    kept.world.clock.advance(seconds=(200 * DAY).total_seconds())
    new = await a_build(kept, "shared")
    (digest,) = {part.digest for part in (*old.artifacts, *new.artifacts)}
    assert await kept.after(170 * DAY) == ["build-result", "build-result"], "the first one, and the old one"
    assert await kept.after(GRACE) == ["artifact"], "of the first one alone"
    assert await is_stored(kept, digest)
    assert await kept.after(200 * DAY) == ["build-result"]
    assert await is_stored(kept, digest), "a day of grace"
    kept.world.clock.advance(seconds=GRACE.total_seconds())
    assert await kept.go(dry=True) == ["artifact"]
    assert await is_stored(kept, digest)
    assert await kept.go() == ["artifact"]
    assert not await is_stored(kept, digest)
    assert await kept.go() == []


async def test_content_that_nobody_came_to_record_goes_after_a_day(kept: Kept) -> None:
    await store(kept)
    assert await kept.after(GRACE / 2) == []
    await store(kept)
    assert await kept.after(GRACE * 0.75) == [], "it was claimed again"
    assert await kept.after(GRACE / 2) == ["artifact"]
    assert not await is_stored(kept)


async def test_builds_from_before_there_were_references_keep_their_content(tmp_path: Path) -> None:
    world = a_delivery(tmp_path)
    kept = Kept.of(world)
    repository = await world.a_repository()
    builds = [
        await world.a_build(repository, content="same", created_at=world.clock.now() + step * 100 * DAY)
        for step in range(3)
    ]
    digest = builds[0].artifacts[0].digest
    await kept.go()
    assert await kept.after(370 * DAY) == ["build-result"]
    assert await kept.after(100 * DAY) == ["build-result"]
    assert await is_stored(kept, digest)
    assert await kept.after(100 * DAY) == ["build-result"]
    assert await kept.after(GRACE) == ["artifact"]
    await world.store.aclose()


class _Stolen:
    """Blobs; just before one is deleted, somebody claims it."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.refused = 0

    async def info(self, tenant: str, path: str) -> BlobInfo | None:
        return await self._kept.world.blobs.info(tenant, path)

    async def delete(self, tenant: str, path: str) -> None:
        try:
            await store(self._kept)
        except Transient:
            self.refused += 1
        await self._kept.world.blobs.delete(tenant, path)


async def test_whoever_records_content_while_it_is_removed_is_told_to_come_again(kept: Kept) -> None:
    await store(kept)
    kept.world.clock.advance(seconds=GRACE.total_seconds())
    blobs = _Stolen(kept)
    artifacts = ArtifactBlobs(kept.world.store, blobs, kept.world.clock)  # type: ignore[arg-type]
    codec = kept.world.units.codec
    assert await BlobRetention(artifacts, codec).run(TENANT, dry=False) == [DIGEST]
    assert blobs.refused == 1
    await store(kept)
    assert await is_stored(kept)
    assert await kept.go() == []


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3])
async def test_a_removal_that_dies_is_ended_by_the_next_or_taken_back(
    kept: Kept, at: int, written: bool
) -> None:
    await store(kept)
    kept.world.clock.advance(seconds=GRACE.total_seconds())
    dying = DyingStore(kept.world.store, at, written)
    dying.armed = True
    with suppress(Crash):
        await Kept.of(kept.world, dying).retention.run()
    kept.world.clock.advance(seconds=PATIENCE.total_seconds())
    await store(kept)
    assert await is_stored(kept)
    assert await kept.go() == [], "it is claimed"
    assert await kept.after(GRACE) == ["artifact"]
    assert not await is_stored(kept)
    assert await kept.go() == []


async def test_many_are_looked_at_in_parts(kept: Kept) -> None:
    for number in range(5):
        await kept.artifacts.claim(TENANT, f"sha256:{number:064}", RUN)
    kept.world.clock.advance(seconds=GRACE.total_seconds())
    retention = BlobRetention(kept.artifacts, kept.world.units.codec, most=2)
    assert [len(await retention.run(TENANT, dry=False)) for _ in range(4)] == [2, 2, 1, 0]


STEPS = st.tuples(
    st.sampled_from(("build", "release", "package", "image", "orphan", "retention")),
    st.sampled_from((0, 1, 30, 200, 366, 900, 2558)),
    st.integers(0, 2),
)


@dataclass
class _History:
    """What was made, and what has to hold of it at any time."""

    kept: Kept
    builds: list[BuildResult] = field(default_factory=list)
    before: set[str] = field(default_factory=set)
    """Digests that builds had when retention was last run, and before that."""

    async def step(self, what: str, which: int) -> None:
        build = self.builds[-1 - which] if which < len(self.builds) else None
        match what:
            case "build":
                build = await a_build(self.kept, f"content {which}")
                await self.kept.a_run(build)
                self.builds.append(build)
            case "orphan":
                await store(self.kept)
            case "retention":
                await self.tidy()
            case _ if build is not None and await self.kept.there(BuildResult, build.id):
                await {"release": self._release, "package": self._package, "image": self._image}[what](build)

    async def _release(self, build: BuildResult) -> None:
        component = root_id("component", TENANT, PROJECT, MODULE)
        is_old = USUAL.is_over(BUILDS, build.created_at, self.kept.world.clock.now())
        if is_old or await self.kept.there(Release, release_id(component, build.id)):
            return
        await self.kept.world.a_plan(build)
        await self.kept.world.drain()

    async def _package(self, build: BuildResult) -> None:
        key = package_key(TENANT, "main", PackageType.NPM, f"p{build.build_number}")
        made = PackagePublication(
            id=publication_id(key, PackageType.NPM, "1.0.0", "p.tgz"),
            tenant=TENANT,
            project=PROJECT,
            module=MODULE,
            build_result=build.id,
            feed="main",
            package_type=PackageType.NPM,
            package_id="p",
            name="p",
            version="1.0.0",
            normalized_version="1.0.0",
            digest=build.artifacts[0].digest,
            source=build.artifacts[0].ref,
            file_name="p.tgz",
            created_by=ANN.subject,
            created_at=build.created_at,
            updated_at=build.created_at,
        )
        if not await self.kept.there(PackagePublication, made.id):
            await self.kept.put(made)

    async def _image(self, build: BuildResult) -> None:
        made = ContainerImage(
            id=image_id(build.id, "embedded", "shop/orders", "1", DIGEST),
            tenant=TENANT,
            project=PROJECT,
            module=MODULE,
            build_result=build.id,
            registry="embedded",
            repository="shop/orders",
            tag="1",
            digest=DIGEST,
            archive=build.artifacts[0].ref,
            created_by=ANN.subject,
            created_at=build.created_at,
            updated_at=build.created_at,
        )
        if not await self.kept.there(ContainerImage, made.id):
            await self.kept.put(made)
            held = BuildImages(id=build_images_id(build.id), tenant=TENANT, build_result=build.id)
            await self.kept.put(held)

    async def tidy(self) -> None:
        had = await self._digests()
        await self.kept.go()
        await self.check(had | self.before)
        self.before = had

    async def check(self, had: set[str]) -> None:
        now = self.kept.world.clock.now()
        builds = {each.id: each for each in await self._all(BuildResult)}
        releases = {each.id: each for each in await self._all(Release)}
        users = {release.source.build_result for release in releases.values()}
        for publication in await self._all(PackagePublication):
            users.add(publication.build_result or "")
            assert await is_stored(self.kept, publication.digest)
        for image in await self._all(ContainerImage):
            users.add(image.build_result)
            assert await self.kept.world.blobs.info(TENANT, image.archive or "")
        assert users <= builds.keys(), "what something kept was made from is kept"
        for release in releases.values():
            for part in release.components:
                assert await is_stored(self.kept, part.digest)
        for build in builds.values():
            assert await self.kept.there(PipelineRun, build.pipeline_run)
            assert await is_stored(self.kept, build.artifacts[0].digest)
            is_due = USUAL.is_due(BUILDS, build.created_at, now)
            assert not is_due or build.id in users, "nothing keeps it"
        for deployment in await self._all(Deployment):
            assert deployment.release in releases
            assert deployment.manifest is None or await self.kept.there(Manifest, deployment.manifest)
        promoted = {each.release: each.updated_at for each in await self._all(Promotion)}
        assert promoted.keys() <= releases.keys()
        running = {key for each in await self._all(Current) for key in (each.release, each.previous_release)}
        for key, at in promoted.items():
            assert key in running or not USUAL.is_due(RELEASES, at, now), "nothing keeps it"
        wanted = await self._digests()
        for digest in {part.digest for build in self.builds for part in build.artifacts} - wanted - had:
            assert not await is_stored(self.kept, digest), "nobody has had it for a day"

    async def _digests(self) -> set[str]:
        return {part.digest for build in await self._all(BuildResult) for part in build.artifacts}

    async def _all[T: Entity](self, kind: type[T]) -> list[T]:
        rows = await self.kept.world.store.changes(0, 100_000)
        found = {row.id: row for row in rows if row.kind == kind.__record__.kind}
        return [self.kept.world.units.codec.decode(kind, row.body) for row in found.values()]


@settings(max_examples=20, deadline=None)
@given(st.lists(STEPS, min_size=4, max_size=12))
def test_at_any_time_what_is_kept_is_whole_and_what_is_due_is_gone(
    steps: list[tuple[str, int, int]],
) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = a_delivery(Path(folder))
            history = _History(Kept.of(world))
            await history.step("build", 0)
            await history.tidy()
            for what, days, which in steps:
                world.clock.advance(seconds=(days * DAY).total_seconds())
                await history.step(what, which)
            for days in (1, 366, 2560, 1, 1):
                world.clock.advance(seconds=((days + 0.1) * DAY).total_seconds())
                await history.tidy()
            assert await is_stored(history.kept) is False
            await world.store.aclose()

    asyncio.run(live())
