"""What the SQLite store promises of its file, beyond the port."""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.query_tables import query_sql
from shared.adapters.embedded.sqlite import Database, advance
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.errors import Permanent, Transient
from shared.domain.kernel.ids import Root
from shared.names import INDEXES
from shared.ports.index import Index
from shared.ports.store import Query, Write
from tests.support.app import SteppingClock

ROOT = Root("box", "1")


def create(name: str, **body: Any) -> Write:
    return Write("create", name, "thing", body)


async def test_the_embedded_feed_has_one_order_for_the_whole_store(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", [], SteppingClock())
    acme, rival = store.open("acme").partition(ROOT), store.open("rival").partition(ROOT)
    etags = await acme.commit([create("a"), create("b")])
    await rival.commit([create("a")])
    await acme.commit([Write("replace", "a", "thing", {"n": 2}, etag=etags["a"])])
    everything = await store.changes(0, 10)
    assert [(found.tenant, found.id) for found in everything] == [
        ("acme", "b"),
        ("rival", "a"),
        ("acme", "a"),
    ]
    assert all(one.sequence < next_one.sequence for one, next_one in pairwise(everything))
    assert await store.changes(everything[0].sequence, 1) == [everything[1]]
    assert await store.changes(everything[-1].sequence, 10) == []
    await store.aclose()


@pytest.mark.parametrize("index", INDEXES, ids=str)
async def test_every_declared_query_walks_exactly_one_index_range(index: Index, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", INDEXES, SteppingClock())
    await store.aclose()
    with closing(sqlite3.connect(tmp_path / "store.db")) as file:
        for part in ("first", "equals", "beyond"):
            for descending in (False, True):
                sql = query_sql(index, part, descending)
                plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
                [search] = [step for step in plan if step.startswith("SEARCH query:")]
                assert plan == [
                    "CO-ROUTINE found",
                    search,
                    "SCAN found",
                    "SEARCH documents USING INTEGER PRIMARY KEY (rowid=?)",
                    "USE TEMP B-TREE FOR ORDER BY",  # of what is shown
                ]
                for name in index.equal:
                    assert f"is {name}=?" in search
                position = f"by {index.order}"
                assert (f"{position}=?" in search) == (part == "equals"), search
                assert ("id<?" if descending else "id>?") in search or part != "equals", search
                over = f"{position}<?" if descending else f"{position}>?"
                assert over in search or part != "beyond", search


async def test_reopening_keeps_the_documents_and_follows_the_declared_indexes(tmp_path: Path) -> None:
    path, clock = tmp_path / "made" / "store.db", SteppingClock()
    before = SqliteStore(path, [Index("thing", ("color",), "at"), Index("thing", (), "number")], clock)
    await before.open("acme").partition(ROOT).commit([create("a", at=1, number=1)])
    await before.aclose()
    after = SqliteStore(path, [Index("thing", (), "at"), Index("thing", (), "number")], clock)
    assert [found.id for found in await after.open("acme").query(Query("thing", {}, "at"))] == ["a"]
    await after.aclose()
    with closing(sqlite3.connect(path)) as file:
        names = file.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'query:%' ORDER BY name"
        ).fetchall()
    assert names == [("query:thing::at",), ("query:thing::number",)]


async def test_a_file_whose_documents_had_the_indexes_themselves_is_taken_over(tmp_path: Path) -> None:
    path, clock = tmp_path / "store.db", SteppingClock()
    before = SqliteStore(path, [], clock)
    await before.open("acme").partition(ROOT).commit([create("a", at=1), create("b", at=2)])
    await before.aclose()
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE INDEX \"query:thing::at\" ON documents (tenant, json_extract(body, '$.at'))")
    after = SqliteStore(path, [Index("thing", (), "at")], clock)
    found = await after.open("acme").query(Query("thing", {}, "at", descending=True))
    assert [document.id for document in found] == ["b", "a"]
    await after.aclose()


async def test_purging_removes_a_bounded_number_of_expired_documents(tmp_path: Path) -> None:
    clock = SteppingClock()
    store = SqliteStore(tmp_path / "store.db", [], clock)
    soon = clock.now() + timedelta(minutes=1)
    partition = store.open("acme").partition(ROOT)
    await partition.commit([Write("create", str(n), "thing", expires_at=soon) for n in range(5)])
    await partition.commit([create("kept")])
    assert await store.purge() == 0
    clock.advance(minutes=1)
    assert [await store.purge(3), await store.purge(3), await store.purge(3)] == [3, 2, 0]
    assert (await partition.read(["kept"])).keys() == {"kept"}
    await store.aclose()


async def test_what_is_purged_is_gone_from_the_table_of_its_queries(tmp_path: Path) -> None:
    clock = SteppingClock()
    store = SqliteStore(tmp_path / "store.db", [Index("thing", (), "at")], clock)
    soon = clock.now() + timedelta(minutes=1)
    partition = store.open("acme").partition(ROOT)
    await partition.commit(
        [Write("create", "gone", "thing", {"at": 1}, expires_at=soon), create("kept", at=2)]
    )
    clock.advance(minutes=1)
    assert await store.purge() == 1
    await store.aclose()
    with closing(sqlite3.connect(tmp_path / "store.db")) as file:
        assert file.execute('SELECT id FROM "query:thing"').fetchall() == [("kept",)]


@pytest.mark.parametrize("spoil", ["a folder that is a file", "a file that is no database"])
async def test_a_path_that_cannot_be_used_is_named(tmp_path: Path, spoil: str) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("This is no database, and no folder either.")
    path = blocked / "store.db" if spoil.startswith("a folder") else blocked
    with pytest.raises(Permanent, match=re.escape(str(path))):
        SqliteStore(path, [], SteppingClock())


@pytest.mark.parametrize("spoil", ["deleted", "overwritten"])
async def test_a_file_that_went_bad_is_not_ready_and_says_what_to_do(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, [], SteppingClock())
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if spoil == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(Transient, match=r"folder exists|put a backup"):
        await store.ready()
    await store.aclose()


async def test_another_process_that_holds_the_file_makes_a_commit_transient(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db", "", busy_timeout=0.05)
    with closing(sqlite3.connect(tmp_path / "store.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="another process"), database.transaction():
            pass
    with database.transaction() as run:
        assert advance(run, 1) == 1
    database.close()
