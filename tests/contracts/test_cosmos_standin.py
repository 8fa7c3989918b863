"""The Cosmos stand-in as the real SDK sees it: items, batches, expiry, unique keys, charges."""

import asyncio
import json
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import CosmosClient
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.identity import ManagedIdentityCredential

from tests.standins.cosmos.account import DATABASE, Account, Session

KEY = ["t1", "r1"]
LARGE_BODIES = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


def item(item_id: str = "a", **body: Any) -> dict[str, Any]:
    return {"id": item_id, "tenantId": "t1", "root": "r1", **body}


@pytest.fixture
async def items(account: Account, session: Session) -> ContainerProxy:
    return session.container(account.container())


async def ids(items: ContainerProxy, sql: str = "SELECT VALUE c.id FROM c", key: Any = KEY) -> list[Any]:
    return [found async for found in items.query_items(sql, partition_key=key)]


async def test_an_item_comes_back_with_what_the_service_adds(items: ContainerProxy) -> None:
    made = await items.create_item(item(color="red"))
    found = await items.read_item("a", KEY)
    assert dict(found) == dict(made)
    assert {"_rid", "_self", "_etag", "_attachments", "_ts"} == found.keys() - item(color="red").keys()
    assert found.get_response_headers()["etag"] == found["_etag"]


async def test_an_item_that_is_not_there_is_not_found(items: ContainerProxy) -> None:
    with pytest.raises(CosmosResourceNotFoundError) as caught:
        await items.read_item("a", KEY)
    assert caught.value.sub_status == 0


async def test_a_second_create_conflicts(items: ContainerProxy) -> None:
    await items.create_item(item())
    with pytest.raises(CosmosResourceExistsError):
        await items.create_item(item(color="red"))


async def test_the_same_id_in_another_partition_is_another_item(items: ContainerProxy) -> None:
    await items.create_item(item(color="red"))
    await items.create_item(item(color="blue") | {"root": "r2"})
    assert (await items.read_item("a", KEY))["color"] == "red"
    assert (await items.read_item("a", ["t1", "r2"]))["color"] == "blue"


async def test_a_replace_with_a_stale_etag_is_refused(items: ContainerProxy) -> None:
    first = await items.create_item(item(n=1))
    condition = {"etag": first["_etag"], "match_condition": MatchConditions.IfNotModified}
    second = await items.replace_item("a", item(n=2), **condition)
    assert second["_etag"] != first["_etag"]
    with pytest.raises(CosmosAccessConditionFailedError):
        await items.replace_item("a", item(n=3), **condition)
    assert (await items.read_item("a", KEY))["n"] == 2


async def test_what_is_not_there_cannot_be_replaced_or_deleted(items: ContainerProxy) -> None:
    with pytest.raises(CosmosResourceNotFoundError):
        await items.replace_item("a", item())
    with pytest.raises(CosmosResourceNotFoundError):
        await items.delete_item("a", KEY)


async def test_a_delete_with_a_stale_etag_is_refused(items: ContainerProxy) -> None:
    first = await items.create_item(item())
    await items.upsert_item(item(n=2))
    with pytest.raises(CosmosAccessConditionFailedError):
        await items.delete_item("a", KEY, etag=first["_etag"], match_condition=MatchConditions.IfNotModified)
    await items.delete_item("a", KEY)
    assert await ids(items) == []


async def test_an_item_read_before_is_deleted_by_its_self_link(items: ContainerProxy) -> None:
    await items.delete_item(await items.create_item(item()), KEY)
    assert await ids(items) == []


@pytest.mark.parametrize("item_id", ["a b+c", "ä:@%&=~$,;'\"", "{x}[1]|^`", "." * 1023])
async def test_an_id_may_be_nearly_anything(items: ContainerProxy, item_id: str) -> None:
    await items.create_item(item(item_id))
    assert (await items.read_item(item_id, KEY))["id"] == item_id
    assert await ids(items) == [item_id]


async def test_a_container_may_have_a_simple_key(account: Account, session: Session) -> None:
    """As the leases of those who read the feed have it."""
    key = {"paths": ["/id"], "kind": "Hash", "version": 2}
    leases = session.container(account.container(partitionKey=key))
    lease = await leases.create_item({"id": "lease", "owner": "a"})
    condition = {"etag": lease["_etag"], "match_condition": MatchConditions.IfNotModified}
    await leases.replace_item("lease", {"id": "lease", "owner": "b"}, **condition)
    assert (await leases.read_item("lease", "lease"))["owner"] == "b"
    assert [found["id"] async for found in leases.read_all_items()] == ["lease"]


async def test_an_upsert_creates_and_then_replaces(items: ContainerProxy) -> None:
    first = await items.upsert_item(item(n=1))
    second = await items.upsert_item(item(n=2))
    assert first["_rid"] == second["_rid"]
    assert (await items.read_item("a", KEY))["n"] == 2


async def test_a_key_that_is_not_the_items_is_refused(items: ContainerProxy) -> None:
    with pytest.raises(CosmosBatchOperationError) as caught:
        await items.execute_item_batch([("create", (item() | {"root": "r2"},))], KEY)
    assert (caught.value.status_code, caught.value.operation_responses[0]["subStatusCode"]) == (400, 1001)


async def test_a_point_operation_needs_the_whole_key(items: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        await items.read_item("a", ["t1"])
    assert (caught.value.status_code, caught.value.sub_status) == (400, 1001)


@pytest.mark.parametrize("bad", [{"id": "x" * 1024}, {"ttl": 0}, {"ttl": "soon"}, {"ttl": -2}])
async def test_an_item_that_azure_refuses_is_refused(items: ContainerProxy, bad: dict[str, Any]) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        await items.create_item(item() | bad)
    assert caught.value.status_code == 400


@LARGE_BODIES
async def test_an_item_of_more_than_2_mb_is_too_large(items: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        await items.create_item(item(text="x" * 2 * 1024 * 1024))
    assert caught.value.status_code == 413


async def test_numbers_are_doubles(items: ContainerProxy) -> None:
    await items.create_item(item(whole=2.0, broken=2.5, big=2**53 + 1))
    found = await items.read_item("a", KEY)
    assert json.dumps([found["whole"], found["broken"], found["big"]]) == f"[2, 2.5, {2**53}]"


async def test_a_write_without_content_answers_none(items: ContainerProxy) -> None:
    assert dict(await items.create_item(item(), no_response=True)) == {}
    assert await ids(items) == ["a"]


async def test_an_item_is_gone_when_its_time_is_over(account: Account, items: ContainerProxy) -> None:
    await items.create_item(item(ttl=60))
    await items.create_item(item("b"))
    account.server.advance(61)
    with pytest.raises(CosmosResourceNotFoundError):
        await items.read_item("a", KEY)
    assert await ids(items) == ["b"]
    changes = items.query_items_change_feed(start_time="Beginning")
    assert [change["id"] async for change in changes] == ["b"]
    assert (await items.create_item(item()))["id"] == "a"


async def test_a_container_may_say_when_its_items_expire(account: Account, session: Session) -> None:
    items = session.container(account.container(defaultTtl=10))
    await items.create_item(item())
    await items.create_item(item("b", ttl=-1))
    account.server.advance(11)
    assert await ids(items) == ["b"]


async def test_without_a_ttl_of_the_container_nothing_expires(account: Account, session: Session) -> None:
    items = session.container(account.container(defaultTtl=None))
    await items.create_item(item(ttl=1))
    account.server.advance(5)
    assert await ids(items) == ["a"]


async def test_a_unique_key_holds_within_one_partition(account: Account, session: Session) -> None:
    policy = {"uniqueKeys": [{"paths": ["/name"]}]}
    items = session.container(account.container(uniqueKeyPolicy=policy))
    await items.create_item(item(name="x"))
    await items.create_item(item(name="x") | {"root": "r2"})
    with pytest.raises(CosmosResourceExistsError):
        await items.create_item(item("b", name="x"))
    await items.create_item(item("b", name="y"))
    with pytest.raises(CosmosResourceExistsError):
        await items.upsert_item(item("b", name="x"))


async def test_a_batch_does_everything_it_says(items: ContainerProxy) -> None:
    first = await items.create_item(item(n=1))
    await items.create_item(item("old"))
    results = await items.execute_item_batch(
        [
            ("create", (item("b"),)),
            ("replace", ("a", item(n=2)), {"if_match_etag": first["_etag"]}),
            ("upsert", (item("c"),)),
            ("read", ("b",)),
            ("delete", ("old",)),
        ],
        KEY,
    )
    assert [result["statusCode"] for result in results] == [201, 200, 201, 200, 204]
    assert results[0]["eTag"] == results[3]["resourceBody"]["_etag"]
    assert await ids(items) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("losing", "status"),
    [
        (("create", (item(),)), 409),
        (("replace", ("a", item()), {"if_match_etag": '"stale"'}), 412),
        (("replace", ("nothing", item("nothing"))), 404),
        (("delete", ("a",), {"if_match_etag": '"stale"'}), 412),
        (("delete", ("nothing",)), 404),
    ],
)
async def test_a_batch_that_loses_once_leaves_nothing(
    items: ContainerProxy, losing: tuple[Any, ...], status: int
) -> None:
    await items.create_item(item())
    with pytest.raises(CosmosBatchOperationError) as caught:
        await items.execute_item_batch([("create", (item("b"),)), losing, ("upsert", (item("c"),))], KEY)
    assert (caught.value.status_code, caught.value.error_index) == (status, 1)
    assert [result["statusCode"] for result in caught.value.operation_responses] == [424, status, 424]
    assert await ids(items) == ["a"]


@LARGE_BODIES
async def test_a_batch_has_at_most_100_operations_and_2_mb(items: ContainerProxy) -> None:
    await items.execute_item_batch([("create", (item(f"a{n}"),)) for n in range(100)], KEY)
    with pytest.raises(CosmosHttpResponseError) as caught:
        await items.execute_item_batch([("create", (item(f"b{n}"),)) for n in range(101)], KEY)
    assert caught.value.status_code == 400
    half = "x" * 1024 * 1024
    with pytest.raises(CosmosHttpResponseError) as caught:
        await items.execute_item_batch([("create", (item(name, text=half),)) for name in ("b", "c")], KEY)
    assert caught.value.status_code == 413
    assert len(await ids(items)) == 100


async def test_of_two_who_replace_the_same_version_one_wins(items: ContainerProxy) -> None:
    first = await items.create_item(item())
    condition = {"etag": first["_etag"], "match_condition": MatchConditions.IfNotModified}
    tries = (items.replace_item("a", item(n=n), **condition) for n in range(8))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    lost = [answer for answer in answers if isinstance(answer, CosmosAccessConditionFailedError)]
    assert len(lost) == 7


async def test_what_is_done_is_charged(account: Account, session: Session) -> None:
    def charge(answer: Any) -> float:
        return float(answer.get_response_headers()["x-ms-request-charge"])

    only_keys = {"includedPaths": [{"path": "/root/?"}], "excludedPaths": [{"path": "/*"}]}
    everything = session.container(account.container())
    little = session.container(account.container(indexingPolicy=only_keys))
    many: dict[str, Any] = {f"field{n}": n for n in range(30)}
    assert charge(await little.create_item(item(**many))) < charge(await everything.create_item(item(**many)))
    assert charge(await little.read_item("a", KEY)) == 1
    assert charge(await little.create_item(item("b", text="x" * 10_000))) > 9
    assert 1.5 < charge(await little.read_item("b", KEY)) < 3


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_the_sync_client_sees_the_same(account: Account) -> None:
    with (
        ManagedIdentityCredential() as credential,
        CosmosClient(account.server.url, credential) as client,
    ):
        items = client.get_database_client(DATABASE).get_container_client(account.container())
        made = items.create_item(item(n=1))
        assert items.read_item("a", KEY) == made
        with pytest.raises(CosmosAccessConditionFailedError):
            items.replace_item("a", item(), etag='"stale"', match_condition=MatchConditions.IfNotModified)
        items.execute_item_batch([("upsert", (item(n=2),)), ("create", (item("b"),))], KEY)
        found = items.query_items("SELECT c.id FROM c ORDER BY c.id", enable_cross_partition_query=True)
        assert list(found) == [{"id": "a"}, {"id": "b"}]
        assert [change["id"] for change in items.query_items_change_feed(start_time="Beginning")] == [
            "a",
            "b",
        ]
