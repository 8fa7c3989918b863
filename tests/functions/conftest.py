"""The small app under a host, for tests that go through Microsoft's worker library."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.host import Host
from local.worker import MODULE
from tests.support.host import serving

APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True)
class Small:
    """The host, a client of it, and what the app's functions saw (`apps/small/function_app.py`)."""

    host: Host
    client: aiohttp.ClientSession
    seen: Any


@asynccontextmanager
async def serving_small(data_dir: Path) -> AsyncIterator[Small]:
    async with (
        serving(data_dir, app_directory=APPS / "small") as host,
        aiohttp.ClientSession(host.url, cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        yield Small(host, client, sys.modules[MODULE].SEEN)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Small]:
    async with serving_small(tmp_path) as small:
        yield small
