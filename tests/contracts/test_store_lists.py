"""What every document store promises of lists: skipping, walking with a residual, and what that may cost."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.embedded.query_tables import query_sql
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.filters import AnyOf, Compare, Filter, Not, Operator, evaluate
from shared.domain.kernel.ids import Root
from shared.names import INDEXES
from shared.ports.index import Index
from shared.ports.store import MAX_SKIP, Query, TenantStore, Walk, Write
from tests.contracts.conftest import STORES, FeedingStore, StillClock
from tests.support.app import SteppingClock

ROOT = Root("box", "1")
EVEN = Compare("even", Operator.EQ, True)


@pytest.fixture
async def tenant(store: FeedingStore) -> TenantStore:
    """Twelve things, in the order of `at`: 0 to 11."""
    tenant = store.open("acme")
    await tenant.partition(ROOT).commit([thing(n, at=n, even=n % 2 == 0) for n in range(12)])
    return tenant


def thing(number: int, **body: Any) -> Write:
    return Write("create", f"thing:{number:03}", "thing", body)


def ats(walk: Walk) -> list[int]:
    return [found.body["at"] for found in walk.documents]


async def test_a_query_skips_from_its_start(tenant: TenantStore) -> None:
    for descending in (False, True):
        everything = await tenant.query(Query("thing", {}, "at", descending, limit=100))
        for skip in (0, 1, 5, 11, 12, 13, MAX_SKIP):
            query = Query("thing", {}, "at", descending, limit=3, skip=skip)
            assert await tenant.query(query) == everything[skip : skip + 3]


async def test_a_query_does_not_skip_beyond_the_limit_nor_after_a_position(tenant: TenantStore) -> None:
    for query in (
        Query("thing", {}, "at", skip=MAX_SKIP + 1),
        Query("thing", {}, "at", skip=1, after=(1, "thing:001")),
    ):
        with pytest.raises(Permanent):
            await tenant.query(query)


async def test_a_query_with_a_residual_is_refused(tenant: TenantStore) -> None:
    with pytest.raises(Permanent, match="only a walk"):
        await tenant.query(Query("thing", {}, "at", residual=EVEN))


async def test_a_walk_without_an_index_is_refused(tenant: TenantStore) -> None:
    with pytest.raises(Permanent, match="No index serves"):
        await tenant.walk(Query("thing", {}, "size", residual=EVEN))


async def test_a_walk_without_a_residual_finds_what_a_query_finds(tenant: TenantStore) -> None:
    query = Query("thing", {}, "at", True, limit=5, skip=2)
    assert await tenant.walk(query) == Walk(await tenant.query(query), 2, None)


async def test_a_walk_finds_what_satisfies_its_residual(tenant: TenantStore) -> None:
    walk = await tenant.walk(Query("thing", {}, "at", limit=3, residual=EVEN))
    assert (ats(walk), walk.skipped, walk.stopped_at) == ([0, 2, 4], 0, None)
    walk = await tenant.walk(Query("thing", {}, "at", limit=3, skip=4, residual=EVEN))
    assert (ats(walk), walk.skipped, walk.stopped_at) == ([8, 10], 4, None)
    walk = await tenant.walk(Query("thing", {}, "at", True, (4, "thing:004"), 3, residual=EVEN))
    assert (ats(walk), walk.stopped_at) == ([2, 0], None)


async def test_a_walk_examines_no_more_than_it_may_and_says_where_it_stopped(tenant: TenantStore) -> None:
    query = Query("thing", {}, "at", limit=100, residual=EVEN, examine=5)
    walk = await tenant.walk(query)
    assert (ats(walk), walk.stopped_at) == ([0, 2, 4], (4, "thing:004"))
    walk = await tenant.walk(replace(query, after=walk.stopped_at))
    assert (ats(walk), walk.stopped_at) == ([6, 8], (9, "thing:009"))
    walk = await tenant.walk(replace(query, after=walk.stopped_at))
    assert (ats(walk), walk.stopped_at) == ([10], None)


async def test_a_walk_counts_what_it_skips(tenant: TenantStore) -> None:
    walk = await tenant.walk(Query("thing", {}, "at", limit=1, skip=MAX_SKIP, residual=EVEN))
    assert walk == Walk([], 6, None)


async def test_a_long_walk_lets_others_work(store: FeedingStore) -> None:
    partition = store.open("acme").partition(ROOT)
    for start in range(0, 1000, 100):
        await partition.commit([thing(n, at=n) for n in range(start, start + 100)])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await store.open("acme").walk(Query("thing", {}, "at", residual=EVEN))
    other.cancel()
    assert turns >= 4


leaves = st.builds(
    Compare,
    st.sampled_from(["at", "color", "size"]),
    st.sampled_from([Operator.EQ, Operator.NE, Operator.GT, Operator.LTE, Operator.CONTAINS]),
    st.sampled_from([0, 1, 2, "red", "blue", "e", True]),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: st.builds(Not, inner) | st.builds(lambda a, b: AnyOf((a, b)), inner, inner),
    max_leaves=4,
)
bodies = st.fixed_dictionaries(
    {"at": st.integers(0, 3), "color": st.sampled_from(["red", "blue"])},
    optional={"size": st.sampled_from([0, 1, 1.0, "1", True, None, ["red", 1]])},
)


@pytest.mark.parametrize("adapter", STORES)
def test_pages_of_a_walk_together_are_what_brute_force_finds(
    adapter: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=EXAMPLES[adapter], deadline=None)
    @given(
        st.lists(bodies, max_size=25),
        filters,
        st.sampled_from([{}, {"color": "red"}]),
        st.booleans(),
        st.integers(1, 7),
        st.integers(1, 9),
        st.integers(0, 5),
    )
    def check(
        written: list[dict[str, Any]],
        residual: Filter,
        where: dict[str, str | int | bool],
        descending: bool,
        limit: int,
        examine: int,
        skip: int,
    ) -> None:
        async def pages() -> list[dict[str, Any]]:
            store = STORES[adapter](tmp_path_factory.mktemp("store"), WALKED, StillClock())
            tenant = store.open("acme")
            await tenant.partition(ROOT).commit([thing(n, **body) for n, body in enumerate(written)])
            seen: list[dict[str, Any]] = []
            query = Query("thing", where, "at", descending, limit=limit, residual=residual, examine=examine)
            while True:
                walk = await tenant.walk(query)
                seen += [found.body for found in walk.documents]
                if walk.stopped_at is None and len(walk.documents) < limit:
                    break
                last = walk.documents[-1] if walk.stopped_at is None else None
                query = replace(query, after=(last.body["at"], last.id) if last else walk.stopped_at)
            skipping = replace(query, after=None, skip=skip, limit=100, examine=100)
            walk = await tenant.walk(skipping)
            assert [found.body for found in walk.documents] == seen[skip:]
            assert walk.skipped == min(skip, len(seen))
            await store.aclose()
            return seen

        matching = [
            (body["at"], number, body)
            for number, body in enumerate(written)
            if where.items() <= body.items() and evaluate(residual, body)
        ]
        matching.sort(key=lambda one: one[:2], reverse=descending)
        assert asyncio.run(pages()) == [body for _, _, body in matching]

    check()


EXAMPLES = {"sqlite": 60, "cosmos": 15}
"""Those of Cosmos are requests."""
WALKED = (Index("thing", (), "at"), Index("thing", ("color",), "at"))


@pytest.mark.parametrize("index", INDEXES, ids=str)
async def test_what_is_skipped_is_skipped_within_the_index(index: Index, tmp_path: Path) -> None:
    """A document is looked at only once it is shown: all that is asked of it before stands in the index."""
    store = SqliteStore(tmp_path / "store.db", INDEXES, SteppingClock())
    await store.aclose()
    with closing(sqlite3.connect(tmp_path / "store.db")) as file:
        for descending in (False, True):
            sql = query_sql(index, "first", descending)
            listed = file.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?")).fetchall()
            steps = {number: (above, step) for number, above, _, step in listed}
            [within] = [number for number, (_, step) in steps.items() if step == "CO-ROUTINE found"]
            [search] = [step for above, step in steps.values() if above == within]
            assert search.startswith(f"SEARCH query:{index.kind} USING COVERING INDEX query:"), steps
