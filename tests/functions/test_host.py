"""The host as a whole: it starts, serves, stops, and says why it cannot."""

import asyncio
import os
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from local.config import BadHostFile, HostFile
from local.data_folder import CannotStart, DataFolder
from local.http import Asgi, Receive, Scope, Send, respond
from local.worker import HttpResult
from tests.functions.conftest import APPS, Small
from tests.support.host import ROOT, serving

SMALL = APPS / "small"


async def test_a_host_that_cannot_index_its_app_starts_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        # Twice: the first attempt must have let the data folder go.
        with pytest.raises(CannotStart, match="badly_declared"):
            async with serving(tmp_path, app_directory=APPS / "bad"):
                pass


async def test_a_data_folder_has_one_host_at_a_time(tmp_path: Path) -> None:
    with DataFolder(tmp_path), pytest.raises(CannotStart, match="Another server uses the data folder"):
        async with serving(tmp_path, app_directory=SMALL):
            pass
    async with serving(tmp_path, app_directory=SMALL):
        pass


async def test_the_app_finds_its_settings_in_the_environment_which_is_left_as_it_was(tmp_path: Path) -> None:
    before = dict(os.environ)
    async with serving(tmp_path / "data", app_directory=SMALL, approvals={"dev": 0, "prod": 3}) as host:
        found = host.platform.settings
        assert (found.port, found.data_dir) == (host.settings.port, tmp_path / "data")
        assert found.approvals == {"dev": 0, "prod": 3}
    assert dict(os.environ) == before


async def test_a_part_that_breaks_ends_the_host_with_what_broke_it(tmp_path: Path) -> None:
    async def serve_and_break() -> None:
        async with serving(tmp_path, app_directory=SMALL) as host, asyncio.timeout(5):
            await host.platform.bus.aclose()  # type: ignore[attr-defined]
            await host.serve()

    with pytest.raises(sqlite3.ProgrammingError):
        await serve_and_break()


async def test_a_stopped_host_answers_nobody(small: Small, tmp_path: Path) -> None:
    await small.host.__aexit__()
    with pytest.raises(aiohttp.ClientConnectionError):
        await small.client.get("/small/ping")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("{", "cannot be read"),
        ('{"extensions": {"serviceBus": {"maxConcurrentSessions": 0}}}', "maxConcurrentSessions"),
        ('{"extensions": {"serviceBus": {"maxConcurrentCalls": true}}}', "maxConcurrentCalls"),
        ('{"extensions": {"serviceBus": {"maxAutoLockRenewalDuration": "1h"}}}', "hh:mm:ss"),
        ('{"extensions": {"http": {"routePrefix": 1}}}', "routePrefix"),
    ],
)
def test_a_host_file_that_makes_no_sense_is_refused(tmp_path: Path, content: str, wrong: str) -> None:
    (tmp_path / "host.json").write_text(content)
    with pytest.raises(BadHostFile, match=wrong):
        HostFile.load(tmp_path)


def test_a_host_file_that_says_nothing_means_what_azure_means(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    assert HostFile.load(tmp_path) == HostFile("api", 16, 8, 300.0, auto_complete=True)


def test_our_host_file_serves_without_a_prefix_and_renews_locks_as_long_as_a_run_may_take() -> None:
    assert HostFile.load(ROOT) == HostFile("", 16, 16, 3600.0, auto_complete=True)


async def test_mounts_are_asked_before_functions_in_their_order(tmp_path: Path) -> None:
    def named(name: bytes) -> Asgi:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await respond(send, scope, HttpResult(200, (), name + b" " + scope["path"].encode()))

        return application

    async with (
        serving(
            tmp_path,
            app_directory=SMALL,
            mounts=lambda _: [("/small/ping", named(b"first")), ("/small/", named(b"second"))],
        ) as host,
        aiohttp.ClientSession(host.url) as client,
    ):
        for path, expected in (("/small/ping", "first /small/ping"), ("/small/x", "second /small/x")):
            async with client.get(path) as answer:
                assert await answer.text() == expected


async def test_a_running_request_is_finished_when_the_host_stops(tmp_path: Path) -> None:
    async def slow(url: str) -> str:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/small/slow") as answer:
            return await answer.text()

    async with serving(tmp_path, app_directory=SMALL) as host:
        asking = asyncio.create_task(slow(host.url))
        await asyncio.sleep(0.1)
    assert await asking == "late"
