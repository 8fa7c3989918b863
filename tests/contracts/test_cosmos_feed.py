"""The feed and the lists of the store on Cosmos DB, over partition ranges: many, and some that split."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from azure.cosmos.partition_key import PartitionKey

from shared.adapters.azure.cosmos import CosmosStore
from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.ids import Root
from shared.ports.store import Document, Feed, Partition, Query, Write
from tests.contracts.conftest import INDEXES, StillClock
from tests.contracts.cosmos_site import StandInSite
from tests.standins.cosmos.catalogue import Container
from tests.standins.cosmos.errors import Refused
from tests.standins.cosmos.feed import Span
from tests.standins.cosmos.ranges import Ranges

ROOT = Root("box", "1")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def store(cosmos: StandInSite, clock: StillClock) -> AsyncIterator[CosmosStore]:
    opened = cosmos.store(INDEXES, clock)
    yield opened
    await opened.aclose()


def create(name: str, **body: Any) -> Write:
    return Write("create", name, "thing", body)


async def fed(feed: Feed, position: str = "", limit: int = 10) -> list[Document]:
    everything: list[Document] = []
    while (stretch := await feed.read(position, limit)).documents:
        everything += stretch.documents
        position = stretch.position
    return everything


async def test_the_feed_gives_a_batch_whole_and_goes_on_in_another_process(
    cosmos: StandInSite, clock: StillClock
) -> None:
    database = cosmos.database(INDEXES)
    before = cosmos.store(INDEXES, clock, database=database)
    partition = before.open("acme").partition(ROOT)
    for batch in range(3):
        await partition.commit([create(f"{batch}:{n}") for n in range(5)])
    first = await before.read("", 2)
    await before.aclose()
    assert [found.id for found in first.documents] == [f"0:{n}" for n in range(5)]
    after = cosmos.store(INDEXES, clock, database=database)
    rest = await fed(after, first.position, limit=2)
    assert [found.id for found in rest] == [f"{batch}:{n}" for batch in (1, 2) for n in range(5)]
    assert len({found.sequence for found in rest}) == 2  # of one batch, of one place
    await after.aclose()


async def test_a_stretch_of_expired_documents_does_not_look_like_the_end(
    store: CosmosStore, clock: StillClock
) -> None:
    partition = store.open("acme").partition(ROOT)
    soon = clock.now() + timedelta(seconds=30)
    for number in range(7):
        await partition.commit([Write("create", f"gone:{number}", "thing", expires_at=soon)])
    await partition.commit([create("here")])
    clock.advance(seconds=30)
    assert [found.id for found in (await store.read("", 1)).documents] == ["here"]


@pytest.mark.parametrize("position", ["nonsense", "12", "[]", "[1]", '[[{}, "x"]]', "[[{}, 1]]"])
async def test_a_position_that_is_none_is_refused(store: CosmosStore, position: str) -> None:
    with pytest.raises(Permanent, match="from the start"):
        await store.read(position, 10)


async def test_a_position_of_another_container_is_refused(
    cosmos: StandInSite, store: CosmosStore, clock: StillClock
) -> None:
    position = (await store.read("", 1)).position
    other = cosmos.store(INDEXES, clock)
    with pytest.raises(Permanent, match="from the start"):
        await other.read(position, 10)
    await other.aclose()


def cuts() -> tuple[str, str]:
    """Between the roots of the tenant `acme`."""
    key = PartitionKey(["/tenantId", "/root"], kind="MultiHash")
    keys = sorted(
        str(key._get_effective_partition_key_string(["acme", f"box:{number}"])) for number in range(12)
    )
    return keys[4], keys[8]


@dataclass(frozen=True)
class SplitRanges(Ranges):
    """Those that one range was split into. It is gone, and they have names of their own."""

    @property
    def etag(self) -> str:
        return '"ranges-split"'

    def span(self, name: str) -> Span:
        if not name.startswith("1"):
            raise Refused(410, "Gone", "The requested partition key range is no longer available.", 1002)
        return super().span(name[1:])

    def name_of(self, epk: str) -> str:
        return f"1{super().name_of(epk)}"

    def resource(self, container: Container) -> dict[str, Any]:
        named = Ranges(self.cuts).resource(container)
        for one in named["PartitionKeyRanges"]:
            one |= {"id": f"1{one['id']}", "parents": ["0"]}
        return named


@pytest.fixture(scope="module")
def cut_site() -> Iterator[StandInSite]:
    cosmos = StandInSite(cuts=cuts())
    yield cosmos
    cosmos.close()


@pytest.fixture
async def cut_store(cut_site: StandInSite, clock: StillClock) -> AsyncIterator[CosmosStore]:
    opened = cut_site.store(INDEXES, clock)
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("descending", [False, True])
async def test_a_tenant_in_several_ranges_is_listed_in_one_order(
    cut_store: CosmosStore, descending: bool
) -> None:
    """The SDK answers such a query range after range, each with its own order, offset and limit."""
    tenant = cut_store.open("acme")
    items = [(number * 7 % 5, f"thing:{number:02}") for number in range(24)]
    for number, (at, name) in enumerate(items):
        await tenant.partition(Root("box", str(number % 12))).commit([create(name, at=at)])
        await cut_store.open("rival").partition(Root("box", str(number % 12))).commit([create(name, at=at)])
    wanted = sorted(items, reverse=descending)

    async def listed(**query: Any) -> list[tuple[int, str]]:
        page = await tenant.query(Query("thing", {}, "at", descending, **query))
        return [(found.body["at"], found.id) for found in page]

    assert await listed(limit=100) == wanted
    for skip in (0, 1, 7, 23, 24):
        assert await listed(limit=5, skip=skip) == wanted[skip : skip + 5]
    seen: list[tuple[int, str]] = []
    while page := await listed(limit=5, after=seen[-1] if seen else None):
        seen += page
    assert seen == wanted
    walk = await tenant.walk(Query("thing", {}, "at", descending, limit=6, skip=3))
    assert [(found.body["at"], found.id) for found in walk.documents] == wanted[3:9]


async def test_the_feed_goes_through_every_range_and_comes_back(
    cut_site: StandInSite, clock: StillClock
) -> None:
    database = cut_site.database(INDEXES)
    store = cut_site.store(INDEXES, clock, database=database)
    roots: list[Partition] = [store.open("acme").partition(Root("box", str(n))) for n in range(12)]
    for number, partition in enumerate(roots):
        etags = await partition.commit([create("a", n=number), create("b", n=number)])
        await partition.commit([Write("replace", "a", "thing", {"n": number}, etag=etags["a"])])
    position, seen = "", list[Document]()
    while True:
        # Every stretch in another process.
        reader = cut_site.store(INDEXES, clock, database=database)
        stretch = await reader.read(position, 3)
        await reader.aclose()
        position = stretch.position
        if not stretch.documents:
            break
        seen += stretch.documents
    assert len(seen) == 24
    for number in range(12):
        assert [one.id for one in seen if one.root == f"box:{number}"] == ["b", "a"]
    await roots[7].commit([create("late")])
    assert [found.id for found in await fed(store, position)] == ["late"]
    await store.aclose()


@pytest.fixture
async def split(clock: StillClock) -> AsyncIterator[CosmosStore]:
    """Twelve things in twelve roots, `at` 0 to 4; the range has been split since it was last asked."""
    cosmos = StandInSite()
    store = cosmos.store(INDEXES, clock)
    for number in range(12):
        partition = store.open("acme").partition(Root("box", str(number)))
        await partition.commit([create(f"thing:{number:02}", at=number * 7 % 5)])
    assert len(await store.open("acme").query(Query("thing", {}, "at"))) == 12
    assert len((await store.read("", 5)).documents) == 5
    cosmos.server._ranges = SplitRanges(cuts())
    yield store
    await store.aclose()
    cosmos.close()


async def test_a_list_whose_range_splits_under_it_is_right(split: CosmosStore) -> None:
    """The first answers are those of a query that counted its offset in every part."""
    wanted = sorted((number * 7 % 5, f"thing:{number:02}") for number in range(12))
    page = await split.open("acme").query(Query("thing", {}, "at", limit=5, skip=3))
    assert [(found.body["at"], found.id) for found in page] == wanted[3:8]


async def test_a_feed_whose_range_splits_before_it_was_read_can_be_kept(split: CosmosStore) -> None:
    seen = await fed(split, limit=2)
    assert sorted(found.id for found in seen) == [f"thing:{number:02}" for number in range(12)]


async def test_a_feed_whose_range_splits_goes_on_and_repeats_nothing(clock: StillClock) -> None:
    cosmos = StandInSite()
    store = cosmos.store(INDEXES, clock)
    roots = [store.open("acme").partition(Root("box", str(number))) for number in range(12)]
    for number, partition in enumerate(roots):
        await partition.commit([create(f"thing:{number:02}")])
    first = await store.read("", 5)
    cosmos.server._ranges = SplitRanges(cuts())
    seen = first.documents + await fed(store, first.position, limit=2)
    assert sorted(found.id for found in seen) == [f"thing:{number:02}" for number in range(12)]
    await roots[5].commit([create("late")])
    assert (await roots[5].read(["late", "thing:05"])).keys() == {"late", "thing:05"}
    await store.aclose()
    cosmos.close()
