"""The HTTP front: requests in and responses out as the real host shapes them."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functions.conftest import Small, serving_small
from tests.functions.engine import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Small]:
    """One host for all: none of these tests changes how the app behaves."""
    async with serving_small(tmp_path_factory.mktemp("http")) as small:
        yield small


async def test_an_async_function_answers(small: Small) -> None:
    async with small.client.get("/small/ping") as answer:
        assert (answer.status, await answer.text()) == (200, "pong")


async def test_a_sync_function_gets_route_values_and_query_values_that_are_not_blank(small: Small) -> None:
    async with small.client.get("/SMALL/items/Ab%20c?x=1&x=2&blank=&sum=1%2B1") as answer:
        told = await answer.json()
    assert (told["id"], told["query"]) == ("Ab c", {"x": "1,2", "sum": "1+1"})


async def test_every_invocation_has_an_id_of_its_own(small: Small) -> None:
    ids = set()
    for _ in range(3):
        async with small.client.get("/small/items/1") as answer:
            ids.add((await answer.json())["invocation"])
    assert len(ids) == 3


async def test_a_binary_body_comes_back_as_it_was(small: Small) -> None:
    body = os.urandom(300_000)
    async with small.client.post("/small/echo", data=body) as answer:
        assert await answer.read() == body
        assert answer.headers["content-length"] == str(len(body))


async def test_a_chunked_body_arrives_whole(small: Small) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two ", b"three"):
            yield part
            await asyncio.sleep(0.01)

    async with small.client.put("/small/echo", data=parts()) as answer:
        assert await answer.read() == b"one two three"


async def test_a_repeated_header_arrives_joined_and_the_url_is_whole(small: Small) -> None:
    headers = [("X-Said", "a"), ("X-Said", "b")]
    async with small.client.post("/small/echo?q=%20", headers=headers, data=b"") as answer:
        assert answer.headers["x-heard"] == "a,b"
        assert answer.headers["x-url"] == f"{small.host.url}/small/echo?q=%20"


async def test_cookies_come_as_headers_of_their_own(small: Small) -> None:
    async with small.client.get("/small/cookies") as answer:
        cookies = answer.headers.getall("set-cookie")
        assert answer.status == 204
    assert cookies == [
        "a=1; path=/small; samesite=lax; httponly",
        "b=2; expires=Thu, 01 Jan 2026 00:00:00 GMT; max-age=60; path=/; secure",
    ]


async def test_a_function_that_raises_is_an_empty_500_and_one_log_line(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "slipway.host"):
        async with small.client.get("/small/broken") as answer:
            assert (answer.status, await answer.read()) == (500, b"")
    (line,) = caplog.records
    assert "small_broken failed: RuntimeError: the reason is for the log" in line.getMessage()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("DELETE", "/small/ping"), ("HEAD", "/small/ping"), ("OPTIONS", "/small/ping")],
)
async def test_an_unknown_path_or_method_is_an_empty_404(small: Small, method: str, path: str) -> None:
    async with small.client.request(method, path) as answer:
        assert (answer.status, await answer.read()) == (404, b"")


async def test_a_body_above_the_hosts_limit_is_refused_before_it_is_read(small: Small) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", small.host.settings.port)
    writer.write(b"POST /small/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 104857601\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_the_status_page_tells_state_count_and_version(small: Small) -> None:
    async with small.client.get("/admin/host/status") as answer:
        assert await answer.json() == {"state": "Running", "functionCount": 9, "version": "1.3.0"}


async def test_a_function_without_a_url_can_be_fired_by_hand(small: Small) -> None:
    for name, given in (("small_queue", "hello"), ("small_feed", '[{"id": "doc-1"}]'), ("small_timer", None)):
        async with small.client.post(f"/admin/functions/{name}", json={"input": given}) as answer:
            assert answer.status == 202
    await until(lambda: small.seen.messages and small.seen.documents and len(small.seen.ticks) == 2)
    assert small.seen.messages[0]["body"] == b"hello"
    assert small.seen.documents == [["doc-1"]]


@pytest.mark.parametrize("name", ["small_ping", "nobody"])
async def test_a_function_with_a_url_or_none_cannot_be_fired(small: Small, name: str) -> None:
    async with small.client.post(f"/admin/functions/{name}", json={"input": ""}) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"X-Forwarded-For": "203.0.113.9"}, {"Host": "[::1"}],
)
async def test_admin_is_closed_to_callers_from_elsewhere(small: Small, headers: dict[str, str]) -> None:
    async with small.client.post("/admin/functions/small_queue", json={}, headers=headers) as answer:
        assert answer.status == 401


async def test_a_form_of_a_web_page_cannot_fire_a_function(small: Small) -> None:
    async with small.client.post("/admin/functions/small_queue", data=json.dumps({"input": "x"})) as answer:
        assert answer.status == 415
