"""One server for the journeys of a module, stopped as a person would, which has to leave nothing running."""

from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp
import pytest

from tests.support.journey import Journey, processes_of
from tests.support.process import ServerProcess

SETTINGS = {"SLIPWAY_HEALTH_TIMEOUT_SECONDS": "4"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("journeys") / "data"
    with ServerProcess(folder, environment=SETTINGS) as running:
        yield running
        assert running.terminate() == 0, running.log
        assert processes_of(folder) == []


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def begin(server: ServerProcess, session: aiohttp.ClientSession) -> Callable[[str], Journey]:
    """A journey in a tenant of its own, so that no story sees the environments of another."""
    return lambda tenant: Journey(session, server, tenant)
