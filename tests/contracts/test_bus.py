"""What every message bus promises, then what the SQLite one promises the platform besides."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.embedded.bus import SqliteBus
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


async def exhaust(bus: Bus, queue: str = "q") -> None:
    for _ in range(3):
        await bus.abandon(await take(bus, queue))


async def test_a_message_arrives_whole(bus: Bus, clock: SteppingClock) -> None:
    before = clock.now()
    sent = Message("m1", b"\x00\xff", "Created", "s", {"trace": "é"}, clock.now() - timedelta(days=1))
    await bus.send("q", [sent])
    received = await take(bus)
    assert received.message == sent
    assert (received.queue, received.delivery_count) == ("q", 1)
    assert before < received.enqueued_at < clock.now()


async def test_an_unknown_queue_is_empty(bus: Bus) -> None:
    assert await bus.receive("never") == []
    assert await bus.dead_letters("never") == []
    assert (await bus.depth("never"), await bus.redrive("never")) == (0, 0)


async def test_messages_come_oldest_first_up_to_the_limit_and_stay_in_their_queue(bus: Bus) -> None:
    await bus.send("q", [message("a"), message("b")])
    await bus.send("other", [message("x")])
    await bus.send("q", [message("c")])
    first = await bus.receive("q", limit=2)
    assert names(first) == ["a", "b"]
    assert first[0].sequence < first[1].sequence
    assert names(await bus.receive("q", limit=9)) == ["c"]
    assert await bus.receive("q") == []


async def test_a_completed_message_is_gone(bus: Bus, clock: SteppingClock) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    assert await bus.depth("q") == 1
    await bus.complete(received)
    clock.advance(hours=1)
    assert await bus.receive("q") == []
    assert await bus.depth("q") == 0
    with pytest.raises(LockLost):
        await bus.complete(received)


async def test_an_abandoned_message_is_there_again_at_once(bus: Bus) -> None:
    await bus.send("q", [message("a"), message("b")])
    await bus.abandon(await take(bus))
    again = await take(bus)
    assert (again.message.message_id, again.delivery_count) == ("a", 2)


async def test_a_message_whose_lock_ran_out_comes_again(bus: Bus, clock: SteppingClock) -> None:
    await bus.send("q", [message("a")])
    late = (await bus.receive("q", lock_for=30))[0]
    clock.advance(seconds=29)
    assert await bus.receive("q") == []
    clock.advance(seconds=1)
    again = await take(bus)
    assert again.delivery_count == 2
    assert again.lock_token != late.lock_token
    for settle in (bus.complete(late), bus.abandon(late), bus.renew(late), bus.dead_letter(late, "r", "d")):
        with pytest.raises(LockLost, match="a of q"):
            await settle
    await bus.complete(again)


async def test_a_renewed_lock_holds_from_now(bus: Bus, clock: SteppingClock) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    clock.advance(seconds=50)
    await bus.renew(received, lock_for=60)
    clock.advance(seconds=50)
    assert await bus.receive("q") == []
    clock.advance(seconds=10)
    assert (await take(bus)).delivery_count == 2


async def test_three_abandoned_deliveries_are_enough(bus: Bus) -> None:
    await bus.send("q", [message("a"), message("b")])
    await exhaust(bus)
    assert names(await bus.receive("q", limit=9)) == ["b"]
    (dead,) = await bus.dead_letters("q")
    assert dead.message == message("a")
    assert (dead.queue, dead.delivery_count, dead.reason) == ("q", 3, "MaxDeliveryCountExceeded")
    assert dead.description


async def test_three_lost_locks_are_enough(bus: Bus, clock: SteppingClock) -> None:
    await bus.send("q", [message("a")])
    for count in (1, 2, 3):
        assert (await take(bus)).delivery_count == count
        clock.advance(minutes=1)
    assert await bus.receive("q") == []
    assert [dead.reason for dead in await bus.dead_letters("q")] == ["MaxDeliveryCountExceeded"]
    assert await bus.depth("q") == 0


async def test_a_message_can_be_given_up_with_a_reason(bus: Bus, clock: SteppingClock) -> None:
    sent = Message("a", b"body", "Subject", "s", {"k": "v"})
    await bus.send("q", [sent])
    before = clock.now()
    received = await take(bus)
    await bus.dead_letter(received, "Malformed", "It has no eventId.")
    (dead,) = await bus.dead_letters("q")
    assert (dead.message, dead.sequence, dead.delivery_count) == (sent, received.sequence, 1)
    assert (dead.reason, dead.description) == ("Malformed", "It has no eventId.")
    assert before < dead.dead_at < clock.now()
    with pytest.raises(LockLost):
        await bus.complete(received)


async def test_redrive_puts_all_back_fresh_in_their_order_and_only_for_that_queue(bus: Bus) -> None:
    for queue in ("q", "other"):
        await bus.send(queue, [message("a", "s"), message("b", "s"), message("c")])
    for name in ("c", "a", "b"):
        everything = {one.message.message_id: one for one in await bus.receive("q", limit=9)}
        await bus.dead_letter(everything.pop(name), "Test", name)
        for one in everything.values():
            await bus.abandon(one)
    await bus.dead_letter(await take(bus, "other"), "Test", "")
    assert [dead.message.message_id for dead in await bus.dead_letters("q")] == ["a", "b", "c"]
    assert len(await bus.dead_letters("q", limit=2)) == 2
    assert await bus.redrive("q") == 3
    assert await bus.dead_letters("q") == []
    assert len(await bus.dead_letters("other")) == 1
    assert await bus.depth("q") == 3
    seen = []
    while received := await bus.receive("q"):
        assert received[0].delivery_count == 1
        await bus.complete(received[0])
        seen += names(received)
    assert seen == ["a", "b", "c"]


async def test_a_redriven_message_may_fail_three_times_again(bus: Bus) -> None:
    await bus.send("q", [message("a")])
    await exhaust(bus)
    await bus.redrive("q")
    await exhaust(bus)
    assert len(await bus.dead_letters("q")) == 1


async def test_a_scheduled_message_is_not_given_before_it_is_due(bus: Bus, clock: SteppingClock) -> None:
    due = clock.now() + timedelta(minutes=5)
    await bus.send("q", [replace(message("later"), not_before=due), message("now")])
    assert await bus.depth("q") == 2
    (received,) = await bus.receive("q", limit=9)
    assert received.message.message_id == "now"
    await bus.complete(received)
    clock.advance(minutes=5)
    received = await take(bus)
    assert (received.message.message_id, received.message.not_before) == ("later", due)
    assert received.enqueued_at == due


async def test_a_scheduled_message_takes_its_place_when_it_is_due(bus: Bus, clock: SteppingClock) -> None:
    start = clock.now()
    for name, minutes in (("third", 3), ("first", 1), ("second", 2)):
        await bus.send("q", [replace(message(name, "s"), not_before=start + timedelta(minutes=minutes))])
    clock.advance(hours=1)
    await bus.send("q", [message("fourth", "s")])
    for name in ("first", "second", "third", "fourth"):
        received = await bus.receive("q", limit=9)
        assert names(received) == [name]
        await bus.complete(received[0])


async def test_a_session_gives_one_message_at_a_time_in_order(bus: Bus) -> None:
    await bus.send(
        "q", [message("a1", "a"), message("a2", "a"), message("b1", "b"), message("n1"), message("n2")]
    )
    first = await bus.receive("q", limit=9)
    assert names(first) == ["a1", "b1", "n1", "n2"]
    assert await bus.receive("q", limit=9) == []
    await bus.complete(first[0])
    assert names(await bus.receive("q", limit=9)) == ["a2"]


@pytest.mark.parametrize("how", ["abandoned", "expired"])
async def test_a_failed_message_holds_its_session_until_it_is_dead(
    bus: Bus, clock: SteppingClock, how: str
) -> None:
    await bus.send("q", [message("a1", "a"), message("a2", "a")])
    for _ in range(3):
        (received,) = await bus.receive("q", limit=9)
        assert received.message.message_id == "a1"
        if how == "abandoned":
            await bus.abandon(received)
        else:
            clock.advance(minutes=1)
    assert names(await bus.receive("q", limit=9)) == ["a2"]
    assert [dead.message.message_id for dead in await bus.dead_letters("q")] == ["a1"]


async def test_a_redriven_message_does_not_overtake_a_locked_one_of_its_session(bus: Bus) -> None:
    await bus.send("q", [message("a1", "a"), message("a2", "a")])
    await bus.dead_letter(await take(bus), "Test", "")
    locked = await take(bus)
    await bus.redrive("q")
    assert await bus.receive("q", limit=9) == []
    await bus.complete(locked)
    assert names(await bus.receive("q", limit=9)) == ["a1"]


async def test_a_message_id_is_taken_once_within_the_window(bus: Bus, clock: SteppingClock) -> None:
    await bus.send("q", [message("a"), message("a")])
    await bus.send("q", [message("a"), message("b")])
    await bus.send("other", [message("a")])
    assert await bus.depth("q") == 2
    await bus.complete(await take(bus))
    clock.advance(minutes=9)
    await bus.send("q", [message("a")])
    assert await bus.depth("q") == 1
    clock.advance(minutes=1)
    await bus.send("q", [message("a")])
    assert await bus.depth("q") == 2


async def test_a_send_is_all_or_nothing(bus: Bus) -> None:
    broken = Message("b", "not bytes", session_id="s", properties=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await bus.send("q", [message("a", "s"), broken])
    assert await bus.depth("q") == 0
    await bus.send("q", [message("a", "s")])
    assert names(await bus.receive("q")) == ["a"]


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
