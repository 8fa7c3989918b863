"""Whatever goes wrong on the way to Cosmos DB, a batch has one effect and a caller is told the truth."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.azure.cosmos import CosmosStore
from shared.adapters.azure.cosmos_retry import ROLE, Patience
from shared.domain.kernel.errors import Transient
from shared.domain.kernel.ids import Root
from shared.ports.store import Partition, Query, StoreConflict, Write
from tests.contracts.conftest import INDEXES, StillClock
from tests.contracts.cosmos_site import StandInSite
from tests.standins.cosmos.faults import Fault

ROOT = Root("box", "1")
PATIENCE = Patience(total=4, connect=1, answer=0.3)
LATE = 0.4
"""Seconds: later than anybody waits."""
TURNED_AWAY = ("429", "449", "503", "408", "410", "500", "404", "dropped-before")
LOST_ANSWERS = ("dropped-after-commit", "timeout-after-commit", "slow")

type Open = Callable[..., CosmosStore]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def opened(cosmos: StandInSite, clock: StillClock) -> AsyncIterator[Open]:
    """Opens stores on one database, each with a client of its own, as processes have."""
    database = cosmos.database(INDEXES)
    stores: list[CosmosStore] = []

    def make(**named: Any) -> CosmosStore:
        stores.append(cosmos.store(INDEXES, clock, database=database, **{"patience": PATIENCE} | named))
        return stores[-1]

    yield make
    cosmos.server.faults.clear()
    for store in stores:
        await store.aclose()


@pytest.fixture
async def partition(opened: Open) -> Partition:
    """Holds the document `counter`, at 0. Its client is open, so that faults meet what a test does."""
    partition = opened().open("acme").partition(ROOT)
    await partition.commit([create("counter", n=0)])
    return partition


def create(name: str, **body: Any) -> Write:
    return Write("create", name, "thing", body)


async def counted(partition: Partition, name: str = "counter") -> int:
    number: int = (await partition.read([name]))[name].body["n"]
    return number


async def etag_of(partition: Partition, name: str) -> str:
    return (await partition.read([name]))[name].etag


@pytest.mark.parametrize("mode", TURNED_AWAY + LOST_ANSWERS)
async def test_a_batch_has_one_effect_and_its_etags_are_good(
    cosmos: StandInSite, partition: Partition, mode: str
) -> None:
    etag = await etag_of(partition, "counter")
    fault = cosmos.server.faults.add(mode, kind="batch", seconds=LATE)
    etags = await partition.commit(
        [
            Write("replace", "counter", "thing", {"n": 1}, etag=etag),
            create("entry", n=1),
            Write("upsert", "note", "thing", {"n": 1}),
        ]
    )
    assert fault.hits == 1
    await asyncio.sleep(LATE if mode == "slow" else 0)  # the one that came late has had its chance
    found = await partition.read(["counter", "entry", "note"])
    assert {name: document.body["n"] for name, document in found.items()} == dict.fromkeys(found, 1)
    assert {name: found[name].etag for name in ("counter", "entry")} == {
        name: etags[name] for name in ("counter", "entry")
    }
    await partition.commit([Write("replace", "counter", "thing", {"n": 2}, etag=etags["counter"])])
    with pytest.raises(StoreConflict):
        await partition.commit([Write("replace", "counter", "thing", {"n": 3}, etag=etag)])


@pytest.mark.parametrize("mode", LOST_ANSWERS)
@pytest.mark.parametrize("op", ["create", "replace", "upsert"])
async def test_a_single_write_whose_answer_is_lost_is_found(
    cosmos: StandInSite, partition: Partition, mode: str, op: Any
) -> None:
    name = "new" if op == "create" else "counter"
    etag = await etag_of(partition, "counter")
    cosmos.server.faults.add(mode, kind="batch", seconds=LATE)
    etags = await partition.commit([Write(op, name, "thing", {"n": 7}, etag=etag)])
    assert await counted(partition, name) == 7
    assert mode == "slow" or etags == {name: await etag_of(partition, name)}


async def test_a_lost_connection_is_not_taken_for_a_write_that_was_not_sent(
    cosmos: StandInSite, partition: Partition
) -> None:
    """The SDK would send it again by itself, meet its own first attempt's effect, and report a conflict."""
    dropped = cosmos.server.faults.add("dropped-after-commit", kind="batch")
    second = cosmos.server.faults.add("slow", kind="batch", seconds=0)
    await partition.commit([create("entry")])
    assert (dropped.hits, second.hits) == (1, 0)


@pytest.mark.parametrize("mode", ["408", "500", "503", "dropped-before"])
async def test_a_batch_is_looked_for_before_it_is_sent_again(
    cosmos: StandInSite, partition: Partition, mode: str
) -> None:
    cosmos.server.faults.add(mode, kind="batch")
    look = cosmos.server.faults.add("slow", kind="read", seconds=0)
    await partition.commit([create("entry")])
    assert look.hits == 1


@pytest.mark.parametrize("mode", ["503", "dropped-before"])
async def test_a_delete_that_did_not_arrive_is_sent_again(
    cosmos: StandInSite, partition: Partition, mode: str
) -> None:
    cosmos.server.faults.add(mode, kind="batch")
    await partition.commit([Write("delete", "counter", "thing", etag=await etag_of(partition, "counter"))])
    assert await partition.read(["counter"]) == {}


async def test_who_deleted_it_is_not_claimed_where_nothing_shows_it(
    cosmos: StandInSite, partition: Partition
) -> None:
    """A document that is gone bears nobody's name: it may have been taken by another."""
    etag = await etag_of(partition, "counter")
    cosmos.server.faults.add("dropped-after-commit", kind="batch")
    with pytest.raises(Transient, match="was lost"):
        await partition.commit([Write("delete", "counter", "thing", etag=etag)])
    assert await partition.read(["counter"]) == {}


async def meanwhile(mine: Partition, other: Partition, writes: list[Write]) -> dict[str, str]:
    """Commit with an answer that comes too late, while another writes over `counter` in between."""
    committing = asyncio.create_task(mine.commit(writes))
    while (found := (await other.read(["counter"]))["counter"]).body["n"] == 0:
        await asyncio.sleep(0)
    await other.commit([Write("replace", "counter", "thing", {"n": 100}, etag=found.etag)])
    return await committing


async def test_what_others_write_over_a_landed_batch_stays_and_its_etag_is_theirs(
    cosmos: StandInSite, partition: Partition, opened: Open
) -> None:
    other = opened().open("acme").partition(ROOT)
    etag = await etag_of(other, "counter")
    cosmos.server.faults.add("timeout-after-commit", kind="batch", seconds=LATE)
    writes = [Write("replace", "counter", "thing", {"n": 1}, etag=etag), create("entry", n=1)]
    etags = await meanwhile(partition, other, writes)
    assert await counted(partition) == 100
    assert etags["entry"] == await etag_of(partition, "entry")
    with pytest.raises(StoreConflict):
        await partition.commit([Write("replace", "counter", "thing", {"n": 2}, etag=etags["counter"])])


async def test_a_batch_that_cannot_be_told_from_one_that_lost_is_no_conflict(
    cosmos: StandInSite, partition: Partition, opened: Open
) -> None:
    """As a conflict it would be decided anew, and have its effect twice."""
    other = opened().open("acme").partition(ROOT)
    etag = await etag_of(other, "counter")
    cosmos.server.faults.add("timeout-after-commit", kind="batch", seconds=LATE)
    with pytest.raises(Transient, match="read them again"):
        await meanwhile(partition, other, [Write("replace", "counter", "thing", {"n": 1}, etag=etag)])
    assert await counted(partition) == 100


async def test_a_batch_that_was_turned_away_and_then_lost_is_a_conflict(
    cosmos: StandInSite, partition: Partition, opened: Open
) -> None:
    other = opened().open("acme").partition(ROOT)
    etag = await etag_of(other, "counter")
    fault = cosmos.server.faults.add("429", kind="batch", retry_after_ms=200)
    writes = [create("entry"), Write("replace", "counter", "thing", {"n": 1}, etag=etag)]
    losing = asyncio.create_task(partition.commit(writes))
    while not fault.hits:
        await asyncio.sleep(0.01)
    await other.commit([Write("replace", "counter", "thing", {"n": 100}, etag=etag)])
    with pytest.raises(StoreConflict) as lost:
        await losing
    assert lost.value.document == "counter"
    assert (await partition.read(["counter", "entry"])).keys() == {"counter"}


@pytest.mark.parametrize("mode", ["dropped-before", *LOST_ANSWERS])
async def test_the_place_of_an_expired_document_is_taken_once(
    cosmos: StandInSite, partition: Partition, clock: StillClock, mode: str
) -> None:
    soon = clock.now() + timedelta(seconds=30)
    await partition.commit([Write("create", "marker", "thing", {"n": 1}, expires_at=soon)])
    clock.advance(seconds=30)
    cosmos.server.faults.add(mode, kind="batch", seconds=LATE, after=1)
    await partition.commit([create("marker", n=2), create("entry", n=2)])
    assert (await counted(partition, "marker"), await counted(partition, "entry")) == (2, 2)


async def test_of_two_who_take_an_expired_documents_place_one_wins(
    partition: Partition, opened: Open, clock: StillClock
) -> None:
    soon = clock.now() + timedelta(seconds=30)
    await partition.commit([Write("create", "marker", "thing", {"n": 0}, expires_at=soon)])
    clock.advance(seconds=30)
    others = [opened().open("acme").partition(ROOT) for _ in range(4)]
    results = await asyncio.gather(
        *(other.commit([create("marker", n=n)]) for n, other in enumerate(others)), return_exceptions=True
    )
    winners = [n for n, result in enumerate(results) if isinstance(result, dict)]
    assert winners == [await counted(partition, "marker")]
    assert all(isinstance(one, dict | StoreConflict) for one in results)


async def test_clients_that_race_through_faults_count_exactly(
    cosmos: StandInSite, partition: Partition, opened: Open
) -> None:
    for place, mode in enumerate([*TURNED_AWAY, *LOST_ANSWERS] * 2):
        cosmos.server.faults.add(mode, kind="batch", seconds=LATE, after=place % 5, retry_after_ms=5)

    async def count(shared: Partition, name: str) -> None:
        for turn in range(10):
            while True:
                found = (await shared.read(["counter"]))["counter"]
                body = {"n": found.body["n"] + 1}
                try:
                    await shared.commit(
                        [
                            Write("replace", "counter", "thing", body, etag=found.etag),
                            create(f"entry:{name}:{turn}"),
                        ]
                    )
                except StoreConflict:
                    continue
                break

    clients = [opened().open("acme").partition(ROOT) for _ in range(3)]
    await asyncio.gather(*(count(client, str(number)) for number, client in enumerate(clients)))
    assert cosmos.server.faults.waiting == []
    assert await counted(partition) == 30
    assert len(await partition.scan("entry:", limit=100)) == 30


@pytest.mark.parametrize("mode", ["429", "410", "503", "404", "dropped-before", "slow"])
async def test_what_only_reads_is_asked_again(cosmos: StandInSite, opened: Open, mode: str) -> None:
    store = opened()
    tenant = store.open("acme")
    partition = tenant.partition(ROOT)
    await partition.commit([create("a", at=1), create("b", at=2)])
    faults: list[Fault] = [
        cosmos.server.faults.add(mode, kind=kind, seconds=LATE, times=times)
        for kind, times in (("read", 1), ("query", 2), ("feed", 1))
    ]
    assert (await partition.read(["a"])).keys() == {"a"}
    assert (await partition.read(["a", "b"])).keys() == {"a", "b"}
    assert len(await partition.scan("")) == 2
    assert len(await tenant.query(Query("thing", {}, "at"))) == 2
    assert len((await store.read("", 10)).documents) == 2
    assert [fault.hits for fault in faults] == [1, 2, 1]


@pytest.mark.parametrize(("kind", "mode"), [("account", "503"), ("container", "429"), ("container", "503")])
async def test_a_store_that_could_not_be_opened_is_opened_later(
    cosmos: StandInSite, opened: Open, kind: str, mode: str
) -> None:
    fault = cosmos.server.faults.add(mode, kind=kind, times=2)
    await opened().open("acme").partition(ROOT).commit([create("a")])
    assert fault.hits == 2


async def test_as_long_as_cosmos_asks_to_wait_nobody_comes_back(
    cosmos: StandInSite, partition: Partition
) -> None:
    cosmos.server.faults.add("429", kind="batch", retry_after_ms=150, times=2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await partition.commit([create("entry")])
    assert loop.time() - began >= 0.3


@pytest.mark.parametrize("mode", ["429", "503", "slow"])
async def test_patience_ends_and_says_what_to_look_at(cosmos: StandInSite, opened: Open, mode: str) -> None:
    partition = opened(patience=Patience(total=0.3, connect=0.2, answer=0.1)).open("acme").partition(ROOT)
    await partition.read(["a"])
    cosmos.server.faults.add(mode, times=10_000, seconds=0.2)
    loop = asyncio.get_running_loop()
    for attempt in (
        lambda: partition.read(["a"]),
        lambda: partition.read(["a", "b"]),
        lambda: partition.commit([create("a")]),
    ):
        began = loop.time()
        with pytest.raises(Transient, match=r"within 0.3 seconds.*request units"):
            await attempt()
        assert loop.time() - began < 3


@pytest.mark.parametrize("mode", ["401", "403"])
async def test_a_process_that_is_not_let_in_is_told_which_role_to_grant(
    cosmos: StandInSite, opened: Open, mode: str
) -> None:
    store = opened()
    partition = store.open("acme").partition(ROOT)
    await partition.read(["a"])
    fault = cosmos.server.faults.add(mode, path="/colls/", times=10_000)
    for attempt in (
        lambda: partition.read(["a"]),
        lambda: partition.commit([create("a")]),
        lambda: store.read("", 1),
        store.ready,
    ):
        hits = fault.hits
        with pytest.raises(Transient, match=ROLE):
            await attempt()
        assert fault.hits == hits + 1  # asking again would not help


async def test_an_identity_without_the_role_is_told_so_before_anything_else(
    cosmos: StandInSite, opened: Open
) -> None:
    cosmos.identity.roles = False
    try:
        with pytest.raises(Transient, match="Cosmos DB Built-in Data Contributor"):
            await opened().ready()
    finally:
        cosmos.identity.roles = True


async def test_where_no_token_can_be_had_the_sentence_says_how_to_get_one(
    cosmos: StandInSite, opened: Open
) -> None:
    header, cosmos.identity.header = cosmos.identity.header, "another"
    store = opened()
    cosmos.identity.header = header
    with pytest.raises(Transient, match=r"No token.*managed identity"):
        await store.ready()
