"""The embedded store commits what comes at the same moment together. Nobody may notice but by the speed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.errors import Transient
from shared.domain.kernel.ids import Root
from shared.ports.index import Index
from shared.ports.store import Partition, Query, StoreConflict, Write
from tests.support.app import SteppingClock


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path / "store.db", [Index("thing", (), "name")], SteppingClock())
    yield made
    await made.aclose()


def partition(store: SqliteStore, key: str) -> Partition:
    return store.open("acme").partition(Root("shelf", key))


def thing(name: str, size: int = 1) -> Write:
    return Write("create", name, "thing", {"name": name, "filling": "x" * size})


def committed(path: Path) -> set[str]:
    """What another process would see."""
    with closing(sqlite3.connect(path)) as other:
        return {row[0] for row in other.execute("SELECT id FROM documents")}


async def test_what_comes_at_the_same_moment_is_committed_once(store: SqliteStore, tmp_path: Path) -> None:
    statements: list[str] = []
    store._database._connection.set_trace_callback(statements.append)
    await asyncio.gather(*(partition(store, str(n)).commit([thing(f"t{n}")]) for n in range(20)))
    assert statements.count("COMMIT") == 1
    assert committed(tmp_path / "store.db") == {f"t{n}" for n in range(20)}


async def test_a_commit_returns_only_when_another_process_would_see_it(
    store: SqliteStore, tmp_path: Path
) -> None:
    writing = asyncio.create_task(partition(store, "a").commit([thing("t")]))
    await asyncio.sleep(0)
    assert committed(tmp_path / "store.db") == set()
    await writing
    assert committed(tmp_path / "store.db") == {"t"}


async def test_a_read_sees_nothing_that_may_still_be_lost(store: SqliteStore, tmp_path: Path) -> None:
    writing = asyncio.create_task(partition(store, "a").commit([thing("t")]))
    await asyncio.sleep(0)
    assert await store.changes(0, 10) == []
    assert await store.open("acme").query(Query("thing", {}, "name")) == []
    assert set(await partition(store, "a").read(["t"])) == {"t"}
    assert committed(tmp_path / "store.db") == {"t"}
    await writing


async def test_a_batch_that_loses_takes_nothing_from_the_others(store: SqliteStore, tmp_path: Path) -> None:
    await partition(store, "a").commit([thing("taken")])
    results = await asyncio.gather(
        partition(store, "b").commit([thing("one")]),
        partition(store, "a").commit([thing("half"), thing("taken")]),
        partition(store, "c").commit([thing("two")]),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [dict, StoreConflict, dict]
    assert committed(tmp_path / "store.db") == {"taken", "one", "two"}


async def test_turns_on_one_partition_follow_each_other_without_a_conflict(store: SqliteStore) -> None:
    shelf = partition(store, "a")
    await shelf.commit([Write("create", "count", "thing", {"name": "count", "last": 0})])

    async def take() -> int:
        found = (await shelf.read(["count"]))["count"]
        number: int = found.body["last"] + 1
        body = {"name": "count", "last": number}
        await shelf.commit([Write("replace", "count", "thing", body, etag=found.etag)])
        return number

    assert sorted(await asyncio.gather(*(take() for _ in range(30)))) == list(range(1, 31))


async def test_a_caller_who_goes_away_does_not_wake_the_others(store: SqliteStore, tmp_path: Path) -> None:
    tasks = [asyncio.create_task(partition(store, str(n)).commit([thing(f"t{n}")])) for n in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, dict, dict]
    assert committed(tmp_path / "store.db") == {"t0", "t1", "t2"}


async def test_a_full_disk_is_told_to_all_and_leaves_the_store_usable(
    store: SqliteStore, tmp_path: Path
) -> None:
    connection = store._database._connection
    [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    commits = [partition(store, str(n)).commit([thing(f"t{n}", 3000)]) for n in range(6)]
    results = await asyncio.gather(*commits, return_exceptions=True)
    told = {f"t{n}" for n, result in enumerate(results) if isinstance(result, dict)}
    assert {type(result) for result in results if not isinstance(result, dict)} == {Transient}
    assert committed(tmp_path / "store.db") == told
    connection.execute("PRAGMA max_page_count = 1000000")
    await partition(store, "later").commit([thing("later")])
    assert committed(tmp_path / "store.db") == told | {"later"}


async def test_two_stores_of_one_process_do_not_wait_for_each_other(
    store: SqliteStore, tmp_path: Path
) -> None:
    other = SqliteStore(tmp_path / "store.db", [Index("thing", (), "name")], SteppingClock())
    async with asyncio.timeout(2):
        await asyncio.gather(
            partition(store, "a").commit([thing("one")]), partition(other, "a").commit([thing("two")])
        )
    assert committed(tmp_path / "store.db") == {"one", "two"}
    await other.aclose()
