"""What every message bus promises. Every message here has a session: Service Bus refuses one without."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.ports.bus import Bus, LockLost, Message, Received
from tests.contracts.conftest import BusBench, MovingClock

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE = 10.0
"""Seconds; a bus behind a network takes its time, and a test goes on as soon as it has what it waits for."""


@pytest.fixture
def clock(bus_bench: BusBench) -> MovingClock:
    return bus_bench.clock


def message(name: str, session: str | None = None) -> Message:
    """In a session of its own, unless one is given."""
    return Message(name, name.encode(), session_id=session or f"of {name}")


def names(received: list[Received]) -> list[str]:
    """By the bodies: a redriven message may have another id."""
    return [one.message.body.decode() for one in received]


async def take(bus: Bus, queue: str = "q") -> Received:
    (received,) = await bus.receive(queue, wait=PATIENCE)
    return received


async def take_many(bus: Bus, count: int, queue: str = "q") -> list[Received]:
    """Exactly so many: another look finds nothing more."""
    received: list[Received] = []
    while len(received) < count:
        more = await bus.receive(queue, limit=count - len(received), wait=PATIENCE)
        assert more
        received += more
    assert await bus.receive(queue, limit=9) == []
    return received


async def exhaust(bus: Bus, queue: str = "q") -> None:
    for _ in range(3):
        await bus.abandon(await take(bus, queue))


async def test_a_message_arrives_whole(bus: Bus, clock: MovingClock) -> None:
    before = clock.now()
    sent = Message("m1", b"\x00\xff", "Created", "s", {"trace": "é"}, clock.now() - timedelta(days=1))
    await bus.send("q", [sent])
    received = await take(bus)
    assert received.message == sent
    assert (received.queue, received.delivery_count) == ("q", 1)
    assert before <= received.enqueued_at <= clock.now()


async def test_messages_come_up_to_the_limit_and_stay_in_their_queue(bus: Bus) -> None:
    await bus.send("q", [message("a"), message("b")])
    await bus.send("other", [message("x")])
    await bus.send("q", [message("c")])
    first = await bus.receive("q", limit=2, wait=PATIENCE)
    assert 1 <= len(first) <= 2
    rest = await take_many(bus, 3 - len(first))
    assert set(names(first + rest)) == {"a", "b", "c"}


async def test_a_completed_message_is_gone(bus: Bus, clock: MovingClock) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    assert await bus.depth("q") == 1
    await bus.complete(received)
    clock.advance(hours=1)
    assert await bus.receive("q") == []
    assert await bus.depth("q") == 0
    with pytest.raises(LockLost):
        await bus.complete(received)


async def test_an_abandoned_message_is_there_again_before_what_follows_it(bus: Bus) -> None:
    await bus.send("q", [message("a", "s"), message("b", "s")])
    await bus.abandon(await take(bus))
    again = await take(bus)
    assert (again.message.message_id, again.delivery_count) == ("a", 2)


async def test_a_message_whose_lock_ran_out_comes_again(bus: Bus, clock: MovingClock) -> None:
    await bus.send("q", [message("a")])
    late = await take(bus)
    clock.advance(seconds=45)
    assert await bus.receive("q") == []
    clock.advance(seconds=15)
    again = await take(bus)
    assert again.delivery_count == 2
    assert again.lock_token != late.lock_token
    for settle in (bus.complete(late), bus.abandon(late), bus.renew(late), bus.dead_letter(late, "r", "d")):
        with pytest.raises(LockLost, match="a of q"):
            await settle
    await bus.complete(again)


async def test_a_renewed_lock_holds_from_now(bus: Bus, clock: MovingClock) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    clock.advance(seconds=45)
    await bus.renew(received)
    clock.advance(seconds=45)
    assert await bus.receive("q") == []
    clock.advance(seconds=15)
    assert (await take(bus)).delivery_count == 2


async def test_the_lock_of_a_later_message_of_a_session_holds_as_long_as_that_of_the_first(
    bus: Bus, clock: MovingClock
) -> None:
    await bus.send("q", [message("a", "s"), message("b", "s")])
    first = await take(bus)
    clock.advance(seconds=45)
    await bus.complete(first)
    second = await take(bus)
    clock.advance(seconds=45)
    await bus.complete(second)
    assert await bus.depth("q") == 0


async def test_three_abandoned_deliveries_are_enough(bus: Bus) -> None:
    await bus.send("q", [message("a", "s"), message("b", "s")])
    await exhaust(bus)
    assert names(await take_many(bus, 1)) == ["b"]
    (dead,) = await bus.dead_letters("q")
    assert dead.message == message("a", "s")
    assert (dead.queue, dead.delivery_count, dead.reason) == ("q", 3, "MaxDeliveryCountExceeded")
    assert dead.description


async def test_three_lost_locks_are_enough(bus: Bus, clock: MovingClock) -> None:
    await bus.send("q", [message("a")])
    for count in (1, 2, 3):
        assert (await take(bus)).delivery_count == count
        clock.advance(minutes=1)
    assert await bus.receive("q") == []
    assert [dead.reason for dead in await bus.dead_letters("q")] == ["MaxDeliveryCountExceeded"]
    assert await bus.depth("q") == 0


async def test_a_message_can_be_given_up_with_a_reason(bus: Bus, clock: MovingClock) -> None:
    sent = Message("a", b"body", "Subject", "s", {"k": "v"})
    before = clock.now()
    await bus.send("q", [sent])
    received = await take(bus)
    await bus.dead_letter(received, "Malformed", "It has no eventId.")
    (dead,) = await bus.dead_letters("q")
    assert (dead.message, dead.delivery_count) == (sent, 1)
    assert (dead.reason, dead.description) == ("Malformed", "It has no eventId.")
    assert before <= dead.dead_at <= clock.now()
    with pytest.raises(LockLost):
        await bus.complete(received)


async def test_redrive_puts_all_back_fresh_in_their_order_and_only_for_that_queue(bus: Bus) -> None:
    for queue in ("q", "other"):
        await bus.send(queue, [message("a", "s"), message("b", "s"), message("c")])
    for _ in range(3):
        await bus.dead_letter(await take(bus), "Test", "")
    await bus.dead_letter(await take(bus, "other"), "Test", "")
    dead = [letter.message.message_id for letter in await bus.dead_letters("q")]
    assert set(dead) == {"a", "b", "c"}
    assert dead.index("a") < dead.index("b")
    assert len(await bus.dead_letters("q", limit=2)) == 2
    assert await bus.redrive("q") == 3
    assert await bus.dead_letters("q") == []
    assert len(await bus.dead_letters("other")) == 1
    assert await bus.depth("q") == 3
    seen = []
    for _ in range(3):
        received = await take(bus)
        assert received.delivery_count == 1
        await bus.complete(received)
        seen += names([received])
    assert await bus.receive("q") == []
    assert set(seen) == {"a", "b", "c"}
    assert seen.index("a") < seen.index("b")


async def test_a_redriven_message_may_fail_three_times_again(bus: Bus) -> None:
    await bus.send("q", [message("a")])
    for _ in range(3):
        await exhaust(bus)
        (dead,) = await bus.dead_letters("q")
        assert dead.message.body == b"a"
        assert await bus.redrive("q") == 1
    assert await bus.depth("q") == 1


async def test_what_was_sent_again_after_a_redrive_is_still_a_repeat(bus: Bus) -> None:
    await bus.send("q", [message("a")])
    await bus.dead_letter(await take(bus), "Test", "")
    await bus.redrive("q")
    await bus.send("q", [message("a")])
    assert await bus.depth("q") == 1


async def test_a_scheduled_message_is_not_given_before_it_is_due(bus: Bus, clock: MovingClock) -> None:
    due = clock.now() + timedelta(minutes=5)
    await bus.send("q", [replace(message("later"), not_before=due), message("now")])
    assert await bus.depth("q") == 2
    (received,) = await take_many(bus, 1)
    assert received.message.message_id == "now"
    await bus.complete(received)
    clock.advance(minutes=5)
    received = await take(bus)
    assert (received.message.message_id, received.message.not_before) == ("later", due)
    assert due <= received.enqueued_at <= clock.now()


async def test_a_scheduled_message_takes_its_place_when_it_is_due(bus: Bus, clock: MovingClock) -> None:
    start = clock.now()
    for name, minutes in (("third", 3), ("first", 1), ("second", 2)):
        await bus.send("q", [replace(message(name, "s"), not_before=start + timedelta(minutes=minutes))])
    clock.advance(hours=1)
    await bus.send("q", [message("fourth", "s")])
    for name in ("first", "second", "third", "fourth"):
        received = await take(bus)
        assert names([received]) == [name]
        await bus.complete(received)


async def test_a_session_gives_one_message_at_a_time_in_order(bus: Bus) -> None:
    await bus.send(
        "q", [message("a1", "a"), message("a2", "a"), message("b1", "b"), message("n1"), message("n2")]
    )
    first = {one.message.message_id: one for one in await take_many(bus, 4)}
    assert set(first) == {"a1", "b1", "n1", "n2"}
    await bus.complete(first["a1"])
    assert names(await take_many(bus, 1)) == ["a2"]


@pytest.mark.parametrize("how", ["abandoned", "expired"])
async def test_a_failed_message_holds_its_session_until_it_is_dead(
    bus: Bus, clock: MovingClock, how: str
) -> None:
    await bus.send("q", [message("a1", "a"), message("a2", "a")])
    for _ in range(3):
        (received,) = await bus.receive("q", limit=9, wait=PATIENCE)
        assert received.message.message_id == "a1"
        if how == "abandoned":
            await bus.abandon(received)
        else:
            clock.advance(minutes=1)
    assert names(await take_many(bus, 1)) == ["a2"]
    assert [dead.message.message_id for dead in await bus.dead_letters("q")] == ["a1"]


async def test_a_redriven_message_does_not_overtake_a_locked_one_of_its_session(bus: Bus) -> None:
    await bus.send("q", [message("a1", "a"), message("a2", "a")])
    await bus.dead_letter(await take(bus), "Test", "")
    locked = await take(bus)
    await bus.redrive("q")
    assert await bus.receive("q", limit=9) == []
    await bus.complete(locked)
    assert names(await take_many(bus, 1)) == ["a1"]


async def test_a_message_id_is_taken_once_within_the_window(bus: Bus, clock: MovingClock) -> None:
    await bus.send("q", [message("a", "s"), message("a", "s")])
    await bus.send("q", [message("a", "s"), message("b", "s")])
    await bus.send("other", [message("a")])
    assert await bus.depth("q") == 2
    await bus.complete(await take(bus))
    clock.advance(minutes=9)
    await bus.send("q", [message("a", "s")])
    assert await bus.depth("q") == 1
    clock.advance(minutes=1)
    await bus.send("q", [message("a", "s")])
    assert await bus.depth("q") == 2


async def test_a_send_is_all_or_nothing(bus: Bus) -> None:
    broken = Message("b", "not bytes", session_id="s", properties=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await bus.send("q", [message("a", "s"), broken])
    assert await bus.depth("q") == 0
    await bus.send("q", [message("a", "s")])
    assert names([await take(bus)]) == ["a"]


async def test_nothing_is_sent_and_nothing_comes(bus: Bus) -> None:
    await bus.send("q", [])
    assert await bus.depth("q") == 0
    assert await bus.receive("q", wait=0.1) == []
    assert await bus.redrive("q") == 0


async def test_waiting_ends_when_something_is_sent(bus: Bus) -> None:
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(bus.receive("q", limit=9, wait=60))
        await asyncio.sleep(0.05)
        await bus.send("q", [message("a")])
    assert names(waiting.result()) == ["a"]


async def test_one_who_stops_waiting_loses_nothing(bus: Bus) -> None:
    for number in range(3):
        waiting = asyncio.create_task(bus.receive("q", wait=60))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await bus.send("q", [message(str(number))])
        received = await take(bus)
        assert (names([received]), received.delivery_count) == ([str(number)], 1)
        await bus.complete(received)
