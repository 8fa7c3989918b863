"""The Cosmos stand-in when things go wrong on order, when it is a process, and when it starts again."""

import asyncio
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import AzureError, ServiceResponseError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError
from azure.identity.aio import ManagedIdentityCredential

from tests.standins.cosmos import CosmosStandIn
from tests.standins.cosmos.account import DATABASE, Account, Session, open_session
from tests.standins.hosting import hosted
from tests.standins.identity import Issuer

KEY = ["t1", "r1"]
ITEM = {"id": "a", "tenantId": "t1", "root": "r1"}
DOCUMENTS = {
    "id": "documents",
    "partitionKey": {"paths": ["/tenantId", "/root"], "kind": "MultiHash", "version": 2},
}


@pytest.fixture
async def session(account: Account) -> AsyncIterator[Session]:
    opened = await open_session(account, read_timeout=0.2)
    yield opened
    account.server.faults.clear()
    await opened.aclose()


@pytest.fixture
async def items(account: Account, session: Session) -> ContainerProxy:
    found = session.container(account.container())
    await found.read()
    return found


async def is_there(items: ContainerProxy) -> bool:
    try:
        await items.read_item("a", KEY)
    except CosmosResourceNotFoundError:
        return False
    return True


@pytest.mark.parametrize("status", [429, 449, 408, 503, 500, 410, 401])
async def test_a_status_on_order_leaves_nothing_behind(
    account: Account, items: ContainerProxy, status: int
) -> None:
    fault = account.server.faults.add(str(status), kind="create", retry_after_ms=7, times=20, substatus=0)
    with pytest.raises(CosmosHttpResponseError) as caught:
        await items.create_item(ITEM)
    assert caught.value.status_code == status
    assert fault.hits >= 1
    account.server.faults.clear()
    if status in {429, 449}:
        assert caught.value.headers["x-ms-retry-after-ms"] == "7"
    assert not await is_there(items)


async def test_a_busy_account_is_asked_again_by_a_client_that_may(account: Account) -> None:
    session = await open_session(account, retry_throttle_total=5)
    try:
        fault = account.server.faults.add("429", kind="create", times=2, retry_after_ms=1)
        await session.container(account.container()).create_item(ITEM)
        assert fault.hits == 2
    finally:
        await session.aclose()


@pytest.mark.parametrize(("mode", "is_done"), [("dropped-before", False), ("dropped-after-commit", True)])
async def test_a_lost_connection_may_have_done_it_or_not(
    account: Account, items: ContainerProxy, mode: str, is_done: bool
) -> None:
    account.server.faults.add(mode, kind="batch", times=20)
    with pytest.raises(AzureError):
        await items.execute_item_batch([("create", (ITEM,))], KEY)
    account.server.faults.clear()
    assert await is_there(items) is is_done


async def test_an_answer_may_come_too_late(account: Account, items: ContainerProxy) -> None:
    account.server.faults.add("timeout-after-commit", kind="create", seconds=1)
    with pytest.raises(ServiceResponseError):
        await items.create_item(ITEM)
    assert await is_there(items)


async def test_a_slow_answer_is_an_answer(account: Account, items: ContainerProxy) -> None:
    account.server.faults.add("slow", kind="create", seconds=0.1)
    started = time.perf_counter()
    await items.create_item(ITEM)
    assert time.perf_counter() - started > 0.1


async def test_a_fault_waits_for_the_requests_it_is_meant_for(
    account: Account, items: ContainerProxy
) -> None:
    fault = account.server.faults.add("449", method="POST", path=r"/docs$", kind="upsert", after=1)
    await items.create_item(ITEM)
    await items.upsert_item(ITEM)
    with pytest.raises(CosmosHttpResponseError):
        await items.upsert_item(ITEM)
    await items.upsert_item(ITEM)
    assert fault.hits == 1


def test_a_fault_nobody_knows_is_refused(account: Account) -> None:
    with pytest.raises(ValueError, match="dropped-before"):
        account.server.faults.add("meteor")


async def test_everything_may_be_ordered_over_http(account: Account, items: ContainerProxy) -> None:
    async def control(method: str, path: str, data: Any = None) -> Any:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        url = f"{account.server.url}/_standin/{path}"
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, url, json=data, ssl=trusting) as answer,
        ):
            return answer.status, await answer.json() if answer.status == 200 else None

    assert await control("POST", "faults", [{"mode": "503", "kind": "create"}]) == (204, None)
    with pytest.raises(CosmosHttpResponseError):
        await items.create_item(ITEM)
    assert await control("POST", "faults", {"mode": "503", "kind": "create"}) == (204, None)
    assert await control("DELETE", "faults") == (204, None)
    await items.create_item(ITEM | {"ttl": 5})
    assert await control("POST", "clock", {"advance": 6}) == (204, None)
    assert not await is_there(items)
    another = {"database": DATABASE, "definition": DOCUMENTS | {"id": "another"}}
    assert await control("POST", "containers", another) == (204, None)
    assert (await control("POST", "containers", another))[0] == 400
    assert (await control("POST", "faults", {"mode": "meteor"}))[0] == 400
    assert (await control("POST", "nothing"))[0] == 404
    assert (await control("GET", "counts"))[1]["counts"]["create"] >= 2


async def test_what_is_kept_in_a_file_is_there_after_a_restart(account: Account, tmp_path: Path) -> None:
    def opened() -> CosmosStandIn:
        return CosmosStandIn({DATABASE: [DOCUMENTS]}, issuer=account.server.issuer, file=tmp_path / "db")

    async def session(server: CosmosStandIn) -> Session:
        return await open_session(Account(server, account.identity))

    with hosted(opened) as server:
        first = await session(server)
        items = first.container("documents")
        await items.create_item(ITEM)
        feed = [change async for change in items.query_items_change_feed(start_time="Beginning")]
        token = items.client_connection.last_response_headers["etag"]
        await first.aclose()
    with hosted(opened) as server:
        second = await session(server)
        items = second.container("documents")
        found = await items.read_item("a", KEY)
        assert found["_etag"] == feed[0]["_etag"]
        await items.create_item(ITEM | {"id": "b"})
        after = items.query_items_change_feed(continuation=token)
        assert [change["id"] async for change in after] == ["b"]
        await second.aclose()


async def test_it_runs_as_a_process_until_it_is_told_to_stop(account: Account, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(account.server.issuer.secret, encoding="ascii")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.standins.cosmos", "--identity-secret-file", secret,
        stdout=asyncio.subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    server = CosmosStandIn({}, issuer=Issuer(account.server.issuer.secret), port=int(url.rpartition(":")[2]))
    session = await open_session(Account(server, account.identity))
    try:
        assert (await session.container("documents").read())["id"] == "documents"
    finally:
        await session.aclose()
        process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_a_token_that_ran_out_is_fetched_anew(account: Account) -> None:
    account.identity.lifetime = 1
    session = await open_session(account)
    try:
        account.identity.lifetime = 3600
        await asyncio.sleep(1.1)
        assert (await session.container(account.container()).create_item(ITEM))["id"] == "a"
    finally:
        await session.aclose()


async def test_the_credential_is_that_of_a_managed_identity(account: Account) -> None:
    async with ManagedIdentityCredential() as credential:
        token = await credential.get_token("https://cosmos.azure.com/.default")
    assert account.server.issuer.verify(token.token, "https://cosmos.azure.com").has_roles
