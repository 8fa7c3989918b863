"""The local platform's pump on Service Bus: prompt, in order, many sessions at once, and soon at rest."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.queue_trigger import QueueTrigger
from shared.adapters.embedded.system import SystemClock
from shared.ports.bus import Message, Received
from tests.contracts.servicebus_site import QUEUES, SITES, OwnBus, StandInSite
from tests.functions.engine import QUEUE_FUNCTION, FakeEngine, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # The SDK leaves the socket of a connection that broke to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PATIENCE = 15.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened() -> AsyncIterator[OwnBus]:
    bus = SITES.stand_in.bus()
    yield bus
    await bus.aclose()
    gc.collect()


@pytest_asyncio.fixture(loop_scope="session")
async def bus(opened: OwnBus) -> OwnBus:
    await SITES.stand_in.clear(opened)
    return opened


@pytest.fixture
def site() -> StandInSite:
    return SITES.stand_in


@contextlib.asynccontextmanager
async def pumping(bus: OwnBus, engine: FakeEngine, lock_for: float = 60.0) -> AsyncIterator[None]:
    trigger = QueueTrigger(
        QUEUE_FUNCTION, engine, bus, SystemClock(), slots=4, renew_for=60, lock_for=lock_for
    )
    pump = asyncio.create_task(trigger.run())
    try:
        yield
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        await trigger.drain(1)


def message(number: int, session: str) -> Message:
    return Message(f"m-{number}", f"body {number}".encode(), session_id=session)


async def test_an_idle_queue_gives_its_next_message_at_once(bus: OwnBus) -> None:
    engine = FakeEngine()
    async with pumping(bus, engine):
        await bus.send("work", [message(1, "a")])
        await until(lambda: len(engine.ran) == 1, PATIENCE)
        await asyncio.sleep(1.5)
        for number, session in ((2, "a"), (3, "b")):
            await bus.send("work", [message(number, session)])
            sent = asyncio.get_running_loop().time()
            await until(lambda wanted=number: len(engine.ran) == wanted, PATIENCE)
            assert asyncio.get_running_loop().time() - sent < 0.2


async def test_a_session_is_processed_in_order_and_sessions_in_parallel(bus: OwnBus) -> None:
    engine = FakeEngine(pause=0.1)
    numbers = range(15)
    await bus.send("work", [message(number, f"s{number % 3}") for number in numbers])
    async with pumping(bus, engine):
        await until(lambda: len(engine.ran) == len(numbers), PATIENCE)
    assert engine.most_running > 1
    for session in range(3):
        ran = [body for body in engine.ran if int(body.split()[1]) % 3 == session]
        assert ran == [f"body {number}" for number in numbers if number % 3 == session]
    assert await bus.depth("work") == 0


async def test_a_message_that_always_fails_is_tried_three_times_and_then_dead(bus: OwnBus) -> None:
    engine = FakeEngine(failures=3)
    await bus.send("work", [message(1, "s"), message(2, "s")])
    async with pumping(bus, engine):
        await until(lambda: len(engine.ran) == 4, PATIENCE)
    assert engine.ran == ["body 1", "body 1", "body 1", "body 2"]
    assert [letter.message.message_id for letter in await bus.dead_letters("work")] == ["m-1"]


async def test_a_lock_is_renewed_while_the_function_runs(bus: OwnBus, site: StandInSite) -> None:
    engine = FakeEngine(pause=1.0)
    await bus.send("work", [message(1, "s")])
    async with pumping(bus, engine, lock_for=0.3):
        await until(lambda: engine.running == 1, PATIENCE)
        for _ in range(2):
            site.clock.advance(seconds=45)
            await asyncio.sleep(0.35)
        await until(lambda: len(engine.ran) == 1, PATIENCE)
    assert await bus.depth("work") == 0
    assert len(engine.ran) == 1


async def test_the_pump_goes_on_when_the_service_went_away_and_came_back(
    bus: OwnBus, site: StandInSite
) -> None:
    engine = FakeEngine()
    await bus.send("work", [message(1, "s")])
    async with pumping(bus, engine):
        await until(lambda: len(engine.ran) == 1, PATIENCE)
        site.server.stop_listening()
        await asyncio.sleep(0.5)
        site.server.listen_again()
        await bus.send("work", [message(2, "s"), message(3, "t")])
        await until(lambda: len(engine.ran) == 3, PATIENCE)
    assert sorted(engine.ran) == ["body 1", "body 2", "body 3"]


async def test_an_idle_pump_does_not_spin_and_stops_within_two_seconds(site: StandInSite) -> None:
    class CountingBus(OwnBus):
        asked = 0

        async def receive(self, *arguments: object, **named: object) -> list[Received]:
            self.asked += 1
            return await super().receive(*arguments, **named)  # type: ignore[arg-type]

    bus = CountingBus(site.server.endpoint, site.credential(), QUEUES)
    async with pumping(bus, FakeEngine()):
        await asyncio.sleep(2.5)
        assert bus.asked <= 4
        stopping = asyncio.get_running_loop().time()
    await bus.aclose()
    assert asyncio.get_running_loop().time() - stopping < 2
