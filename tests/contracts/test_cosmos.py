"""What the store on Cosmos DB promises beyond the port: one request each, charges told, names that work."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.azure.cosmos import CosmosStore
from shared.adapters.azure.cosmos_indexing import documents_container
from shared.adapters.azure.cosmos_items import Version, item_of, micros
from shared.adapters.azure.cosmos_retry import Patience
from shared.domain.kernel.errors import Permanent, Transient
from shared.domain.kernel.ids import Root
from shared.ports.store import Query, Write
from tests.contracts.conftest import INDEXES, StillClock
from tests.contracts.cosmos_site import StandInSite

ROOT = Root("box", "1")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def charges() -> list[tuple[str, float]]:
    return []


@pytest.fixture
async def store(
    cosmos: StandInSite, clock: StillClock, charges: list[tuple[str, float]]
) -> AsyncIterator[CosmosStore]:
    opened = cosmos.store(INDEXES, clock, meter=lambda operation, units: charges.append((operation, units)))
    await opened.ready()
    yield opened
    await opened.aclose()


def create(name: str, **body: Any) -> Write:
    return Write("create", name, "thing", body)


@pytest.mark.parametrize(
    ("operation", "requests"),
    [
        ("read one", {"read": 1}),
        ("read many", {"query": 1}),
        ("read nothing", {}),
        ("scan", {"query": 1}),
        ("query", {"query": 1}),
        ("next page", {"query": 1}),
        ("walk", {"query": 1}),
        ("commit", {"batch": 1}),
        ("feed", {"feed": 1}),
    ],
)
async def test_every_operation_is_one_request(
    cosmos: StandInSite, store: CosmosStore, operation: str, requests: dict[str, int]
) -> None:
    tenant = store.open("acme")
    partition = tenant.partition(ROOT)
    await partition.commit([create(f"{n:03}", at=n) for n in range(60)])
    await tenant.query(Query("thing", {}, "at"))
    names = [f"{n:03}" for n in range(50)]
    before = cosmos.server.counts.copy()
    match operation:
        case "read one":
            assert len(await partition.read(names[:1])) == 1
        case "read many":
            assert len(await partition.read([*names, "absent"])) == 50
        case "read nothing":
            assert await partition.read([]) == {}
        case "scan":
            assert len(await partition.scan("", limit=50)) == 50
        case "query":
            assert len(await tenant.query(Query("thing", {}, "at"))) == 50
        case "next page":
            assert len(await tenant.query(Query("thing", {}, "at", after=(9, "009")))) == 50
        case "walk":
            assert len((await tenant.walk(Query("thing", {}, "at", limit=5))).documents) == 5
        case "commit":
            await partition.commit([create("a"), create("b"), Write("upsert", "c", "thing")])
        case "feed":
            assert len((await store.read("", 100)).documents) == 60
    assert dict(cosmos.server.counts - before) == requests


async def test_the_meter_hears_of_every_charge_under_the_operation_that_made_it(
    cosmos: StandInSite, store: CosmosStore, charges: list[tuple[str, float]]
) -> None:
    assert {operation for operation, _ in charges} == {"ready"}
    tenant = store.open("acme")
    partition = tenant.partition(ROOT)
    await tenant.query(Query("thing", {}, "at"))
    charges.clear()
    before = cosmos.server.charge
    cosmos.server.faults.add("429", kind="batch")
    await partition.commit([create("a", at=1), create("b", at=2)])
    await partition.read(["a"])
    await partition.read(["a", "b"])
    await partition.scan("")
    await tenant.query(Query("thing", {}, "at"))
    await tenant.walk(Query("thing", {}, "at"))
    await store.read("", 10)
    assert [operation for operation, _ in charges] == [
        "batch", "batch", "read", "read", "scan", "query", "walk", "feed",
    ]  # fmt: skip
    assert sum(units for _, units in charges) == pytest.approx(cosmos.server.charge - before, abs=0.1)


async def test_what_does_not_fit_a_page_of_cosmos_is_read_whole(store: CosmosStore) -> None:
    partition = store.open("acme").partition(ROOT)
    filling = "x" * 900_000
    for number in range(6):
        await partition.commit([create(str(number), at=number, filling=filling)])
    names = [str(number) for number in range(6)]
    assert (await partition.read(names)).keys() == set(names)
    assert [found.id for found in await partition.scan("")] == names
    assert [found.id for found in await store.open("acme").query(Query("thing", {}, "at"))] == names
    position, seen = "", list[str]()
    while (stretch := await store.read(position, 100)).documents:
        seen += [found.id for found in stretch.documents]
        position = stretch.position
    assert seen == names


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_texts_beyond_ascii_count_by_their_bytes_on_the_wire_too(store: CosmosStore) -> None:
    """As \\u escapes they would take three times the room, and Cosmos would refuse the batch."""
    partition = store.open("acme").partition(ROOT)
    text = "語" * 600_000
    await partition.commit([create("a", text=text)])
    assert (await partition.read(["a"]))["a"].body == {"text": text}


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a?b", "a#b", "", "é" * 512])
async def test_an_id_that_cosmos_does_not_take_is_named_before_anything_is_sent(
    cosmos: StandInSite, store: CosmosStore, name: str
) -> None:
    before = cosmos.server.counts["batch"]
    with pytest.raises(Permanent, match=re.escape(repr(name))):
        await store.open("acme").partition(ROOT).commit([create(name)])
    assert cosmos.server.counts["batch"] == before


@pytest.mark.parametrize("tenant", ["acme", "acme-2", 'ac"me', "acmé", "a b/c?d#e"])
async def test_a_tenant_sees_its_own_whatever_it_is_called(store: CosmosStore, tenant: str) -> None:
    root = Root("box", "ü/1")
    for name in (tenant, "acm", tenant + "x", tenant.upper()):
        await store.open(name).partition(root).commit([create("a", at=1, of=name)])
    own = store.open(tenant)
    assert [found.body["of"] for found in await own.query(Query("thing", {}, "at"))] == [tenant]
    assert [found.body["of"] for found in await own.partition(root).scan("")] == [tenant]
    assert (await own.partition(root).read(["a"]))["a"].body["of"] == tenant


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:8081", "http://acme.documents.azure.com", "acme.documents.azure.com", ""]
)
def test_an_endpoint_without_tls_is_refused(cosmos: StandInSite, endpoint: str) -> None:
    with pytest.raises(Permanent, match="https://"):
        CosmosStore(endpoint, "slipway", INDEXES, cosmos.credential(), StillClock())


async def test_a_database_that_is_not_deployed_is_told_so(cosmos: StandInSite, clock: StillClock) -> None:
    store = cosmos.store(INDEXES, clock, database="nowhere")
    for attempt in (store.ready, lambda: store.open("acme").partition(ROOT).read(["a"])):
        with pytest.raises(Transient, match="deploy the infrastructure"):
            await attempt()
    await store.aclose()


async def test_a_container_that_is_partitioned_otherwise_is_not_ready(
    cosmos: StandInSite, clock: StillClock
) -> None:
    key = {"paths": ["/tenantId"], "kind": "Hash", "version": 2}
    cosmos.server.add("wrong-key", documents_container(INDEXES) | {"partitionKey": key})
    store = cosmos.store(INDEXES, clock, database="wrong-key")
    with pytest.raises(Transient, match="/tenantId, /root"):
        await store.ready()
    await store.aclose()


async def test_a_container_without_the_composites_says_what_to_deploy(
    cosmos: StandInSite, clock: StillClock
) -> None:
    store = cosmos.store(INDEXES, clock, database=cosmos.database(()))
    with pytest.raises(Permanent, match="indexing policy"):
        await store.open("acme").query(Query("thing", {}, "at"))
    await store.aclose()


async def test_a_service_that_is_not_there_is_transient(cosmos: StandInSite, clock: StillClock) -> None:
    patience = Patience(total=0.2, connect=0.1, answer=0.1)
    endpoint = "https://127.0.0.1:9"
    credential = cosmos.credential()
    store = CosmosStore(endpoint, "slipway", INDEXES, credential, clock, patience=patience)
    with pytest.raises(Transient, match="try again"):
        await store.ready()
    await store.aclose()
    await credential.close()


async def test_a_store_that_was_never_used_closes(cosmos: StandInSite, clock: StillClock) -> None:
    await cosmos.store(INDEXES, clock).aclose()


def test_a_version_survives_its_text() -> None:
    for version in (Version('"a-1"', None), Version('"a-1"', 0), Version('"a@1"', 1_781_168_400_000_001)):
        assert Version.parse(str(version)) == version


@pytest.mark.parametrize("etag", [None, "", "*", "0", "stale", '"a', '"a"@', '"a"@x', '"a""b"'])
def test_what_is_no_version_is_never_sent_as_a_condition(etag: str | None) -> None:
    """`*` would match whatever is there, and no condition at all would, too."""
    assert Version.parse(etag) is None


@pytest.mark.parametrize(
    ("left", "ttl"),
    [
        (timedelta(seconds=30), 330),
        (timedelta(seconds=30, microseconds=1), 331),
        (timedelta(days=-1), 1),
        (timedelta(days=40_000), 2**31 - 1),
    ],
)
def test_cosmos_removes_a_document_some_time_after_it_is_gone(left: timedelta, ttl: int) -> None:
    now = StillClock().now()
    item = item_of(
        Write("create", "a", "thing", {"n": 1}, expires_at=now + left), ("acme", "box:1"), "batch", now
    )
    assert (item["ttl"], item["expiresAt"]) == (ttl, micros(now + left))


def test_a_document_that_does_not_expire_says_nothing_of_it() -> None:
    item = item_of(Write("create", "a", "thing", {"n": 1}), ("acme", "box:1"), "batch", StillClock().now())
    assert item == {
        "id": "a",
        "tenantId": "acme",
        "root": "box:1",
        "kind": "thing",
        "body": {"n": 1},
        "write": "batch",
    }
