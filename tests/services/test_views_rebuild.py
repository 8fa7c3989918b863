"""Counting all totals again: while others write, beside another rebuild, and after one that died."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.errors import Conflict
from shared.domain.kernel.ids import Root
from shared.ports.store import Document, Partition, Query, Stretch, TenantStore, Write
from shared.services.views import Drift, Views
from tests.support.app import SteppingClock
from tests.support.views import (
    INDEXES,
    OWNERS,
    STATUSES,
    TENANTS,
    Died,
    FrailPartition,
    FrailStore,
    FrailTenant,
    Fuse,
    assert_exact,
    put,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", INDEXES, SteppingClock())
    yield opened
    await opened.aclose()


async def spoil(store: SqliteStore, generation: str = "1") -> None:
    """One counter says too much, as after a bug."""
    partition = store.open("acme").partition(Root("view", "counts:item"))
    counter = next(one for one in await partition.scan("count:") if one.body["equal"] == {"owner": "ann"})
    body = {**counter.body, "generations": {**counter.body["generations"], generation: 99}}
    await partition.commit([Write("replace", counter.id, counter.kind, body, counter.etag)])


async def test_a_rebuild_corrects_what_was_wrong_and_says_so(store: SqliteStore) -> None:
    views = Views(store, INDEXES, store)
    for number in range(5):
        await put(store, "acme", "item", number, owner="ann", status="new")
    await views.total("acme", Query("item", {}, "at"))
    await spoil(store)
    assert (await views.total("acme", Query("item", {"owner": "ann"}, "at"))).count == 99
    assert await views.rebuild(store) == [Drift("acme", "item", {"owner": "ann"}, 99, 5)]
    await assert_exact(store, views)
    assert await views.rebuild(store) == []
    counted = await store.open("acme").partition(Root("view", "counts:item")).scan("")
    generations = [set(one.body["generations"]) for one in counted if one.id != "head"]
    assert generations == [{"3"}] * len(generations), "older generations are gone"


async def test_a_rebuild_counts_what_nobody_has_projected(store: SqliteStore) -> None:
    await put(store, "acme", "item", 1, owner="ann")
    views = Views(store, INDEXES)
    assert await views.rebuild(store) == []
    await assert_exact(store, views)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
async def test_a_rebuild_that_dies_anywhere_is_begun_anew(store: SqliteStore, is_after: bool) -> None:
    fuse = Fuse(is_after=is_after)
    for number in range(12):
        await put(store, "acme", "item", number, owner=OWNERS[number % 3], status="new")
    await Views(store, INDEXES).project(await store.changes(0, 100))
    deaths = 0
    while True:
        fuse.left = deaths
        try:
            await Views(FrailStore(store, fuse), INDEXES).rebuild(store)
        except Died:
            deaths += 1
            await put(store, "acme", "item", deaths % 12, owner="bob", status="old")
            await Views(store, INDEXES).project((await store.changes(0, 1000))[-1:])
            await assert_exact(store, Views(store, INDEXES))
            continue
        break
    assert deaths > 5
    await assert_exact(store, Views(store, INDEXES))


async def test_of_two_rebuilds_the_later_one_wins(store: SqliteStore) -> None:
    for number in range(30):
        await put(store, "acme", "item", number, owner="ann")
    frail = FrailStore(store)
    results = await asyncio.gather(
        *(Views(frail, INDEXES).rebuild(store) for _ in range(2)), return_exceptions=True
    )
    assert any(isinstance(result, list) for result in results)
    assert all(isinstance(result, list | Conflict) for result in results)
    await assert_exact(store, Views(store, INDEXES))


async def test_a_projection_that_began_before_a_rebuild_leaves_its_counts_alone(store: SqliteStore) -> None:
    """It has read which generations there are, and then meets counters of one that it does not know."""
    counted_some, projected = asyncio.Event(), asyncio.Event()

    class SlowFeed:
        async def read(self, position: str, limit: int) -> Stretch:
            if position:
                counted_some.set()
                await projected.wait()
            return await store.read(position, limit if position else 3)

    class SlowPartition(FrailPartition):
        async def read(self, ids: Sequence[str]) -> dict[str, Document]:
            if ids[0] != "head":
                await counted_some.wait()
            return await self.inner.read(ids)

    class SlowTenant(FrailTenant):
        def partition(self, root: Root) -> Partition:
            return SlowPartition(self.inner.partition(root), self.fuse)

    class SlowStore(FrailStore):
        def open(self, tenant: str) -> TenantStore:
            return SlowTenant(self.inner.open(tenant), self.fuse)

    async def project() -> None:
        await Views(SlowStore(store), INDEXES).project(documents[3:])
        projected.set()

    for number in range(4):
        await put(store, "acme", "item", number, owner="ann", status="new")
    documents = await store.changes(0, 100)
    await Views(store, INDEXES).project(documents[:3])
    projecting = asyncio.create_task(project())
    await asyncio.sleep(0.01)
    assert await Views(store, INDEXES).rebuild(SlowFeed()) == []
    await projecting
    await assert_exact(store, Views(store, INDEXES))


@pytest.mark.parametrize("seed", range(5))
async def test_a_rebuild_during_writes_ends_exact(store: SqliteStore, seed: int) -> None:
    frail = FrailStore(store)
    projector = Views(frail, INDEXES)
    for number in range(20):
        await put(store, "acme", "item", number, owner="ann", status="new")

    async def write() -> None:
        for number in range(120):
            owner, status = OWNERS[(number + seed) % 3], STATUSES[number % 2]
            await put(frail, TENANTS[number % 2], "item", number * 7 % 31, owner=owner, status=status)

    async def follow(writing: Awaitable[None]) -> None:
        after = 0
        done = asyncio.ensure_future(writing)
        while True:
            is_last = done.done()
            documents = await store.changes(after, 3)
            await projector.project(documents)
            after = documents[-1].sequence if documents else after
            if is_last and not documents:
                return

    await asyncio.gather(follow(write()), Views(frail, INDEXES).rebuild(store))
    await assert_exact(store, projector)


async def test_a_rebuild_that_another_took_over_gives_up(store: SqliteStore) -> None:
    """What it counted is no longer kept up: showing it would show a total that stands still."""

    @dataclass
    class Overtaken:
        """Another rebuild begins and dies once this one has counted; then an item changes."""

        is_first: bool = True

        async def read(self, position: str, limit: int) -> Stretch:
            if position and self.is_first:
                self.is_first = False
                with pytest.raises(Died):
                    await Views(FrailStore(store, Fuse(left=2)), INDEXES).rebuild(store)
                await put(store, "acme", "item", 1, owner="bob", status="new")
                await Views(store, INDEXES).project((await store.changes(int(position), 100))[-1:])
            return await store.read(position, limit)

    for number in range(3):
        await put(store, "acme", "item", number, owner="ann", status="new")
    with pytest.raises(Conflict, match="Another rebuild"):
        await Views(store, INDEXES).rebuild(Overtaken())
    await assert_exact(store, Views(store, INDEXES, store))


async def test_a_rebuild_counts_from_nothing_also_after_one_that_died(store: SqliteStore) -> None:
    await put(store, "acme", "item", 1, owner="ann", status="new")
    # Two kinds are announced; it dies when it would show what it counted.
    with pytest.raises(Died):
        await Views(FrailStore(store, Fuse(left=3)), INDEXES).rebuild(store)
    await spoil(store, "2")
    await Views(store, INDEXES).rebuild(store)
    await assert_exact(store, Views(store, INDEXES))
