"""The adapters that each port's conformance suite runs against: another adapter is one more line here."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest

from shared.adapters import processes
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.targets.folder import FolderTarget
from shared.ports.bus import Bus
from shared.ports.clock import Clock
from shared.ports.store import ChangeFeed, Index, Store
from tests.support.app import SteppingClock
from tests.support.targets import Artifact, Pack, made, tar_gz

INDEXES = (
    Index("thing", (), "at"),
    Index("thing", ("color",), "at"),
    Index("thing", ("color", "on"), "number"),
)


class FeedingStore(Store, ChangeFeed, Protocol):
    """A store together with its feed, as one adapter offers them."""


class ClosingBus(Bus, Protocol):
    async def aclose(self) -> None: ...


def sqlite_store(folder: Path, indexes: Sequence[Index], clock: Clock) -> FeedingStore:
    return SqliteStore(folder / "store.db", indexes, clock)


def sqlite_bus(folder: Path, clock: Clock) -> ClosingBus:
    return SqliteBus(folder / "bus.db", clock)


class StillClock(SteppingClock):
    """Moves only when told, so that a test meets exact moments and a model may look as often as it likes."""

    def now(self) -> datetime:
        return self._now


STORES: dict[str, Callable[[Path, Sequence[Index], Clock], FeedingStore]] = {"sqlite": sqlite_store}
BUSES: dict[str, Callable[[Path, Clock], ClosingBus]] = {"sqlite": sqlite_bus}


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


@pytest.fixture(params=BUSES)
async def bus(
    request: pytest.FixtureRequest, tmp_path: Path, clock: SteppingClock
) -> AsyncIterator[ClosingBus]:
    opened = BUSES[request.param](tmp_path, clock)
    yield opened
    await opened.aclose()


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
