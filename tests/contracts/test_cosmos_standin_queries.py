"""The Cosmos stand-in as the real SDK sees it: queries, their limits and plans, and the change feed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from tests.standins.cosmos import CosmosStandIn
from tests.standins.cosmos.account import DATABASE, Account, Session, an_account, open_session
from tests.standins.cosmos.sql import parse
from tests.standins.hosting import hosted

KEY = ["t1", "r1"]
INDEXING = {
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": "/secret/*"}, {"path": "/hidden/?"}],
    "compositeIndexes": [[{"path": "/kind"}, {"path": "/n"}, {"path": "/id", "order": "descending"}]],
}


@pytest.fixture(scope="module", params=[1, 3], ids=["one partition", "three partitions"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    with an_account(request.param) as opened, pytest.MonkeyPatch.context() as patch:
        for name, value in opened.identity.environment.items():
            patch.setenv(name, value)
        yield opened


@pytest.fixture
async def items(account: Account, session: Session) -> ContainerProxy:
    return session.container(account.container(indexingPolicy=INDEXING))


def item(item_id: str, root: str = "r1", tenant: str = "t1", **body: Any) -> dict[str, Any]:
    return {"id": item_id, "tenantId": tenant, "root": root, **body}


async def put(items: ContainerProxy, *documents: dict[str, Any]) -> None:
    for document in documents:
        await items.create_item(document)


async def ask(items: ContainerProxy, sql: str, key: Any = KEY, **parameters: Any) -> list[Any]:
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    pages = items.query_items(sql, parameters=given, partition_key=key)
    return [found async for found in pages]


MIXED = (
    item("number", v=5),
    item("one", v=1),
    item("text", v="5"),
    item("true", v=True),
    item("null", v=None),
    item("list", v=[1, 2]),
    item("object", v={"a": 1}),
    item("nothing"),
)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("c.v = 5", {"number"}),
        ("c.v = 1", {"one"}),
        ("c.v = true", {"true"}),
        ("c.v = null", {"null"}),
        ("c.v != 5", {"one"}),
        ("NOT (c.v = 5)", {"one"}),
        ("NOT (c.v = 5) OR c.v = 5", {"number", "one"}),
        ("c.v > 1", {"number"}),
        ("c.v < 'a'", {"text"}),
        ("c.v >= false", {"true"}),
        ("c.v IN (1, '5', true)", {"one", "text", "true"}),
        ("c.v BETWEEN 1 AND 4", {"one"}),
        ("c.v = @list", {"list"}),
        ("c.v = {'a': 1}", {"object"}),
        ("c.v > [1]", set()),
        ("IS_DEFINED(c.v) = false", {"nothing"}),
        ("NOT IS_DEFINED(c.v)", {"nothing"}),
        ("IS_NULL(c.v)", {"null"}),
        ("IS_STRING(c.v) OR IS_BOOL(c.v)", {"text", "true"}),
        ("c.v.a = 1 OR c.v[1] = 2", {"object", "list"}),
        ("c['v'] = 5 AND c.id = 'number'", {"number"}),
        ("STARTSWITH(c.id, 'n')", {"number", "null", "nothing"}),
        ("STARTSWITH(c.v, '5')", {"text"}),
        ("CONTAINS(c.id, 'U', true) AND NOT ENDSWITH(c.id, 'e')", {"number", "null"}),
        ("ARRAY_CONTAINS(c.v, 2)", {"list"}),
        ("c.v + 1 = 6 OR LOWER(c.id) || 'x' = 'textx'", {"number", "text"}),
        ("c.missing = c.missing", set()),
        ("c.v < @huge", {"number", "one"}),
        ("true", {document["id"] for document in MIXED}),
    ],
)
async def test_conditions_are_strict_about_types_and_undefined(
    items: ContainerProxy, condition: str, found: set[str]
) -> None:
    operations = [("create", (document,)) for document in MIXED]
    await items.execute_item_batch(operations, KEY)
    assert (
        set(await ask(items, f"SELECT VALUE c.id FROM c WHERE {condition}", list=[1, 2], huge=2**70)) == found
    )


async def test_a_selection_leaves_out_what_is_undefined(items: ContainerProxy) -> None:
    await put(items, item("a", v={"x": 1}), item("b"))
    assert await ask(items, "SELECT c.id, c.v.x AS y FROM c") == [{"id": "a", "y": 1}, {"id": "b"}]
    assert await ask(items, "SELECT VALUE c.v.x FROM c") == [1]
    assert await ask(items, "SELECT VALUE [c.id, {'z': c.v.x}] FROM c") == [["a", {"z": 1}], ["b", {}]]
    assert [found["id"] for found in await ask(items, "SELECT * FROM root r WHERE r.id = 'a'")] == ["a"]


async def test_an_order_sorts_types_and_puts_undefined_first(items: ContainerProxy) -> None:
    await items.execute_item_batch([("create", (document,)) for document in MIXED], KEY)
    found = await ask(items, "SELECT VALUE c.id FROM c ORDER BY c.v")
    assert found == ["nothing", "null", "true", "one", "number", "text", "list", "object"]
    assert (await ask(items, "SELECT TOP 2 VALUE c.id FROM c ORDER BY c.v DESC")) == ["object", "list"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM c ORDER BY c.n, c.kind", "corresponding composite index"),
        ("SELECT * FROM c ORDER BY c.kind, c.n", "corresponding composite index"),
        ("SELECT * FROM c ORDER BY c.kind, c.n, c.id", "corresponding composite index"),
        ("SELECT * FROM c ORDER BY c.hidden", "order-by item is excluded"),
        ("SELECT * FROM c ORDER BY c.secret.name", "order-by item is excluded"),
        ("SELECT * FROM c ORDER BY LOWER(c.id)", "could not be mapped to a document path"),
        ("SELECT * FROM c WHERE c.id = @nobody", "@nobody"),
        ("SELECT * FROM c WHERE d.id = 1", "could not be resolved"),
        ("SELECT * FROM c WHERE", "Syntax error"),
        ("SELECT c.id, COUNT(1) FROM c", "GROUP BY"),
        ("SELECT DISTINCT c.id FROM c", "does not offer"),
        ("SELECT c.n FROM c GROUP BY c.n", "does not offer"),
        ("SELECT * FROM c JOIN t IN c.tags", "does not offer"),
        ("SELECT * FROM c WHERE REGEXMATCH(c.id, 'x')", "does not offer"),
        ("SELECT TOP 1 * FROM c OFFSET 0 LIMIT 1", "cannot be used together"),
    ],
)
async def test_what_azure_refuses_or_nobody_offers_is_refused(
    items: ContainerProxy, sql: str, words: str
) -> None:
    with pytest.raises(CosmosHttpResponseError, match=words) as caught:
        await ask(items, sql)
    assert caught.value.status_code == 400


async def test_a_composite_index_serves_its_order_and_the_reverse(items: ContainerProxy) -> None:
    await put(items, item("a", kind="x", n=1), item("b", kind="x", n=1), item("c", kind="x", n=2))
    forth = await ask(items, "SELECT VALUE c.id FROM c ORDER BY c.kind, c.n, c.id DESC")
    back = await ask(items, "SELECT VALUE c.id FROM c ORDER BY c.kind DESC, c.n DESC, c.id ASC")
    assert (forth, back) == (["b", "a", "c"], ["c", "a", "b"])


@pytest.mark.parametrize("order", ["", " ORDER BY c.n DESC", " ORDER BY c.n OFFSET 2 LIMIT 6"])
async def test_pages_follow_one_another_by_their_continuation(items: ContainerProxy, order: str) -> None:
    await put(items, *(item(f"i{n}", n=n % 4) for n in range(10)))
    whole = await ask(items, f"SELECT VALUE c.id FROM c{order}")
    pages: list[list[Any]] = []
    token = None
    while token is not None or not pages:
        found = items.query_items(f"SELECT VALUE c.id FROM c{order}", partition_key=KEY, max_item_count=3)
        iterator: Any = found.by_page(token)
        pages.append([name async for name in await anext(iterator)])
        token = iterator.continuation_token
    assert [name for page in pages for name in page] == whole
    assert max(map(len, pages)) <= 3
    assert len(whole) == (6 if "LIMIT" in order else 10)


async def test_a_continuation_of_another_query_is_refused(items: ContainerProxy) -> None:
    await put(items, *(item(f"i{n}") for n in range(3)))
    pages: Any = items.query_items("SELECT * FROM c", partition_key=KEY, max_item_count=1).by_page()
    await anext(pages)
    other = items.query_items("SELECT c.id FROM c", partition_key=KEY)
    with pytest.raises(CosmosHttpResponseError, match="Continuation"):
        await anext(other.by_page(pages.continuation_token))


async def test_a_page_has_at_most_4_mb(items: ContainerProxy) -> None:
    await put(items, *(item(f"i{n}", text="x" * 900_000) for n in range(6)))
    pages = items.query_items("SELECT * FROM c", partition_key=KEY, max_item_count=100).by_page()
    assert [len([found async for found in page]) async for page in pages] == [4, 2]


async def test_aggregates_are_over_what_matches(items: ContainerProxy) -> None:
    await put(items, item("a", n=1), item("b", n=3), item("c"))
    assert await ask(items, "SELECT VALUE COUNT(1) FROM c") == [3]
    assert await ask(items, "SELECT VALUE COUNT(c.n) FROM c") == [2]
    assert await ask(items, "SELECT COUNT(1) AS many, SUM(c.n) AS total, MAX(c.n) AS most FROM c") == [
        {"many": 3, "total": 4, "most": 3}
    ]
    assert await ask(items, "SELECT VALUE AVG(c.n) FROM c WHERE c.n > 1") == [3]


async def test_a_prefix_of_the_key_reads_one_tenant(items: ContainerProxy) -> None:
    await put(items, *(item(f"i{n}", root=f"r{n % 5}", n=n) for n in range(20)))
    await put(items, item("other", tenant="t2", n=99))
    assert len(await ask(items, "SELECT * FROM c", ["t1"])) == 20
    assert await ask(items, "SELECT VALUE COUNT(1) FROM c", ["t2"]) == [1]
    assert await ask(items, "SELECT * FROM c WHERE c.tenantId = 't1'", ["t2"]) == []


async def test_a_query_across_partitions_is_merged_by_the_client(
    account: Account, items: ContainerProxy
) -> None:
    await put(items, *(item(f"i{n}", root=f"r{n}", tenant=f"t{n % 3}", n=n) for n in range(12)))
    before = account.server.counts["query-plan"]

    async def across(sql: str) -> list[Any]:
        return [found async for found in items.query_items(sql)]

    assert await across("SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 1 LIMIT 3") == [10, 9, 8]
    assert await across("SELECT TOP 2 c.id, c.n AS x FROM c WHERE c.n > 4 ORDER BY c.n") == [
        {"id": "i5", "x": 5},
        {"id": "i6", "x": 6},
    ]
    assert await across("SELECT VALUE COUNT(1) FROM c WHERE c.n > 4") == [7]
    assert await across("SELECT VALUE AVG(c.n) FROM c") == [5.5]
    assert account.server.counts["query-plan"] == before + 4
    assert sorted(await across("SELECT VALUE c.n FROM c")) == list(range(12))
    assert account.server.counts["query-plan"] == before + 4


async def test_a_prefix_that_spans_ranges_is_read_one_range_after_the_other(account: Account) -> None:
    """What the SDK makes of it: each range in its order, and so the whole in none."""
    name = account.container(indexingPolicy=INDEXING)
    container = account.server.catalogue.containers[DATABASE, name]
    cut = container.epk(["t1"]) + "20"
    issuer = account.server.issuer
    with hosted(
        lambda: CosmosStandIn({DATABASE: [container.definition]}, issuer=issuer, cuts=[cut])
    ) as server:
        session = await open_session(Account(server, account.identity))
        items = session.container(name)
        await put(items, *(item(f"i{n:02}", root=f"r{n}") for n in range(20)))
        found = await ask(items, "SELECT VALUE c.id FROM c ORDER BY c.id", ["t1"])
        low = {f"i{n:02}" for n in range(20) if container.epk(["t1", f"r{n}"]) < cut}
        assert 0 < len(low) < 20
        assert found == [*sorted(low), *sorted({*found} - low)]
        assert len(found) == 20
        await session.aclose()


async def test_a_read_of_many_under_a_hierarchical_key_finds_nothing(items: ContainerProxy) -> None:
    """A fault of the SDK, which compares the first level of the key with the whole key. Not ours to heal."""
    await put(items, item("a"), item("b"))
    assert await items.read_items([("a", KEY), ("b", KEY)]) == []


async def changes(items: ContainerProxy, **options: Any) -> list[Any]:
    return [change async for change in items.query_items_change_feed(**options)]


async def test_the_feed_has_the_latest_version_of_each_item_in_order(items: ContainerProxy) -> None:
    await put(items, item("a", n=1), item("b", n=1), item("gone"))
    await items.upsert_item(item("a", n=2))
    await items.delete_item("gone", KEY)
    found = await changes(items, start_time="Beginning")
    assert [(change["id"], change["n"]) for change in found] == [("b", 1), ("a", 2)]
    assert found[0]["_lsn"] < found[1]["_lsn"]
    assert "_lsn" not in await items.read_item("a", KEY)


async def test_the_feed_goes_on_from_where_a_reader_stopped(items: ContainerProxy) -> None:
    await put(items, item("a"), item("b"), item("c"))
    feed: Any = items.query_items_change_feed(start_time="Beginning", max_item_count=2).by_page()
    read: list[str] = []
    async for page in feed:
        read += [change["id"] async for change in page]
    assert read == ["a", "b", "c"]
    token = feed.continuation_token
    assert await changes(items, continuation=token) == []
    await put(items, item("d"))
    assert [change["id"] for change in await changes(items, continuation=token)] == ["d"]


async def test_the_feed_never_cuts_a_batch(items: ContainerProxy) -> None:
    for batch in range(3):
        await items.execute_item_batch([("create", (item(f"{batch}{n}"),)) for n in range(5)], KEY)
    pages = items.query_items_change_feed(start_time="Beginning", max_item_count=3).by_page()
    read = [[(change["id"][0], change["_lsn"]) async for change in page] async for page in pages]
    assert [len(set(page)) for page in read if page] == [1, 1, 1]


async def test_the_feed_may_start_now_or_at_a_moment(account: Account, items: ContainerProxy) -> None:
    await put(items, item("a"))
    assert await changes(items, start_time="Now") == []
    now = items.client_connection.last_response_headers["etag"]
    account.server.advance(3600)
    await put(items, item("b"))
    assert [change["id"] for change in await changes(items, continuation=now)] == ["b"]
    later = datetime.fromtimestamp(account.server.now(), UTC) - timedelta(minutes=5)
    assert [change["id"] for change in await changes(items, start_time=later)] == ["b"]


async def test_the_feed_may_be_of_one_key_or_of_one_range(items: ContainerProxy) -> None:
    await put(items, *(item(f"i{n}", root=f"r{n}") for n in range(8)))
    one = await changes(items, start_time="Beginning", partition_key=["t1", "r3"])
    assert [change["id"] for change in one] == ["i3"]
    ranges = [found async for found in items.read_feed_ranges()]
    found = [
        change["id"]
        for feed_range in ranges
        for change in await changes(items, start_time="Beginning", feed_range=feed_range)
    ]
    assert sorted(found) == [f"i{n}" for n in range(8)]


def test_a_query_is_understood_whatever_its_layout() -> None:
    sql = "select\n top @n c['a b'], -1.5e2 AS x from Items AS c\twhere c.\"x\" = 'it\\'s' "
    with pytest.raises(Exception, match="Syntax error"):
        parse(sql, {"@n": 3})
    read = parse(sql.replace('."x"', '["x"]'), {"@n": 3})
    assert read.items is not None
    assert (read.top, read.alias, [name for name, _, _ in read.items]) == (3, "c", ["a b", "x"])
