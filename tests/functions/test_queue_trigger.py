"""Queue functions: settled, redelivered, dead-lettered, in session order, locks renewed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from local.queue_trigger import QueueTrigger
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.system import SystemClock
from shared.ports.bus import Message
from tests.functions.conftest import Small
from tests.functions.engine import QUEUE_FUNCTION, FakeEngine, until


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus.db", SystemClock())
    yield bus
    await bus.aclose()


@contextlib.asynccontextmanager
async def pumping(bus: SqliteBus, engine: FakeEngine, **options: float) -> AsyncIterator[QueueTrigger]:
    chosen = {"slots": 4, "renew_for": 60.0, **options}
    trigger = QueueTrigger(QUEUE_FUNCTION, engine, bus, SystemClock(), **chosen)  # type: ignore[arg-type]
    pump = asyncio.create_task(trigger.run())
    try:
        yield trigger
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        await trigger.drain(1)


def message(number: int, session: str | None = None) -> Message:
    return Message(f"m-{number}", f"body {number}".encode(), session_id=session)


async def test_a_message_reaches_the_function_with_what_azure_tells_about_it(small: Small) -> None:
    sent = Message(
        "evt-1", b'{"a": 1}', subject="RunPipeline", session_id="root-1", properties={"tenantId": "acme"}
    )
    await small.host.platform.bus.send("small", [sent])
    await until(lambda: small.seen.messages)
    (seen,) = small.seen.messages
    assert seen.pop("enqueued").tzinfo is not None
    assert seen == {
        "body": b'{"a": 1}',
        "id": "evt-1",
        "session": "root-1",
        "delivery": 1,
        "subject": "RunPipeline",
        "properties": {"tenantId": "acme"},
    }


async def test_a_message_that_always_fails_is_tried_three_times_and_then_dead(small: Small) -> None:
    small.seen.fail_messages = 100
    bus = small.host.platform.bus
    await bus.send("small", [message(1, "s")])
    await until(lambda: len(small.seen.messages) == 3)
    async with asyncio.timeout(5):
        while not (dead := await bus.dead_letters("small")):
            await asyncio.sleep(0.005)
    assert [seen["delivery"] for seen in small.seen.messages] == [1, 2, 3]
    assert [letter.message.message_id for letter in dead] == ["m-1"]

    small.seen.fail_messages = 0
    assert await bus.redrive("small") == 1
    await until(lambda: len(small.seen.messages) == 4)
    assert small.seen.messages[3]["delivery"] == 1


async def test_bytes_that_are_no_text_arrive_as_they_were(small: Small) -> None:
    await small.host.platform.bus.send("small", [Message("m", b"\xff\x00")])
    await until(lambda: small.seen.messages)
    assert small.seen.messages[0]["body"] == b"\xff\x00"


async def test_a_session_is_processed_in_order_and_sessions_in_parallel(bus: SqliteBus) -> None:
    engine = FakeEngine(pause=0.01)
    numbers = range(24)
    await bus.send("work", [message(number, f"s{number % 3}") for number in numbers])
    async with pumping(bus, engine):
        await until(lambda: len(engine.ran) == 24)
    assert engine.most_running == 3
    for session in range(3):
        ran = [body for body in engine.ran if int(body.split()[1]) % 3 == session]
        assert ran == [f"body {number}" for number in numbers if number % 3 == session]


async def test_a_failed_message_keeps_its_place_in_its_session(bus: SqliteBus) -> None:
    engine = FakeEngine(failures=2)
    await bus.send("work", [message(1, "s"), message(2, "s")])
    async with pumping(bus, engine):
        await until(lambda: len(engine.ran) == 4)
    assert engine.ran == ["body 1", "body 1", "body 1", "body 2"]


async def test_no_more_messages_run_at_once_than_there_are_slots(bus: SqliteBus) -> None:
    engine = FakeEngine(pause=0.01)
    await bus.send("work", [message(number) for number in range(10)])
    async with pumping(bus, engine, slots=2):
        await until(lambda: len(engine.ran) == 10)
    assert engine.most_running == 2


async def test_a_lock_is_renewed_while_the_function_runs(bus: SqliteBus) -> None:
    engine = FakeEngine(pause=0.5)
    await bus.send("work", [message(1)])
    async with pumping(bus, engine, lock_for=0.15):
        await asyncio.sleep(0.4)
        assert await bus.receive("work") == []
        await until(lambda: len(engine.ran) == 1)
    assert await bus.depth("work") == 0


async def test_a_lock_is_renewed_no_longer_than_the_host_is_told(bus: SqliteBus) -> None:
    engine = FakeEngine(pause=0.6)
    await bus.send("work", [message(1)])
    async with pumping(bus, engine, lock_for=0.1, renew_for=0.1, slots=1):
        await asyncio.sleep(0.4)
        (taken,) = await bus.receive("work")
        assert taken.delivery_count == 2
        await until(lambda: len(engine.ran) == 1)
        await asyncio.sleep(0.05)
        # The first delivery could not be completed by one who had lost it.
        await bus.complete(taken)


async def test_a_message_wakes_an_idle_pump_at_once(bus: SqliteBus) -> None:
    engine = FakeEngine()
    async with pumping(bus, engine):
        await asyncio.sleep(0.05)
        await bus.send("work", [message(1)])
        await until(lambda: engine.ran, seconds=0.2)


async def test_a_scheduled_message_comes_when_it_is_due(bus: SqliteBus) -> None:
    due = SystemClock().now() + timedelta(seconds=0.2)
    engine = FakeEngine()
    await bus.send("work", [Message("later", b"later", not_before=due)])
    async with pumping(bus, engine):
        await asyncio.sleep(0.1)
        assert engine.ran == []
        await until(lambda: engine.ran, seconds=0.3)


async def test_a_message_that_was_running_when_the_host_stops_is_completed(bus: SqliteBus) -> None:
    engine = FakeEngine(pause=0.1)
    await bus.send("work", [message(1)])
    async with pumping(bus, engine):
        await until(lambda: engine.running == 1)
    assert len(engine.ran) == 1
    assert await bus.depth("work") == 0


async def test_what_a_dead_process_held_is_delivered_again_after_recovery(tmp_path: Path) -> None:
    path, engine = tmp_path / "bus.db", FakeEngine()
    died = SqliteBus(path, SystemClock())
    await died.send("work", [message(1, "s")])
    await died.receive("work")
    await died.aclose()
    bus = SqliteBus(path, SystemClock())
    assert await bus.recover() == 1
    async with pumping(bus, engine):
        await until(lambda: engine.ran)
    await bus.aclose()
