"""What every document store promises."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.ids import Root
from shared.ports.store import (
    BatchTooLarge,
    Document,
    Feed,
    Partition,
    Query,
    StoreConflict,
    TenantStore,
    Write,
)
from tests.contracts.conftest import STORES, FeedingStore, StillClock
from tests.support.app import SteppingClock

ROOT = Root("box", "1")


@pytest.fixture
def tenant(store: FeedingStore) -> TenantStore:
    return store.open("acme")


@pytest.fixture
def partition(tenant: TenantStore) -> Partition:
    return tenant.partition(ROOT)


def create(name: str, **body: Any) -> Write:
    return Write("create", name, "thing", body)


async def ids_by(tenant: TenantStore, **query: Any) -> list[str]:
    return [found.id for found in await tenant.query(Query("thing", **query))]


async def fed(feed: Feed, position: str = "", limit: int = 3) -> list[Document]:
    """All that the feed has after that position, read in stretches of about `limit`."""
    everything: list[Document] = []
    while (stretch := await feed.read(position, limit)).documents:
        everything += stretch.documents
        position = stretch.position
    return everything


async def test_what_is_written_is_read_back_whole(partition: Partition) -> None:
    body = {"text": 'Grüße "\\ \u0000 \U0001f680', "n": -1, "yes": True, "no": None, "deep": [{"a": 0.5}]}
    etags = await partition.commit([create("a", **body)])
    document = (await partition.read(["a", "absent"]))["a"]
    assert document.body == body
    assert (document.tenant, document.root, document.kind) == ("acme", "box:1", "thing")
    assert {"a": document.etag} == etags


async def test_reading_nothing_gives_nothing_and_missing_ids_are_left_out(partition: Partition) -> None:
    assert await partition.read([]) == {}
    assert await partition.read(["absent"]) == {}


async def test_an_empty_batch_is_fine(partition: Partition) -> None:
    assert await partition.commit([]) == {}


async def test_creating_what_exists_is_a_conflict_that_names_it(partition: Partition) -> None:
    await partition.commit([create("a", n=1)])
    with pytest.raises(StoreConflict) as lost:
        await partition.commit([create("b"), create("a", n=2)])
    assert lost.value.document == "a"
    found = await partition.read(["a", "b"])
    assert found["a"].body == {"n": 1}
    assert "b" not in found


@pytest.mark.parametrize("etag", [None, "", "stale", "0"])
async def test_replacing_or_deleting_without_the_current_etag_is_a_conflict(
    partition: Partition, etag: str | None
) -> None:
    await partition.commit([create("a", n=1)])
    for write in (
        Write("replace", "a", "thing", {"n": 2}, etag=etag),
        Write("delete", "a", "thing", etag=etag),
    ):
        with pytest.raises(StoreConflict) as lost:
            await partition.commit([create("b"), write])
        assert lost.value.document == "a"
    assert (await partition.read(["a", "b"])).keys() == {"a"}


async def test_an_etag_is_good_for_one_write(partition: Partition) -> None:
    first = (await partition.commit([create("a")]))["a"]
    second = (await partition.commit([Write("replace", "a", "thing", {"n": 2}, etag=first)]))["a"]
    assert first != second
    with pytest.raises(StoreConflict):
        await partition.commit([Write("replace", "a", "thing", {"n": 3}, etag=first)])
    assert await partition.commit([Write("delete", "a", "thing", etag=second)]) == {}
    assert await partition.read(["a"]) == {}


async def test_an_etag_does_not_survive_delete_and_create(partition: Partition) -> None:
    first = (await partition.commit([create("a")]))["a"]
    await partition.commit([Write("delete", "a", "thing", etag=first)])
    await partition.commit([create("a")])
    with pytest.raises(StoreConflict):
        await partition.commit([Write("delete", "a", "thing", etag=first)])


async def test_an_upsert_writes_over_anything_and_changes_the_etag(partition: Partition) -> None:
    first = await partition.commit([Write("upsert", "a", "thing", {"n": 1})])
    second = await partition.commit([Write("upsert", "a", "other", {"n": 2})])
    assert first["a"] != second["a"]
    document = (await partition.read(["a"]))["a"]
    assert (document.kind, document.body, document.etag) == ("other", {"n": 2}, second["a"])


async def test_a_batch_is_bounded_by_operations(partition: Partition) -> None:
    await partition.commit([create(f"{n:03}") for n in range(100)])
    with pytest.raises(BatchTooLarge):
        await partition.commit([create(f"more-{n}") for n in range(101)])
    assert await partition.scan("more-") == []


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_a_batch_is_bounded_by_bytes(partition: Partition) -> None:
    half = "x" * (1024 * 1024 - 1024)  # what an adapter writes beside a body counts as well
    await partition.commit([create("a", s=half), create("b", s=half)])
    with pytest.raises(BatchTooLarge):
        await partition.commit([create("c", s=half), create("d", s=half + "x" * 2048)])
    assert (await partition.read(["a", "b", "c", "d"])).keys() == {"a", "b"}


async def test_a_batch_names_a_document_once(partition: Partition) -> None:
    with pytest.raises(Permanent, match=r"once.* a "):
        await partition.commit([create("a"), Write("upsert", "a", "thing")])
    assert await partition.read(["a"]) == {}


async def test_tenants_and_roots_do_not_see_each_other(store: FeedingStore, partition: Partition) -> None:
    await partition.commit([create("a", at=1)])
    for other in (store.open("acme").partition(Root("box", "2")), store.open("rival").partition(ROOT)):
        assert await other.read(["a"]) == {}
        assert await other.scan("") == []
        await other.commit([create("a", at=2)])
    assert (await partition.read(["a"]))["a"].body == {"at": 1}
    assert len(await store.open("rival").query(Query("thing", {}, "at"))) == 1


async def test_an_expired_document_is_gone_at_once(
    store: FeedingStore, tenant: TenantStore, partition: Partition, clock: SteppingClock
) -> None:
    expires_at = clock.now() + timedelta(minutes=1)
    etags = await partition.commit([Write("create", "a", "thing", {"at": 1}, expires_at=expires_at)])
    assert (await partition.read(["a"])).keys() == {"a"}
    clock.advance(minutes=1)
    assert await partition.read(["a"]) == {}
    assert await partition.scan("") == []
    assert await tenant.query(Query("thing", {}, "at")) == []
    assert await fed(store) == []
    for op in ("replace", "delete"):
        with pytest.raises(StoreConflict):
            await partition.commit([Write(op, "a", "thing", etag=etags["a"])])
    await partition.commit([create("a", at=2)])
    clock.advance(days=9)
    assert (await partition.read(["a"]))["a"].body == {"at": 2}


@pytest.mark.parametrize("adapter", STORES)
async def test_a_document_is_gone_in_the_very_moment_it_expires(adapter: str, tmp_path: Path) -> None:
    clock = StillClock()
    store = STORES[adapter](tmp_path, [], clock)
    partition = store.open("acme").partition(ROOT)
    write = Write("create", "a", "thing", expires_at=clock.now() + timedelta(seconds=1))
    await partition.commit([write])
    clock.advance(seconds=0.999999)
    assert (await partition.read(["a"])).keys() == {"a"}
    clock.advance(seconds=0.000001)
    assert await partition.read(["a"]) == {}
    await partition.commit([create("a")])
    await store.aclose()


async def test_a_replace_sets_the_expiry_anew(partition: Partition, clock: SteppingClock) -> None:
    soon = clock.now() + timedelta(minutes=1)
    etag = (await partition.commit([Write("create", "a", "thing", expires_at=soon)]))["a"]
    await partition.commit([Write("replace", "a", "thing", etag=etag)])
    clock.advance(days=1)
    assert (await partition.read(["a"])).keys() == {"a"}


async def test_a_scan_pages_through_a_prefix_by_id(partition: Partition) -> None:
    names = ["a", "b", "b:", "b:1", "b:10", "b:2", "b;", "c", "b:é"]
    await partition.commit([create(name) for name in names])
    wanted = sorted(name for name in names if name.startswith("b:"))
    assert [found.id for found in await partition.scan("b:")] == wanted
    seen: list[str] = []
    while page := await partition.scan("b:", after=seen[-1] if seen else "", limit=2):
        assert len(page) <= 2
        seen += [found.id for found in page]
    assert seen == wanted
    assert [found.id for found in await partition.scan("")] == sorted(names)


@pytest.mark.parametrize("descending", [False, True])
async def test_a_query_pages_through_one_order_over_all_roots(tenant: TenantStore, descending: bool) -> None:
    items = [(number % 4, f"thing:{number:02}") for number in range(17)]
    for number, (at, name) in enumerate(items):
        await tenant.partition(Root("box", str(number % 3))).commit([create(name, at=at, color="red")])
    await tenant.partition(ROOT).commit(
        [create("thing:blue", at=1, color="blue"), create("thing:bare", color="red")]
    )
    for where in ({}, {"color": "red"}):
        seen: list[tuple[int, str]] = []
        query = Query("thing", where, "at", descending=descending, limit=5)
        while page := await tenant.query(query):
            assert len(page) <= 5
            seen += [(found.body["at"], found.id) for found in page if found.id != "thing:blue"]
            query = Query("thing", where, "at", descending, (page[-1].body["at"], page[-1].id), 5)
        assert seen == sorted(items, reverse=descending)


async def test_equality_is_by_type_as_well(tenant: TenantStore) -> None:
    values = {"true": True, "one": 1, "text": "1", "false": False, "zero": 0, "null": None}
    await tenant.partition(ROOT).commit(
        [create(name, color='"é', on=value, number=1) for name, value in values.items()]
    )
    for name, value in values.items():
        if value is not None:
            where = {"on": value, "color": '"é'}
            assert await ids_by(tenant, where=where, order="number") == [name]


async def test_a_query_follows_a_document_that_changes(tenant: TenantStore) -> None:
    partition = tenant.partition(ROOT)
    etag = (await partition.commit([create("a", color="red", at=1)]))["a"]
    await partition.commit([Write("replace", "a", "thing", {"color": "blue", "at": 1}, etag=etag)])
    assert await ids_by(tenant, where={"color": "red"}, order="at") == []
    assert await ids_by(tenant, where={"color": "blue"}, order="at") == ["a"]


async def test_a_query_that_no_index_serves_is_refused_with_those_that_would(tenant: TenantStore) -> None:
    for query in (Query("thing", {"size": 1}, "at"), Query("thing", {}, "number"), Query("other", {}, "at")):
        with pytest.raises(Permanent, match="No index serves"):
            await tenant.query(query)
    with pytest.raises(Permanent, match=r"\(color, on\) in the order of number"):
        await tenant.query(Query("thing", {"color": "red"}, "number"))


async def test_the_feed_gives_every_latest_version_once_in_commit_order(store: FeedingStore) -> None:
    acme, rival = store.open("acme").partition(ROOT), store.open("rival").partition(ROOT)
    etags = await acme.commit([create("a"), create("b"), create("gone")])
    await rival.commit([create("a")])
    await acme.commit(
        [
            Write("replace", "a", "thing", {"n": 2}, etag=etags["a"]),
            Write("delete", "gone", "thing", etag=etags["gone"]),
        ]
    )
    for limit in (1, 2, 10):
        everything = await fed(store, limit=limit)
        assert sorted((found.tenant, found.id) for found in everything) == [
            ("acme", "a"),
            ("acme", "b"),
            ("rival", "a"),
        ]
        assert [found.id for found in everything if found.tenant == "acme"] == ["b", "a"]


async def test_the_feed_shows_what_comes_after_a_deleted_last_document(store: FeedingStore) -> None:
    partition = store.open("acme").partition(ROOT)
    etag = (await partition.commit([create("a")]))["a"]
    position = (await store.read("", 10)).position
    await partition.commit([Write("delete", "a", "thing", etag=etag)])
    await partition.commit([create("b")])
    assert [found.id for found in await fed(store, position)] == ["b"]


async def test_what_the_feed_gives_is_what_a_read_gives(store: FeedingStore, partition: Partition) -> None:
    await partition.commit([create("a", n=1), create("b", n=2)])
    found = await partition.read(["a", "b"])
    for document in await fed(store):
        read = found[document.id]
        assert (document.tenant, document.root, document.kind) == (read.tenant, read.root, read.kind)
        assert (document.body, document.etag) == (read.body, read.etag)
        assert document.sequence > 0


async def test_a_feed_with_nothing_new_says_so_and_goes_on_later(
    store: FeedingStore, partition: Partition
) -> None:
    empty = await store.read("", 10)
    assert empty.documents == []
    await partition.commit([create("a")])
    first = await store.read(empty.position, 10)
    assert [found.id for found in first.documents] == ["a"]
    nothing = await store.read(first.position, 10)
    assert nothing.documents == []
    await partition.commit([create("b")])
    for position in (first.position, nothing.position):
        assert [found.id for found in (await store.read(position, 10)).documents] == ["b"]


async def test_a_store_that_answers_is_ready(store: FeedingStore) -> None:
    await store.ready()
