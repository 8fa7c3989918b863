"""Every list that callers sort and filter, from the endpoint table: each sort shows each item once, each
filter finds what it says, totals are recounts, and the store is asked one query and one total."""

import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import pytest_asyncio

from functions.http.endpoint import Endpoint
from functions.http.lists import ListingQuery
from functions.http.surface import endpoint_table
from functions.routes import declared
from shared.adapters.codec import RecordCodec
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.filters import Compare, evaluate
from shared.names import INDEXES
from shared.ports.store import Document, Query, TenantStore
from tests.support.api import a_world, an_api
from tests.support.app import SteppingClock
from tests.support.counting import CountingStore, CountingTenant
from tests.support.lists import Json, Listed, query_of, template_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTS = [
    each
    for each in endpoint_table(declared())
    if each.query is not None and issubclass(each.query, ListingQuery)
]
ITEMS = 26
type Lists = Mapping[str, Listed]


async def filled(folder: Path, store: CountingStore, endpoints: Sequence[Endpoint] = LISTS) -> Lists:
    """An installation on this store whose lists have items."""
    api = an_api(folder, store=store, clock=SteppingClock())
    world = await a_world(api)
    documents = await store.changes(0, 5000)
    made: dict[str, Listed] = {}
    for endpoint in endpoints:
        bound = {param.argument.removesuffix("_id"): world.ids[param.name][-32:] for param in endpoint.params}
        template = template_of(documents, query_of(endpoint).LISTING, bound)
        path = endpoint.path.format(**world.ids)
        made[endpoint.name] = Listed(endpoint, api, path, template, random.Random(endpoint.name))
        await made[endpoint.name].add(ITEMS)
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lists(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lists]:
    folder = Path(tmp_path_factory.mktemp("lists"))
    store = CountingStore(SqliteStore(folder / "store.db", INDEXES, SteppingClock()))
    made = await filled(folder, store)
    yield made
    await next(iter(made.values())).api.app.aclose()


every_list = pytest.mark.parametrize("endpoint", LISTS, ids=lambda endpoint: endpoint.name)


async def page(listed: Listed, **query: Any) -> Any:
    return await listed.api.expect(200, "GET", asking(listed, **query))


def asking(listed: Listed, **query: Any) -> str:
    written = [f"{name}={_text(value)}" for name, value in query.items() if value is not None]
    return f"{listed.path}?{'&'.join(written)}"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


async def everything(listed: Listed) -> list[Json]:
    shown = await page(listed, limit=100)
    assert shown["next"] is None
    assert shown["total"] == len(shown["items"])
    return list(shown["items"])


async def refused(listed: Listed, **query: Any) -> tuple[str, str]:
    answer = await listed.api.send("GET", asking(listed, **query))
    assert answer.status == 400, answer.body
    [problem] = answer.body["errors"]
    return problem["field"], problem["message"]


def id_of(item: Json) -> str:
    return str(next(iter(item.values())))


def ids_of(items: list[Json]) -> set[str]:
    return {id_of(item) for item in items}


def values(items: list[Json], name: str) -> list[Any]:
    """Some of the values that the items show of a field, with null where one shows none."""
    return list(dict.fromkeys(item.get(name) for item in items))[:4]


def needed(listed: Listed, name: str, item: Json) -> Json:
    """The equalities without which the list has no such order, with the values of one item."""
    order = listed.listing.fields[name].stored
    index = min((each for each in listed.indexes if each.order == order), key=lambda each: len(each.equal))
    wire = {known.stored: name for name, known in listed.listing.fields.items()}
    return {wire[stored]: item[wire[stored]] for stored in index.equal if stored not in listed.bound}


def place(item: Json, name: str) -> tuple[Any, str]:
    value = item[name]
    if name.endswith("At"):
        return datetime.fromisoformat(value), id_of(item)
    return value, id_of(item)


def matches(item: Json, equal: Json) -> bool:
    return all(item.get(name) == value for name, value in equal.items())


@every_list
async def test_a_list_is_filtered_by_what_its_items_show(lists: Lists, endpoint: Endpoint) -> None:
    listed = lists[endpoint.name]
    items = await everything(listed)
    for name in listed.listing.fields:
        assert any(name in item for item in items), f"{name} is filtered by and never shown"
    for item in items:
        for name, word in listed.words.get(id_of(item)[-32:], {}).items():
            assert item[name] == word


async def shows_every_item_once(listed: Listed) -> None:
    """In every order, while others are added."""
    for name in listed.listing.orders:
        for sign in ("", "-"):
            before = await everything(listed)
            equal = needed(listed, name, before[0])
            there = [item for item in before if matches(item, equal)]
            seen: list[Json] = []
            query: Json = {"sort": sign + name, "limit": 5, "filter": equal or None}
            while True:
                shown = await page(listed, **query)
                seen += shown["items"]
                if shown["next"] is None:
                    break
                query["cursor"] = shown["next"]
                if listed.made < ITEMS + 20:
                    await listed.add(1)
            assert len(ids_of(seen)) == len(seen)
            assert ids_of(there) <= ids_of(seen)
            places = [place(item, name) for item in seen]
            assert places == sorted(places, reverse=sign == "-"), f"{sign}{name}"


STATES: Mapping[str, list[Json]] = {
    "run": [{"status": "failed", "outcome_reason": "timed_out"}],
    "promotion": [
        {"status": "deployed", "superseded_by": "0" * 32},
        {"status": "pending", "has_quorum": True},
    ],
}
"""What callers see as a state of its own, and which is more than the stored one."""


@every_list
async def test_every_stored_state_is_shown_as_the_one_word_that_finds_it(
    lists: Lists, endpoint: Endpoint
) -> None:
    listed = lists[endpoint.name]
    assert endpoint.view is not None
    for name, known in listed.listing.fields.items():
        if known.words is None:
            continue
        stored = get_type_hints(listed.record)[known.stored]
        states: list[Json] = [{known.stored: str(state)} for state in stored]
        if known.stored == "status":
            states += STATES.get(listed.listing.kind, [])
        for state in states:
            body = listed.plain | state
            view = endpoint.view.model_validate(RecordCodec().decode(listed.record, body))
            shown = view.model_dump(mode="json", by_alias=True)[name]
            found = [word for word, meant in known.words.items() if evaluate(meant, body)]
            assert found == [shown], state


@every_list
async def test_every_sort_shows_every_item_once_while_others_are_added(
    lists: Lists, endpoint: Endpoint
) -> None:
    await shows_every_item_once(lists[endpoint.name])


@every_list
async def test_an_equality_finds_what_a_look_at_every_item_finds(lists: Lists, endpoint: Endpoint) -> None:
    listed = lists[endpoint.name]
    items = await everything(listed)
    for name in listed.listing.fields:
        for value in values(items, name):
            if value is None and listed.listing.fields[name].words is not None:
                continue
            wanted = ids_of([item for item in items if item.get(name) == value])
            asked = [{"filter": {name: value}}]
            if name in listed.parameters and value is not None:
                asked.append({name: value})
            for query in asked:
                shown = await page(listed, limit=100, **query)
                assert ids_of(shown["items"]) == wanted, (name, value)
                assert shown["total"] == len(wanted)
                assert "totalIsExact" not in shown


@every_list
async def test_conditions_together_find_what_a_look_at_every_item_finds(
    lists: Lists, endpoint: Endpoint
) -> None:
    listed = lists[endpoint.name]
    items, chance = await everything(listed), random.Random(7)
    names = [name for name in listed.listing.fields if len(values(items, name)) > 1]
    for _ in range(30):
        one, other, third = (chance.choice(names) for _ in range(3))
        value, unwanted = chance.choice(items).get(one), chance.choice(items).get(other)
        several = [item[third] for item in chance.sample(items, 4) if third in item]
        if value is None or unwanted is None or not several:
            continue
        asked = {"or": [{one: value}, {third: {"in": several}}], "not": {other: unwanted}}
        wanted = [
            item
            for item in items
            if (item.get(one) == value or item.get(third) in several) and item.get(other) != unwanted
        ]
        order = next(name for name in listed.listing.orders if not needed(listed, name, items[0]))
        shown = await page(listed, limit=100, filter=asked, sort=f"-{order}")
        assert ids_of(shown["items"]) == ids_of(wanted), asked
        assert shown["total"] == len(wanted)


@every_list
async def test_a_cursor_is_of_one_sort_and_one_filter(lists: Lists, endpoint: Endpoint) -> None:
    listed = lists[endpoint.name]
    items = await everything(listed)
    cursor = (await page(listed, limit=2))["next"]
    assert (await page(listed, limit=3, cursor=cursor))["items"]
    default = listed.listing.sort
    other = default.removeprefix("-") if default.startswith("-") else f"-{default}"
    name = listed.parameters[0]
    value = next(item[name] for item in items if name in item)
    for query in ({"sort": other}, {"filter": {name: value}}, {name: value}):
        assert (await refused(listed, cursor=cursor, **query))[0] == "cursor"


@every_list
async def test_a_name_that_cannot_be_used_is_refused_with_those_that_can(
    lists: Lists, endpoint: Endpoint
) -> None:
    listed = lists[endpoint.name]
    listing = listed.listing
    for sort in ("planted", *(name for name in listing.fields if name not in listing.orders)):
        where, says = await refused(listed, sort=sort)
        assert where == "sort"
        assert ", ".join(listing.orders) in says
    where, says = await refused(listed, filter={"planted": 1})
    assert where == "filter.planted"
    assert all(name in says for name in listing.fields)
    for name, known in listing.fields.items():
        if known.words is not None:
            assert (await refused(listed, filter={name: "Planted"}))[0] == f"filter.{name}"


@every_list
async def test_a_list_asks_the_store_for_one_query_and_one_total(lists: Lists, endpoint: Endpoint) -> None:
    listed = lists[endpoint.name]
    items = await everything(listed)
    store = listed.api.app.store
    assert isinstance(store, CountingStore)
    parent = ["read"] if listed.bound else []
    counted = {frozenset(index.equal) - listed.bound for index in listed.indexes}

    async def asks(query: Json) -> list[str]:
        store.operations.clear()
        await page(listed, limit=5, **query)
        return [one.kind for one in store.operations]

    if frozenset() in counted:
        assert await asks({}) == [*parent, "query", "read"]
    for name in listed.parameters:
        known = listed.listing.fields[name]
        value = next(item[name] for item in items if name in item)
        meant = None if known.words is None else known.words[value]
        is_equality = meant is None or (isinstance(meant, Compare) and meant.field == known.stored)
        if frozenset({known.stored}) in counted and is_equality:
            assert await asks({name: value}) == [*parent, "query", "read"], name
            # In another order the same total is still that one read.
            for order in listed.listing.orders:
                equal = {} if order in (name,) else needed(listed, order, items[0])
                if not equal:
                    assert (await asks({name: value, "sort": order}))[-1] == "read", (name, order)
        else:
            assert await asks({name: value}) == [*parent, "walk", "walk"], name


async def test_every_paged_list_of_the_surface_is_sorted_and_filtered() -> None:
    whole = {
        "devops_list_environments",
        "devops_list_freeze_windows",
        "devops_list_branch_policies",
        "devops_list_release_approvals",
        "devops_list_planned_resources",
    }
    paged = {each.name for each in endpoint_table(declared()) if each.surface == "devops" and each.paged}
    assert {each.name for each in LISTS} >= paged - whole


class SkippingStore(CountingStore):
    """A planted bug: a page goes on behind every item that lies where the last one does."""

    def open(self, tenant: str) -> TenantStore:
        return SkippingTenant(self.store.open(tenant), self.operations)


class SkippingTenant(CountingTenant):
    async def query(self, query: Query) -> list[Document]:
        found = await super().query(query)
        return [one for one in found if query.after is None or one.body[query.order] != query.after[0]]


async def test_a_cursor_that_skips_equal_times_is_found(tmp_path: Path) -> None:
    """The test of the test above."""
    store = SkippingStore(SqliteStore(tmp_path / "store.db", INDEXES, SteppingClock()))
    endpoint = next(each for each in LISTS if each.name == "devops_list_repositories")
    listed = (await filled(tmp_path, store, [endpoint]))[endpoint.name]
    try:
        with pytest.raises(AssertionError):
            await shows_every_item_once(listed)
    finally:
        await listed.api.app.aclose()
