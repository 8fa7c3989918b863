"""The adapters that each port's conformance suite runs against: another adapter is one more line here."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from shared.adapters import processes
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.targets.folder import FolderTarget
from shared.ports.bus import Bus
from shared.ports.clock import Clock
from shared.ports.index import Index
from shared.ports.store import Feed, Store
from tests.contracts.azure_devops_site import SITES as AZURE_DEVOPS
from tests.contracts.azure_site import AzureSite
from tests.contracts.cosmos_site import SITES, StandInSite, connections_closed
from tests.contracts.github_site import SITES as GITHUB
from tests.contracts.servicebus_site import SITES as SERVICE_BUS
from tests.contracts.servicebus_site import OwnBus
from tests.contracts.vendor_bench import VendorBench
from tests.contracts.vendor_sites import VENDORS
from tests.standins.cosmos.account import Account, Session, an_account, open_session
from tests.support.app import SteppingClock
from tests.support.targets import Artifact, Pack, made, tar_gz

INDEXES = (
    Index("thing", (), "at"),
    Index("thing", ("color",), "at"),
    Index("thing", ("color", "on"), "number"),
)


class FeedingStore(Store, Feed, Protocol):
    """A store together with its feed, as one adapter offers them."""


class MovingClock(Clock, Protocol):
    def advance(self, **delta: float) -> None:
        """By a timedelta of those."""


@dataclass(frozen=True)
class BusBench:
    """A bus and the clock that it goes by."""

    bus: Bus
    clock: MovingClock


def sqlite_store(folder: Path, indexes: Sequence[Index], clock: Clock) -> FeedingStore:
    return SqliteStore(folder / "store.db", indexes, clock)


def cosmos_store(folder: Path, indexes: Sequence[Index], clock: Clock) -> FeedingStore:
    return SITES.any.store(indexes, clock)


class StillClock(SteppingClock):
    """Moves only when told, so that a test meets exact moments and a model may look as often as it likes."""

    def now(self) -> datetime:
        return self._now


STORES: dict[str, Callable[[Path, Sequence[Index], Clock], FeedingStore]] = {
    "sqlite": sqlite_store,
    "cosmos": cosmos_store,
}
BUSES = ("sqlite_bus", "service_bus")


@pytest.fixture
async def cosmos() -> AsyncIterator[StandInSite]:
    """The stand-in, for what only it does. What a test's stores leave open is closed before the next test."""
    yield SITES.stand_in
    await connections_closed()


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """An account as the stand-in has it, spoken to without our adapter."""
    with an_account() as opened, pytest.MonkeyPatch.context() as patch:
        for name, value in opened.identity.environment.items():
            patch.setenv(name, value)
        yield opened


@pytest.fixture
async def session(account: Account) -> AsyncIterator[Session]:
    opened = await open_session(account)
    yield opened
    await opened.aclose()


@pytest.fixture(scope="session", autouse=True)
def cosmos_sites() -> Iterator[None]:
    """Whatever a test started stops with the session."""
    yield
    SITES.close()


@pytest.fixture(scope="session", autouse=True)
def github_sites() -> Iterator[None]:
    """As those of Cosmos."""
    yield
    GITHUB.close()


@pytest.fixture(scope="session", autouse=True)
def azure_devops_sites() -> Iterator[None]:
    """As those of Cosmos."""
    yield
    AZURE_DEVOPS.close()


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSite]:
    """Key Vault, Blob Storage and the identity endpoint, for the suites of their ports."""
    site = AzureSite(tmp_path_factory.mktemp("azure"))
    yield site
    site.close()


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: SteppingClock
) -> AsyncIterator[FeedingStore]:
    opened = STORES[request.param](tmp_path, INDEXES, clock)
    yield opened
    await opened.aclose()
    await connections_closed()


@pytest.fixture
async def sqlite_bus(tmp_path: Path) -> AsyncIterator[BusBench]:
    clock = SteppingClock()
    bus = SqliteBus(tmp_path / "bus.db", clock)
    yield BusBench(bus, clock)
    await bus.aclose()


@pytest.fixture(scope="session", autouse=True)
def service_bus_sites() -> Iterator[None]:
    """As those of Cosmos."""
    yield
    SERVICE_BUS.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def open_service_bus() -> AsyncIterator[OwnBus]:
    """One for all tests, in the loop that they share: the SDK takes a second to open and to close a link."""
    bus = SERVICE_BUS.any.bus()
    yield bus
    await bus.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def service_bus(open_service_bus: OwnBus) -> BusBench:
    site = SERVICE_BUS.any
    await site.clear(open_service_bus)
    return BusBench(open_service_bus, site.clock)


@pytest.fixture(params=BUSES)
def bus_bench(request: pytest.FixtureRequest) -> BusBench:
    bench: BusBench = request.getfixturevalue(request.param)
    return bench


@pytest.fixture
def bus(bus_bench: BusBench) -> Bus:
    return bus_bench.bus


@pytest.fixture(params=VENDORS)
async def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VendorBench]:
    async with VENDORS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """A bundle of the given files, or of the given bytes as they are."""

    def make(content: bytes | dict[str, str]) -> Artifact:
        data = tar_gz(content) if isinstance(content, dict) else content
        return Artifact(tmp_path / hashlib.sha256(data).hexdigest(), data)

    return make


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where a target keeps everything. Whatever a test does, none of its processes outlives it."""
    yield tmp_path / "target"
    for instance in (tmp_path / "target").glob("*/*/*/instances/*"):
        processes.Scratch(instance).kill()
        processes.Scratch(instance).reap()


@pytest.fixture(params=[made])
async def target(request: pytest.FixtureRequest, root: Path) -> AsyncIterator[FolderTarget]:
    opened: FolderTarget = request.param(root)
    yield opened
    await opened.stop_all()
