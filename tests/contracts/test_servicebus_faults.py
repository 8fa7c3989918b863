"""Service Bus when things go wrong: nothing is lost, nothing is there twice, and errors say what to do."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from functions.relay.redrive import redrive
from shared.adapters.azure.servicebus_messages import MessageTooLarge, QueueMissing
from shared.domain.kernel.errors import DeliveryError, Transient
from shared.names import parked
from shared.ports.bus import LockLost, Message, Received
from tests.contracts.servicebus_site import QUEUES, SITES, OwnBus, StandInSite
from tests.standins.servicebus.faults import Does, On

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


def message(name: str, size: int = 1) -> Message:
    return Message(name, b"x" * size, session_id=f"of {name}")


async def take(bus: OwnBus, queue: str = "q") -> Received:
    (received,) = await bus.receive(queue, wait=PATIENCE)
    return received


@pytest.mark.parametrize("does", [Does.DROP, Does.DROP_AFTER, Does.DETACH])
async def test_a_connection_that_breaks_during_a_send_leaves_one_message(
    bus: OwnBus, site: StandInSite, does: Does
) -> None:
    site.server.fault(On.SEND, does)
    await bus.send("q", [message("a"), message("b")])
    assert await bus.depth("q") == 2


async def test_a_busy_service_is_said_to_be_and_takes_the_message_later(
    bus: OwnBus, site: StandInSite
) -> None:
    site.server.fault(On.SEND, Does.BUSY, times=100)
    with pytest.raises(Transient, match="busy"):
        await bus.send("q", [message("a")])
    site.server.fault(On.SEND, Does.BUSY, times=0)
    await site.clear(bus)
    await bus.send("q", [message("a")])
    assert await bus.depth("q") == 1


async def test_a_lock_that_is_lost_while_working_is_noticed_and_the_message_comes_again(
    bus: OwnBus, site: StandInSite
) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    site.server.lose_locks("q")
    with pytest.raises(LockLost, match="a of q"):
        await bus.complete(received)
    assert (await take(bus)).delivery_count == 2


async def test_a_settlement_that_never_arrived_brings_the_message_again(
    bus: OwnBus, site: StandInSite
) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    site.server.fault(On.SETTLE, Does.DROP)
    with pytest.raises(Transient):
        await bus.complete(received)
    again = await take(bus)
    assert again.message == message("a")
    await bus.complete(again)
    assert await bus.depth("q") == 0


async def test_a_settlement_whose_answer_is_lost_may_be_done(bus: OwnBus, site: StandInSite) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    site.server.fault(On.SETTLE, Does.DROP_AFTER)
    with pytest.raises(DeliveryError):
        await bus.complete(received)
    assert await bus.depth("q") == 0


async def test_a_service_that_went_away_and_came_back_is_used_again(bus: OwnBus, site: StandInSite) -> None:
    await bus.send("q", [message("a")])
    received = await take(bus)
    site.server.stop_listening()
    with pytest.raises(Transient, match="q"):
        await bus.send("q", [message("b")])
    with pytest.raises(Transient):
        await bus.complete(received)
    with pytest.raises(Transient):
        await bus.receive("q", wait=5)
    with pytest.raises(Transient):
        await bus.depth("q")
    site.server.listen_again()
    await bus.send("q", [message("b")])
    both: list[Received] = []
    while len(both) < 2:
        both += await bus.receive("q", limit=2, wait=PATIENCE)
    assert {one.message.message_id for one in both} == {"a", "b"}


class Killed(BaseException):
    """The process ends here."""


class DyingBus(OwnBus):
    """Dies after the next send."""

    async def send(self, queue: str, messages: Sequence[Message]) -> None:
        await super().send(queue, messages)
        raise Killed


async def test_a_redrive_that_dies_between_sending_and_settling_sends_nothing_twice(
    bus: OwnBus, site: StandInSite
) -> None:
    await bus.send("q", [message("a"), message("b")])
    for _ in range(2):
        await bus.dead_letter(await take(bus), "Test", "")
    dying = DyingBus(site.server.endpoint, site.credential(), QUEUES)
    with pytest.raises(Killed):
        await dying.redrive("q")
    await dying.aclose()
    assert (await bus.depth("q"), len(await bus.dead_letters("q"))) == (2, 2)
    site.server.lose_locks("q/$DeadLetterQueue")
    assert await bus.redrive("q") == 2
    assert (await bus.depth("q"), await bus.dead_letters("q")) == (2, [])


async def test_a_parked_message_goes_back_to_its_queue_and_session(bus: OwnBus) -> None:
    envelope = {"eventType": "RunPipeline", "eventId": "evt-1"}
    kept = json.dumps({"payload": {"envelope": envelope, "session": "acme/run-1"}}).encode()
    await bus.send(parked("q"), [Message("park-1", kept, session_id="acme/parked", properties={"k": "v"})])
    assert await redrive("q", bus) == (0, 1)
    received = await take(bus)
    assert json.loads(received.message.body) == envelope
    assert received.message.session_id == "acme/run-1"
    assert received.message.properties == {"k": "v", "cs-event-type": "RunPipeline"}
    assert await bus.depth(parked("q")) == 0


async def test_a_message_that_is_too_large_is_refused_with_everything_beside_it(bus: OwnBus) -> None:
    with pytest.raises(MessageTooLarge, match="big does not fit into the 262144 bytes that q takes"):
        await bus.send("q", [message("a"), message("big", 900_000)])
    assert await bus.depth("q") == 0


async def test_more_than_a_batch_is_sent_in_several_and_again_without_harm(bus: OwnBus) -> None:
    many = [message(str(number), 20_000) for number in range(40)]
    await bus.send("q", many)
    await bus.send("q", many)
    assert await bus.depth("q") == 40


async def test_an_identity_without_a_role_is_told_which_one_it_needs(site: StandInSite) -> None:
    site.identity.roles = False
    bus = site.bus()
    try:
        with pytest.raises(Transient, match="'Azure Service Bus Data Sender'"):
            await bus.send("q", [message("a")])
        with pytest.raises(Transient, match="'Azure Service Bus Data Receiver'"):
            await bus.receive("q", wait=5)
        with pytest.raises(Transient, match="'Azure Service Bus Data Owner'"):
            await bus.depth("q")
    finally:
        site.identity.roles = True
        await bus.aclose()


async def test_a_process_without_an_identity_is_told_how_to_get_one(site: StandInSite) -> None:
    right, site.identity.header = site.identity.header, "another"
    credential = site.credential()
    site.identity.header = right
    bus = OwnBus(site.server.endpoint, credential, QUEUES)
    try:
        for call in (bus.ready(), bus.depth("q"), bus.send("q", [message("a")])):
            with pytest.raises(Transient, match="managed identity"):
                await call
    finally:
        await bus.aclose()


async def test_a_queue_that_nobody_made_is_named(bus: OwnBus) -> None:
    results = await asyncio.gather(
        bus.send("never", [message("a")]),
        bus.receive("never", wait=1),
        bus.depth("never"),
        bus.dead_letters("never"),
        return_exceptions=True,
    )
    for result in results:
        assert isinstance(result, QueueMissing)
        assert "no queue never" in result.message


async def test_a_bus_closes_soon_whatever_it_is_doing_and_what_it_held_comes_again(
    bus: OwnBus, site: StandInSite
) -> None:
    closing = site.bus()
    await closing.send("q", [message("a")])
    await take(closing)
    waiting = asyncio.create_task(closing.receive("q", limit=4, wait=60))
    await asyncio.sleep(0.3)
    waiting.cancel()
    started = asyncio.get_running_loop().time()
    await closing.aclose()
    assert asyncio.get_running_loop().time() - started < 2.5
    again = await take(bus)
    assert (again.message.message_id, again.delivery_count) == ("a", 1)


async def test_a_session_that_this_process_does_not_come_for_is_left_to_others(
    bus: OwnBus, site: StandInSite
) -> None:
    assert await bus.receive("q") == []
    await asyncio.sleep(1.5)
    other = site.bus()
    try:
        await bus.send("q", [message("a")])
        assert (await take(other)).message == message("a")
    finally:
        await other.aclose()


async def test_who_has_lost_a_session_cannot_renew_it_for_its_new_holder(
    bus: OwnBus, site: StandInSite
) -> None:
    await bus.send("q", [message("a")])
    late = await take(bus)
    site.clock.advance(minutes=1)
    current = await take(bus)
    with pytest.raises(LockLost, match="a of q"):
        await bus.renew(late)
    await bus.renew(current)
    await bus.complete(current)
