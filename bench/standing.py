"""What the local host asks of an app beside its functions, for apps that have nothing but HTTP functions."""

from dataclasses import dataclass
from functools import cache

from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """Satisfies the host's Platform. Its store and bus stay empty."""

    settings: Settings
    clock: SystemClock
    ids: RandomIds
    feed: SqliteStore
    bus: SqliteBus

    async def start(self) -> None:
        """Nothing was left."""

    async def aclose(self) -> None:
        await self.feed.aclose()
        await self.bus.aclose()


@cache
def composition() -> Standing:
    settings, clock = Settings.load(), SystemClock()
    folder = settings.data_dir
    return Standing(
        settings,
        clock,
        RandomIds(),
        SqliteStore(folder / "store.db", (), clock),
        SqliteBus(folder / "bus.db", clock),
    )
