"""What the SQLite bus promises the platform beyond the port: order over sessions, exact times, restarts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.system import SystemClock
from shared.ports.bus import Bus, LockLost, Message, Received
from tests.contracts.conftest import StillClock
from tests.support.app import SteppingClock


@pytest.fixture
async def sqlite(tmp_path: Path, clock: SteppingClock) -> AsyncIterator[SqliteBus]:
    opened = SqliteBus(tmp_path / "bus.db", clock)
    yield opened
    await opened.aclose()


def message(name: str, session: str | None = None) -> Message:
    return Message(name, name.encode(), session_id=session)


def names(received: list[Received]) -> list[str]:
    return [one.message.message_id for one in received]


async def take(bus: Bus, queue: str = "q") -> Received:
    (received,) = await bus.receive(queue)
    return received


async def test_an_unknown_queue_is_empty(sqlite: SqliteBus) -> None:
    assert await sqlite.receive("never") == []
    assert await sqlite.dead_letters("never") == []
    assert (await sqlite.depth("never"), await sqlite.redrive("never")) == (0, 0)


async def test_messages_come_oldest_first_up_to_the_limit_and_stay_in_their_queue(sqlite: SqliteBus) -> None:
    await sqlite.send("q", [message("a"), message("b")])
    await sqlite.send("other", [message("x")])
    await sqlite.send("q", [message("c")])
    first = await sqlite.receive("q", limit=2)
    assert names(first) == ["a", "b"]
    assert first[0].sequence < first[1].sequence
    assert names(await sqlite.receive("q", limit=9)) == ["c"]
    assert await sqlite.receive("q") == []


async def test_redrive_puts_all_back_fresh_in_their_order_and_only_for_that_queue(sqlite: SqliteBus) -> None:
    for queue in ("q", "other"):
        await sqlite.send(queue, [message("a", "s"), message("b", "s"), message("c")])
    for name in ("c", "a", "b"):
        everything = {one.message.message_id: one for one in await sqlite.receive("q", limit=9)}
        await sqlite.dead_letter(everything.pop(name), "Test", name)
        for one in everything.values():
            await sqlite.abandon(one)
    await sqlite.dead_letter(await take(sqlite, "other"), "Test", "")
    assert [dead.message.message_id for dead in await sqlite.dead_letters("q")] == ["a", "b", "c"]
    assert len(await sqlite.dead_letters("q", limit=2)) == 2
    assert await sqlite.redrive("q") == 3
    assert await sqlite.dead_letters("q") == []
    assert len(await sqlite.dead_letters("other")) == 1
    assert await sqlite.depth("q") == 3
    seen = []
    while received := await sqlite.receive("q"):
        assert received[0].delivery_count == 1
        await sqlite.complete(received[0])
        seen += names(received)
    assert seen == ["a", "b", "c"]


async def test_a_session_gives_one_message_at_a_time_in_order(sqlite: SqliteBus) -> None:
    await sqlite.send(
        "q", [message("a1", "a"), message("a2", "a"), message("b1", "b"), message("n1"), message("n2")]
    )
    first = await sqlite.receive("q", limit=9)
    assert names(first) == ["a1", "b1", "n1", "n2"]
    assert await sqlite.receive("q", limit=9) == []
    await sqlite.complete(first[0])
    assert names(await sqlite.receive("q", limit=9)) == ["a2"]


async def test_messages_and_what_was_seen_survive_a_restart(tmp_path: Path, clock: SteppingClock) -> None:
    first = SqliteBus(tmp_path / "bus.db", clock)
    await first.send("q", [message("a"), message("b"), message("c")])
    await first.complete(await take(first))
    held = await take(first)
    await first.aclose()
    second = SqliteBus(tmp_path / "bus.db", clock)
    await second.send("q", [message("a"), message("c")])
    assert names(await second.receive("q", limit=9)) == ["c"]
    assert await second.recover() == 2
    again = await take(second)
    assert (again.message.message_id, again.delivery_count) == ("b", 2)
    with pytest.raises(LockLost):
        await second.complete(held)
    await second.aclose()


async def test_a_message_that_kills_its_process_ends_as_a_dead_letter(sqlite: SqliteBus) -> None:
    await sqlite.send("q", [message("a")])
    for _ in range(3):
        await take(sqlite)
        await sqlite.recover()
    assert await sqlite.receive("q") == []
    assert len(await sqlite.dead_letters("q")) == 1


async def test_the_next_due_moment_is_known_exactly(sqlite: SqliteBus, clock: SteppingClock) -> None:
    assert await sqlite.next_due("q") is None
    due = clock.now() + timedelta(minutes=5)
    for name, at in (("late", due + timedelta(seconds=1)), ("soon", due)):
        await sqlite.send("q", [replace(message(name), not_before=at), message(f"{name}-now")])
    assert await sqlite.next_due("q") == due
    clock.advance(minutes=6)
    await sqlite.receive("q", limit=9)
    assert await sqlite.next_due("q") is None


async def test_waiting_ends_when_something_is_sent(sqlite: SqliteBus) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(sqlite.wait("q", 60))
        await asyncio.sleep(0)
        await sqlite.send("q", [message("a")])


async def test_a_send_just_before_the_wait_is_not_missed(sqlite: SqliteBus) -> None:
    await sqlite.send("q", [message("a1", "a"), message("a2", "a")])
    async with asyncio.timeout(5):
        await sqlite.wait("q", 60)
        await sqlite.complete(await take(sqlite))
        await sqlite.wait("q", 60)  # the session's next message came forward


async def test_waiting_ends_after_its_timeout_and_other_queues_do_not_wake_it(sqlite: SqliteBus) -> None:
    await sqlite.send("other", [message("a")])
    started = asyncio.get_running_loop().time()
    await sqlite.wait("q", 0.05)
    assert asyncio.get_running_loop().time() - started >= 0.045


async def test_a_bus_that_answers_is_ready(sqlite: SqliteBus) -> None:
    await sqlite.ready()


async def test_the_detection_window_can_be_set_and_ends_exactly(tmp_path: Path) -> None:
    clock = StillClock()
    bus = SqliteBus(tmp_path / "bus.db", clock, detection_window=timedelta(seconds=1))
    await bus.send("q", [message("a")])
    clock.advance(seconds=0.999999)
    await bus.send("q", [message("a")])
    assert await bus.depth("q") == 1
    clock.advance(seconds=0.000001)
    await bus.send("q", [message("a"), message("b")])
    assert await bus.depth("q") == 3
    await bus.aclose()


async def test_a_lock_lasts_as_long_as_asked_for_and_then_until_somebody_else_comes(
    sqlite: SqliteBus, clock: SteppingClock
) -> None:
    await sqlite.send("q", [message("a"), message("b")])
    short, other = [(await sqlite.receive("q", lock_for=seconds))[0] for seconds in (5, 30)]
    clock.advance(seconds=29)
    await sqlite.complete(short)
    assert await sqlite.receive("q") == []
    await sqlite.renew(other, lock_for=5)
    clock.advance(seconds=5)
    assert (await take(sqlite)).delivery_count == 2


async def test_a_scheduled_message_is_enqueued_the_moment_that_it_is_due(
    sqlite: SqliteBus, clock: SteppingClock
) -> None:
    due = clock.now() + timedelta(minutes=5)
    await sqlite.send("q", [replace(message("later"), not_before=due)])
    clock.advance(hours=1)
    assert (await take(sqlite)).enqueued_at == due


async def test_one_who_waits_gets_a_scheduled_message_when_it_is_due(tmp_path: Path) -> None:
    clock = SystemClock()
    bus = SqliteBus(tmp_path / "bus.db", clock)
    due = clock.now() + timedelta(seconds=0.1)
    await bus.send("q", [replace(message("later"), not_before=due)])
    received = await bus.receive("q", wait=5)
    assert names(received) == ["later"]
    assert due <= clock.now() <= due + timedelta(seconds=1)
    await bus.aclose()
