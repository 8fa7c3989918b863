"""Listings: which index serves what a caller asks, what is left to look at, and pages that show each item
once."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.errors import Invalid
from shared.domain.kernel.filters import (
    AllOf,
    AnyOf,
    BadFilter,
    Compare,
    Field,
    Filter,
    Operator,
    evaluate,
    parse,
)
from shared.domain.kernel.ids import Root
from shared.ports.index import Index
from shared.ports.store import MAX_SKIP, Query, Store, Write
from shared.services.listing import Asked, Listing, NotServed, TooDeep, read_page, read_time
from shared.services.views import Total, Views
from tests.support.app import SteppingClock

INDEXES = (
    Index("item", (), "created_at"),
    Index("item", ("owner",), "created_at"),
    Index("item", ("owner", "status"), "created_at"),
    Index("item", ("owner",), "name"),
    Index("bound", ("owner",), "created_at"),
    Index("bound", ("home",), "created_at"),
)
FIELDS = {
    "createdAt": Field("created_at", read_time),
    "name": Field("name"),
    "owner": Field("owner"),
    "status": Field("status"),
    "size": Field("size"),
}
ITEMS = Listing("item", FIELDS, "-createdAt", INDEXES)
BOUND = Listing("bound", {**FIELDS, "homeId": Field("home")}, "createdAt", INDEXES)
ROOT = Root("box", "1")


def asked(limit: int = 20, *, sort: str | None = None, **conditions: Any) -> Asked:
    return Asked(limit, sort=sort, filter=json.dumps(conditions) if conditions else None)


def test_the_default_order_is_the_lists_own() -> None:
    assert ITEMS.query(asked()) == Query("item", {}, "created_at", True, limit=20)


def test_equalities_at_the_top_choose_the_index_that_binds_most() -> None:
    query = ITEMS.query(asked(owner="ann", status="new", size={"gt": 3}))
    assert dict(query.where) == {"owner": "ann", "status": "new"}
    assert query.residual == Compare("size", Operator.GT, 3)
    query = ITEMS.query(asked(sort="name", owner="ann", status="new"))
    assert (query.order, query.descending, dict(query.where)) == ("name", False, {"owner": "ann"})
    assert query.residual == Compare("status", Operator.EQ, "new")


def test_what_is_no_equality_at_the_top_is_looked_at_document_by_document() -> None:
    query = ITEMS.query(replace(asked(), filter='{"or": [{"owner": "ann"}, {"status": "new"}]}'))
    assert dict(query.where) == {}
    assert query.residual == AnyOf(
        (Compare("owner", Operator.EQ, "ann"), Compare("status", Operator.EQ, "new"))
    )
    assert ITEMS.query(asked(owner=["ann"])).where == {}
    assert ITEMS.query(asked(owner=None)).where == {}


def test_what_the_endpoint_binds_and_the_filter_says_both_hold() -> None:
    query = ITEMS.query(asked(owner="bob", status="new"), {"owner": "ann"})
    assert dict(query.where) == {"owner": "ann", "status": "new"}
    assert query.residual == Compare("owner", Operator.EQ, "bob")
    assert ITEMS.query(asked(owner="ann"), {"owner": "ann"}).residual is None


def test_two_values_for_one_field_find_nothing_rather_than_one_of_them() -> None:
    text = '{"and": [{"owner": "ann"}, {"owner": "bob"}]}'
    query = ITEMS.query(replace(asked(), filter=text))
    assert (dict(query.where), query.residual) == ({"owner": "ann"}, Compare("owner", Operator.EQ, "bob"))


def test_values_are_read_as_they_are_stored() -> None:
    query = ITEMS.query(asked(createdAt={"gte": "2026-06-11T11:00:00+02:00"}))
    assert query.residual == Compare("created_at", Operator.GTE, "2026-06-11T09:00:00.000000Z")
    for bad in ("2026-06-11T09:00:00", "soon", 5, "0001-01-01T00:00:00+10:00"):
        with pytest.raises(BadFilter) as refused:
            ITEMS.query(asked(createdAt={"gte": bad}))
        assert refused.value.problems[0].field == "filter.createdAt.gte"


@pytest.mark.parametrize("sort", ["size", "-owner", "created_at", "", "--createdAt", "createdAt,name"])
def test_a_sort_without_an_index_is_refused_with_those_that_have_one(sort: str) -> None:
    with pytest.raises(NotServed, match="createdAt, name") as refused:
        ITEMS.query(replace(asked(), sort=sort or "-"))
    assert refused.value.problems[0].field == "sort"


def test_a_sort_whose_index_binds_more_names_what_to_filter_by() -> None:
    with pytest.raises(NotServed, match="equality on owner") as refused:
        ITEMS.query(asked(sort="name"))
    assert refused.value.problems[0].field == "filter"
    with pytest.raises(NotServed, match="homeId, or on owner"):
        BOUND.query(asked(status="new"))


WORDS: dict[str, Filter] = {
    "New": Compare("status", Operator.EQ, "new"),
    "Ended": AnyOf((Compare("status", Operator.EQ, "done"), Compare("status", Operator.EQ, "dropped"))),
}
WORDED = Listing("item", {**FIELDS, "status": Field("status", words=WORDS)}, "-createdAt", INDEXES)


def test_a_word_means_what_the_list_says_of_it() -> None:
    """One that is one stored state is bound by the index; one that is several is looked at."""
    query = WORDED.query(asked(owner="ann", status="New"))
    assert (dict(query.where), query.residual) == ({"owner": "ann", "status": "new"}, None)
    query = WORDED.query(asked(owner="ann", status="Ended"))
    assert (dict(query.where), query.residual) == ({"owner": "ann"}, WORDS["Ended"])
    for said, found in (
        ({"ne": "Ended"}, {"new"}),
        (["New", "Ended"], {"new", "done", "dropped"}),
        ({"nin": ["New"]}, {"done", "dropped"}),
    ):
        residual = WORDED.query(asked(status=said)).residual
        assert residual is not None
        states = ("new", "done", "dropped")
        assert {state for state in states if evaluate(residual, {"status": state})} == found


@pytest.mark.parametrize("said", ["new", None, 1, ["Old"], {"gt": "New"}, {"exists": True}, {"in": "New"}])
def test_what_is_no_word_of_the_field_is_refused(said: Any) -> None:
    with pytest.raises(BadFilter) as refused:
        WORDED.query(asked(status=said))
    assert refused.value.problems[0].field.startswith("filter.status")


def test_a_parameter_is_an_equality_beside_the_filter() -> None:
    query = WORDED.query(replace(asked(owner="ann"), equal={"status": "New"}))
    assert dict(query.where) == {"owner": "ann", "status": "new"}
    query = WORDED.query(replace(asked(owner="ann"), equal={"owner": "bob"}))
    assert (dict(query.where), query.residual) == ({"owner": "bob"}, Compare("owner", Operator.EQ, "ann"))
    with pytest.raises(BadFilter) as refused:
        WORDED.query(replace(asked(), equal={"status": "Old"}))
    assert refused.value.problems[0].field == "status"
    assert "New, Ended" in refused.value.problems[0].message


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", INDEXES, SteppingClock())
    yield opened
    await opened.aclose()


def item(number: int, **body: Any) -> Write:
    return Write("create", f"item:{number:05}", "item", {"created_at": "t", **body})


async def test_a_page_knows_the_next_and_the_total(store: SqliteStore) -> None:
    tenant, views = store.open("acme"), Views(store, INDEXES, store)
    await tenant.partition(ROOT).commit([item(n, owner="ann" if n % 3 else "bob") for n in range(9)])
    found = await read_page(tenant, views, "acme", ITEMS.query(asked(4)))
    assert (len(found.documents), found.next, found.total) == (4, ("t", "item:00005"), Total(9))
    found = await read_page(tenant, views, "acme", ITEMS.query(asked(3, owner="bob")))
    assert (len(found.documents), found.next, found.total) == (3, None, Total(3))
    found = await read_page(tenant, None, "acme", ITEMS.query(asked(3)))
    assert found.total is None


async def test_a_list_costs_one_query_and_one_read(store: SqliteStore) -> None:
    """And on the embedded platform a look at the feed, which has nothing new."""
    done: list[str] = []

    @dataclass(frozen=True)
    class Counting:
        inner: Any

        def open(self, tenant: str) -> "Counting":
            return Counting(self.inner.open(tenant))

        def partition(self, root: Root) -> "Counting":
            return Counting(self.inner.partition(root))

        def __getattr__(self, name: str) -> Any:
            done.append(name)
            return getattr(self.inner, name)

    tenant = store.open("acme")
    await tenant.partition(ROOT).commit([item(n, owner="ann") for n in range(9)])
    counting = Counting(store)
    views = Views(cast(Store, counting), INDEXES, store)
    await views.total("acme", ITEMS.query(asked()))
    for conditions, cost in (
        ({}, ["query", "read"]),
        ({"size": {"gt": 1}}, ["walk", "walk"]),
        # What is counted is counted in every order, also where no index has both.
        ({"sort": "name", "owner": "ann", "status": "new"}, ["walk", "read"]),
    ):
        done.clear()
        await read_page(counting.open("acme"), views, "acme", ITEMS.query(asked(**conditions)))
        assert done == cost


async def test_the_total_of_equalities_is_exact_in_an_order_that_no_index_has_for_them(
    store: SqliteStore,
) -> None:
    tenant, views = store.open("acme"), Views(store, INDEXES, store)
    items = [item(n, owner="ann", name="x", status="new" if n % 3 else "old", size=n) for n in range(30)]
    await tenant.partition(ROOT).commit(items)
    short = replace(ITEMS.query(asked(5, sort="name", owner="ann", status="old")), examine=4)
    found = await read_page(tenant, views, "acme", short)
    assert found.total == Total(10)
    for conditions in ({"size": 3}, {"and": [{"status": "old"}, {"status": "new"}]}):
        query = ITEMS.query(asked(5, sort="name", owner="ann", **conditions))
        walked = await read_page(tenant, views, "acme", query)
        assert walked.total == Total(len(walked.documents)), "what is not counted is walked"


async def test_a_page_with_a_residual_may_come_back_short_and_says_so(store: SqliteStore) -> None:
    tenant = store.open("acme")
    await tenant.partition(ROOT).commit([item(n, size=n) for n in range(20)])
    query = replace(ITEMS.query(asked(5, size={"lt": 2}, sort="createdAt")), examine=10)
    found = await read_page(tenant, None, "acme", query)
    assert [one.body["size"] for one in found.documents] == [0, 1]
    assert found.next == ("t", "item:00009")
    assert found.total == Total(2, is_exact=False, has_more=True)
    found = await read_page(tenant, None, "acme", replace(query, after=found.next, examine=100))
    assert (found.documents, found.next, found.total) == ([], None, Total(2))


async def test_a_page_number_that_a_rare_filter_cannot_reach_is_refused(store: SqliteStore) -> None:
    tenant = store.open("acme")
    await tenant.partition(ROOT).commit([item(n, size=n) for n in range(20)])
    query = replace(ITEMS.query(asked(5, size={"gt": 1})), examine=10, skip=15)
    with pytest.raises(TooDeep) as refused:
        await read_page(tenant, None, "acme", query)
    assert isinstance(refused.value, Invalid)
    assert refused.value.problems[0].field == "cursor"


async def test_a_residual_total_stops_at_ten_thousand(store: SqliteStore) -> None:
    tenant = store.open("acme")
    for start in range(0, MAX_SKIP + 100, 100):
        await tenant.partition(ROOT).commit([item(n, size=n % 2) for n in range(start, start + 100)])
    found = await read_page(tenant, None, "acme", ITEMS.query(asked(1, size={"lt": 5})))
    assert found.total == Total(MAX_SKIP, is_exact=False, has_more=True)


bodies = st.fixed_dictionaries(
    {
        "created_at": st.sampled_from("abc"),
        "name": st.sampled_from("xyz"),
        "owner": st.sampled_from(["ann", "bob"]),
    },
    optional={"status": st.sampled_from(["new", "old"]), "size": st.integers(0, 3)},
)
filters = st.fixed_dictionaries(
    {"owner": st.sampled_from(["ann", "bob"])},
    optional={
        "status": st.sampled_from(["new", "old", ["new", "old"], {"exists": False}]),
        "size": st.sampled_from([0, {"gte": 1}, {"ne": 2}]),
        "or": st.just([{"size": 1}, {"name": "x"}]),
    },
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(bodies, max_size=20),
    st.lists(bodies, max_size=10),
    filters,
    st.sampled_from(["createdAt", "-createdAt", "name", "-name"]),
    st.integers(1, 6),
    st.integers(1, 8),
)
def test_every_item_appears_once_while_others_are_added(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[dict[str, Any]],
    added: list[dict[str, Any]],
    filter_: dict[str, Any],
    sort: str,
    limit: int,
    examine: int,
) -> None:
    """For every sort and page size: what was there from the start appears exactly once, in order."""

    async def check() -> None:
        store = SqliteStore(tmp_path_factory.mktemp("store") / "store.db", INDEXES, SteppingClock())
        tenant, waiting = store.open("acme"), list(enumerate(added, 1000))
        await tenant.partition(ROOT).commit([item(n * 50 % 997, **body) for n, body in enumerate(written)])
        seen: list[tuple[str, str]] = []
        query = replace(ITEMS.query(asked(limit, sort=sort, **filter_)), examine=examine)
        while True:
            found = await read_page(tenant, None, "acme", query)
            seen += [(one.body[query.order], one.id) for one in found.documents]
            if found.next is None:
                break
            query = replace(query, after=found.next)
            if waiting:
                number, body = waiting.pop()
                await tenant.partition(ROOT).commit([item(number * 7 % 2003 + 1000, **body)])
        await store.aclose()
        wanted = parse(json.dumps(filter_), FIELDS)
        there = {
            (body[query.order], f"item:{n * 50 % 997:05}")
            for n, body in enumerate(written)
            if evaluate(wanted, body)
        }
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, reverse=query.descending)
        assert there <= set(seen)

    asyncio.run(check())


def test_conditions_under_and_are_conditions_at_the_top() -> None:
    query = ITEMS.query(replace(asked(), filter='{"and": [{"owner": "ann"}, {"size": 1}, {"name": "x"}]}'))
    assert dict(query.where) == {"owner": "ann"}
    # Equalities that no index binds are looked at, like everything else.
    assert isinstance(query.residual, AllOf)
    assert set(query.residual.filters) == {
        Compare("size", Operator.EQ, 1),
        Compare("name", Operator.EQ, "x"),
    }
