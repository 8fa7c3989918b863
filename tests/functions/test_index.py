"""The real app under Microsoft's worker library: exactly the functions declared, and all of them served."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from functions.http.surface import endpoint_table
from functions.routes import FILE, declared, route_of, written
from functions.workers import CONSUMERS
from local.host import Host
from local.worker import Function
from shared.names import COSMOS, DATABASE, DOCUMENTS, LEASES, QUEUES, SERVICE_BUS, VIEWS_LEASES
from tests.support.host import serving
from tests.support.process import ServerProcess

ENDPOINTS = endpoint_table(declared())
TIMERS = {
    "source_sweep": "*/10 * * * * *",
    "gitops_sweep": "0 */3 * * * *",
    "housekeeping": "0 17 * * * *",
    "retention": "0 41 2 * * *",
}
FEEDS = {"outbox_relay": None, "views_projector": VIEWS_LEASES}
"""Function -> prefix of its leases: one reader must not take the other's."""


@dataclass(frozen=True)
class Indexed:
    """What the worker said about the app, and its answer to a request of each HTTP function."""

    functions: tuple[Function, ...]
    statuses: dict[str, int]

    def of_kind(self, kind: str) -> dict[str, Function]:
        return {function.name: function for function in self.functions if function.kind == kind}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    """One app a process: index it once for all tests here."""
    return asyncio.run(_index(tmp_path_factory.mktemp("index")))


async def _index(folder: Path) -> Indexed:
    async with serving(folder) as host:
        return Indexed(host.worker.functions, await _asked(host))


async def _asked(host: Host) -> dict[str, int]:
    statuses: dict[str, int] = {}
    async with aiohttp.ClientSession(host.url) as client:
        for endpoint in ENDPOINTS:
            path = endpoint.path.replace("{", "").replace("}", "")
            async with client.request(endpoint.method, path) as answer:
                statuses[endpoint.name] = answer.status
    return statuses


def test_every_endpoint_is_a_function_of_its_own_with_its_route_and_method(indexed: Indexed) -> None:
    served = {
        name: (function.trigger["route"], tuple(function.trigger["methods"]))
        for name, function in indexed.of_kind("httpTrigger").items()
    }
    assert served == {
        endpoint.name: (endpoint.path.removeprefix("/"), (endpoint.method,)) for endpoint in ENDPOINTS
    }


def test_the_routes_that_a_cold_start_reads_are_the_declared_ones() -> None:
    assert FILE.read_text() == written(map(route_of, ENDPOINTS)), "run `make routes`"


def test_indexing_loads_neither_an_endpoint_nor_an_adapter() -> None:
    asked = "import sys, function_app; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout
    heavy = ("functions.api.", "functions.workers", "functions.relay", "shared.app", "shared.adapters")
    assert [name for name in told.split() if name.startswith(heavy)] == []


def test_no_function_leaves_authorisation_to_the_host(indexed: Indexed) -> None:
    levels = {function.trigger["authLevel"] for function in indexed.of_kind("httpTrigger").values()}
    assert {str(level).upper() for level in levels} == {"ANONYMOUS"}


def test_every_queue_has_one_function_with_sessions(indexed: Indexed) -> None:
    workers = indexed.of_kind("serviceBusTrigger")
    assert sorted(function.trigger["queueName"] for function in workers.values()) == sorted(QUEUES)
    assert {consumer.queue for consumer in CONSUMERS} == set(QUEUES)
    for function in workers.values():
        assert function.name == f"{function.trigger['queueName']}_worker"
        assert function.trigger["isSessionsEnabled"] is True
        assert function.trigger["connection"] == SERVICE_BUS
        assert function.retry is None


def test_the_relay_reads_the_change_feed_and_never_gives_up(indexed: Indexed) -> None:
    feeds = indexed.of_kind("cosmosDBTrigger")
    assert {name: feeds[name].trigger.get("leaseContainerPrefix") for name in feeds} == FEEDS
    for function in feeds.values():
        place = [function.trigger[name] for name in ("connection", "databaseName", "containerName")]
        assert place == [COSMOS, DATABASE, DOCUMENTS]
        assert function.trigger["leaseContainerName"] == LEASES
        assert function.retry is not None
        assert function.retry.max_count == -1


def test_the_timers_are_the_ones_we_know(indexed: Indexed) -> None:
    timers = indexed.of_kind("timerTrigger")
    assert {name: function.trigger["schedule"] for name, function in timers.items()} == TIMERS


def test_nothing_else_is_declared(indexed: Indexed) -> None:
    assert len(indexed.functions) == len(ENDPOINTS) + len(QUEUES) + len(FEEDS) + len(TIMERS)


def test_every_endpoint_answers_by_itself_when_nobody_is_logged_in(indexed: Indexed) -> None:
    """401 from the app: neither the host's 404 for a route that is not there, nor its 500 for a failure."""
    wrong = {
        endpoint.name: indexed.statuses[endpoint.name]
        for endpoint in ENDPOINTS
        if not endpoint.is_public and indexed.statuses[endpoint.name] != 401
    }
    assert wrong == {}


@pytest.fixture
async def roles(tmp_path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for role in ("api", "worker"):
        async with serving(tmp_path / role, role=role) as host:
            found[role] = {function.kind for function in host.worker.functions}
    return found


async def test_a_role_registers_only_its_own_functions(roles: dict[str, set[str]]) -> None:
    assert roles == {
        "api": {"httpTrigger"},
        "worker": {"serviceBusTrigger", "cosmosDBTrigger", "timerTrigger"},
    }


@pytest.mark.journey
def test_slipway_serves_the_app_through_kill_and_restart_and_gives_dead_letters_back(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        server.restart()
        done = server.run("redrive", "runs")
        assert (done.returncode, done.stdout) == (
            0,
            "0 dead-lettered and 0 parked messages of runs are queued again.\n",
        )
        listed = server.run("routes")
        assert len(listed.stdout.splitlines()) == len(ENDPOINTS)
        assert server.terminate() == 0
