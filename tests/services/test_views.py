"""Totals: equal to a recount after any history of writes, repeats, late batches, crashes and rebuilds."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields as fields_of
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import shared.app  # noqa: F401 - registers every record
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.ids import Root
from shared.domain.kernel.record import REGISTRY
from shared.names import INDEXES as DECLARED
from shared.ports.index import Index
from shared.ports.store import Document, Partition, Query, StoreConflict, TenantStore, Write
from shared.services.unit import Unit
from shared.services.views import KEPT_EVERY, Total, Views
from tests.support.app import SteppingClock
from tests.support.views import (
    INDEXES,
    NUMBERS,
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


async def test_a_total_follows_what_was_just_written(store: SqliteStore) -> None:
    views = Views(store, INDEXES, store)
    assert await views.total("acme", Query("item", {}, "at")) == Total(0)
    await put(store, "acme", "item", 1, owner="ann", status="new")
    await put(store, "rival", "item", 1, owner="ann", status="new")
    assert await views.total("acme", Query("item", {"owner": "ann"}, "at")) == Total(1)
    await put(store, "acme", "item", 1, owner="bob", status="new")
    assert await views.total("acme", Query("item", {"owner": "ann"}, "at")) == Total(0)
    assert await views.total("acme", Query("item", {"status": "new", "owner": "bob"}, "at")) == Total(1)


async def test_without_a_feed_a_total_is_what_is_there_and_says_that_it_may_be_behind(
    store: SqliteStore,
) -> None:
    views = Views(store, INDEXES)
    await put(store, "acme", "item", 1, owner="ann")
    assert await views.total("acme", Query("item", {}, "at")) == Total(0, is_exact=False)
    await views.project_batch(await store.changes(0, 100))
    assert await views.total("acme", Query("item", {}, "at")) == Total(1, is_exact=False)


async def test_a_list_waits_for_a_bounded_part_of_the_feed(store: SqliteStore) -> None:
    for number in range(2100):
        await put(store, "acme", "item", number, owner="ann")
    views = Views(store, INDEXES, store)
    first = await views.total("acme", Query("item", {}, "at"))
    assert first == Total(2000, is_exact=False)
    second = await views.total("acme", Query("item", {}, "at"))
    assert second.count == 2100, "and the rest of the feed is what was just written about totals"
    assert await views.total("acme", Query("item", {}, "at")) == Total(2100)


async def test_a_new_process_goes_on_where_the_last_one_was(store: SqliteStore) -> None:
    for number in range(KEPT_EVERY + 10):
        await put(store, "acme", "item", number)
    await Views(store, INDEXES, store).total("acme", Query("item", {}, "at"))
    reads: list[int] = []

    class Watched(SqliteStore):
        def __init__(self) -> None:
            """Only watches: the store behind it is the other one."""

        async def changes(self, after: int, limit: int) -> list[Document]:
            reads.append(after)
            return await store.changes(after, limit)

    again = Views(store, INDEXES, Watched())
    assert (await again.total("acme", Query("item", {}, "at"))).count == KEPT_EVERY + 10
    assert reads[0] >= KEPT_EVERY


async def test_repeats_and_older_versions_change_nothing(store: SqliteStore) -> None:
    views = Views(store, INDEXES)
    await put(store, "acme", "item", 1, owner="ann", status="new")
    [early] = await store.changes(0, 10)
    await put(store, "acme", "item", 1, owner="bob", status="old")
    late = (await store.changes(early.sequence, 10))[:1]
    for batch in (late, [early], late, [early, *late], [*late, early]):
        await views.project(batch)
    await assert_exact(store, views)


async def test_projections_at_once_count_each_change_once(store: SqliteStore) -> None:
    frail = FrailStore(store)
    views = [Views(frail, INDEXES) for _ in range(4)]
    for number in range(40):
        await put(store, "acme", "item", number, owner="ann", status="new")
    early = await store.changes(0, 100)
    for number in range(20):
        await put(store, "acme", "item", number, owner="bob", status="new")
    late = await store.changes(0, 100)
    await asyncio.gather(*(one.project(batch) for one in views for batch in (late, early, early[::-1])))
    await assert_exact(store, views[0])


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_batch_loses_nothing(store: SqliteStore, is_after: bool) -> None:
    fuse = Fuse(is_after=is_after)
    frail = FrailStore(store, fuse)
    for number in range(150):
        await put(store, TENANTS[number % 2], "item", number, owner=OWNERS[number % 3], status="new")
    deaths = 0
    documents = await store.changes(0, 1000)
    while True:
        fuse.left = deaths
        try:
            await Views(frail, INDEXES).project(documents)
        except Died:
            deaths += 1
            continue
        break
    assert deaths >= 2
    fuse.left = None
    await assert_exact(store, Views(store, INDEXES))


class ViewsModel(RuleBasedStateMachine):
    """Any history: writes, batches of the feed held back and given late or twice, crashes, rebuilds."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteStore(Path(self.folder.name) / "store.db", INDEXES, SteppingClock())
        self.fuse = Fuse()
        self.views = Views(FrailStore(self.store, self.fuse), INDEXES)
        self.batches: list[list[Document]] = []
        self.place = 0

    def teardown(self) -> None:
        self.fuse.left = None
        self.runner.run(self.drained())
        self.runner.run(self.store.aclose())
        self.runner.close()
        self.folder.cleanup()

    async def drained(self) -> None:
        """Once the reader of the feed has come to its end, every total is exact."""
        for batch in self.batches:
            await self.views.project(batch)
        while documents := await self.store.changes(self.place, 5):
            await self.views.project(documents)
            self.place = documents[-1].sequence
        await assert_exact(self.store, self.views)

    @rule(
        tenant=st.sampled_from(TENANTS),
        kind=st.sampled_from(["item", "other", "uncounted"]),
        number=st.sampled_from(NUMBERS),
        owner=st.sampled_from(OWNERS),
        status=st.sampled_from(STATUSES),
    )
    def write(self, tenant: str, kind: str, number: int, owner: str | None, status: str) -> None:
        self.runner.run(put(self.store, tenant, kind, number, owner=owner, status=status))

    @rule(limit=st.integers(1, 9), back=st.integers(0, 9))
    def the_feed_is_read(self, limit: int, back: int) -> None:
        """`back` reads again what was read before, as after a crash of the reader."""
        place = max(0, self.place - back)
        if documents := self.runner.run(self.store.changes(place, limit)):
            self.batches.append(documents)
            self.place = max(self.place, documents[-1].sequence)

    @rule(data=st.data(), count=st.integers(1, 3))
    def batches_are_projected_at_once(self, data: st.DataObject, count: int) -> None:
        chosen = [data.draw(st.sampled_from(self.batches)) for _ in range(count) if self.batches]

        async def project() -> None:
            await asyncio.gather(*(self.views.project(batch) for batch in chosen))

        self.runner.run(project())

    @rule(data=st.data(), left=st.integers(0, 2), is_after=st.booleans())
    def a_projection_dies(self, data: st.DataObject, left: int, is_after: bool) -> None:
        if not self.batches:
            return
        self.fuse.left, self.fuse.is_after = left, is_after
        try:
            self.runner.run(self.views.project(data.draw(st.sampled_from(self.batches))))
        except Died:
            pass
        finally:
            self.fuse.left = None

    @rule(left=st.none() | st.integers(0, 12), is_after=st.booleans())
    def the_totals_are_rebuilt(self, left: int | None, is_after: bool) -> None:
        self.fuse.left, self.fuse.is_after = left, is_after
        try:
            self.runner.run(self.views.rebuild(self.store))
        except Died:
            pass
        finally:
            self.fuse.left = None

    @invariant()
    def no_total_is_negative(self) -> None:
        async def totals() -> list[Total]:
            return [await self.views.total(tenant, Query("item", {}, "at")) for tenant in TENANTS]

        assert all(total.count >= 0 for total in self.runner.run(totals()))


TestViews = ViewsModel.TestCase
TestViews.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("index", DECLARED, ids=str)
def test_every_item_of_a_list_has_the_field_of_its_order(index: Index) -> None:
    """A total counts what an index binds, and an index leaves out what lacks its order field."""
    record = REGISTRY[index.kind]
    assert index.order in {one.name for one in fields_of(record)}  # type: ignore[arg-type]
    assert type(None) not in get_args(get_type_hints(record)[index.order])


async def test_what_a_list_counts_is_never_deleted(store: SqliteStore) -> None:
    repository = object.__new__(REGISTRY["repository"])
    unit = object.__new__(Unit)
    with pytest.raises(Permanent, match="never deleted"):
        unit.remove(repository)


async def test_losing_for_ever_is_said_so(store: SqliteStore) -> None:
    class Unlucky(FrailStore):
        def open(self, tenant: str) -> TenantStore:
            return UnluckyTenant(self.inner.open(tenant), self.fuse)

    class UnluckyTenant(FrailTenant):
        def partition(self, root: Root) -> Partition:
            return UnluckyPartition(self.inner.partition(root), self.fuse)

    class UnluckyPartition(FrailPartition):
        async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
            raise StoreConflict("Lost.", writes[0].id)

    await put(store, "acme", "item", 1)
    views = Views(Unlucky(store), INDEXES)
    for lost in (views.project(await store.changes(0, 10)), views.rebuild(store)):
        with pytest.raises(Exception, match="Others keep"):
            await lost
