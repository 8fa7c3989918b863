"""The Service Bus stand-in against Microsoft's own SDK, without our adapter: as strict as the service is."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.identity import ManagedIdentityCredential
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusReceiver,
    ServiceBusSender,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient as AsyncClient
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.contracts.servicebus_site import SITES, StandInSite
from tests.standins.servicebus.entities import BadEntity, Settings


@pytest.fixture
def site() -> StandInSite:
    return SITES.stand_in


class Sdk:
    """A client, and what it opened: closing takes a second each, so all is closed at once, at the end."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._opened: list[ServiceBusSender | ServiceBusReceiver] = []

    def sender(self, queue: str) -> ServiceBusSender:
        opened = self._client.get_queue_sender(queue)
        self._opened.append(opened)
        return opened

    def receiver(self, queue: str, **options: Any) -> ServiceBusReceiver:
        opened = self._client.get_queue_receiver(queue, **options)
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        with ThreadPoolExecutor(len(self._opened) or 1) as threads:
            list(threads.map(lambda opened: opened.close(), self._opened))


@pytest.fixture(scope="module")
def client() -> Iterator[Sdk]:
    """Does not try again, so that a refusal is seen at once."""
    site = SITES.stand_in
    with pytest.MonkeyPatch.context() as environment:
        for name, value in site.identity.environment.items():
            environment.setenv(name, value)
        with (
            ManagedIdentityCredential() as credential,
            ServiceBusClient(site.server.endpoint, credential, use_tls=False, retry_total=0) as opened,
        ):
            sdk = Sdk(opened)
            yield sdk
            sdk.close()


@pytest.fixture
def plain(site: StandInSite) -> str:
    """A new queue without sessions."""
    return made(site, requiresDuplicateDetection=True)


@pytest.fixture
def sessions(site: StandInSite) -> str:
    return made(site, requiresSession=True)


def made(site: StandInSite, **properties: Any) -> str:
    name = f"queue-{uuid4().hex[:8]}"
    site.server.add_queue(name=name, lockDuration="PT30S", maxDeliveryCount=3, **properties)
    return name


def bodies(messages: list[ServiceBusReceivedMessage]) -> list[bytes]:
    return [b"".join(message.body) for message in messages]


def test_a_message_keeps_everything_and_is_settled_in_every_way(client: Sdk, plain: str) -> None:
    sender = client.sender(plain)
    sender.send_messages(
        ServiceBusMessage(
            b"one",
            message_id="m1",
            subject="S",
            content_type="application/json",
            correlation_id="c",
            application_properties={"text": "é", "number": 7},
            time_to_live=timedelta(hours=1),
        )
    )
    sender.send_messages([ServiceBusMessage(b"two"), ServiceBusMessage(b"three"), ServiceBusMessage("four")])
    receiver = client.receiver(plain)
    one, two, three = receiver.receive_messages(3, max_wait_time=5)
    assert (one.message_id, one.subject, one.content_type, one.correlation_id) == (
        "m1",
        "S",
        "application/json",
        "c",
    )
    assert one.application_properties == {b"text": "é".encode(), b"number": 7}
    assert one.time_to_live == timedelta(hours=1)
    assert one.expires_at_utc is not None
    numbers = [each.sequence_number or 0 for each in (one, two, three)]
    assert numbers == sorted(numbers)

    receiver.complete_message(one)
    receiver.abandon_message(two)
    receiver.dead_letter_message(three, reason="Reason", error_description="Description")
    again, four = receiver.receive_messages(2, max_wait_time=5)
    assert bodies([again, four]) == [b"two", b"four"]
    assert (again.delivery_count, four.delivery_count) == (1, 0)
    receiver.defer_message(again)
    assert again.sequence_number is not None
    (deferred,) = receiver.receive_deferred_messages([again.sequence_number])
    receiver.complete_message(deferred)
    with pytest.raises(MessageNotFoundError):
        receiver.receive_deferred_messages([again.sequence_number])
    assert receiver.renew_message_lock(four) > datetime.now(UTC)
    receiver.complete_message(four)
    grave = client.receiver(plain, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    (dead,) = grave.receive_messages(1, max_wait_time=5)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Reason", "Description")
    assert dead.dead_letter_source == plain
    with pytest.raises(ServiceBusError):
        grave.dead_letter_message(dead)
    assert receiver.peek_messages(9) == []


def test_a_lock_runs_out_by_the_clock_of_the_server(client: Sdk, site: StandInSite, plain: str) -> None:
    client.sender(plain).send_messages(ServiceBusMessage(b"x"))
    receiver = client.receiver(plain)
    (late,) = receiver.receive_messages(1, max_wait_time=5)
    site.server.advance(31)
    with pytest.raises(MessageLockLostError):
        receiver.complete_message(late)
    (again,) = receiver.receive_messages(1, max_wait_time=5)
    assert again.delivery_count == 1
    receiver.complete_message(again)


def test_messages_are_scheduled_cancelled_and_peeked(client: Sdk, site: StandInSite, plain: str) -> None:
    sender = client.sender(plain)
    due = site.clock.now() + timedelta(minutes=5)
    first, second = sender.schedule_messages([ServiceBusMessage(b"1"), ServiceBusMessage(b"2")], due)
    sender.send_messages(ServiceBusMessage(b"3", scheduled_enqueue_time_utc=due))
    sender.cancel_scheduled_messages(first)
    with pytest.raises(MessageNotFoundError):
        sender.cancel_scheduled_messages(first)
    receiver = client.receiver(plain)
    peeked = receiver.peek_messages(9)
    assert bodies(peeked) == [b"2", b"3"]
    assert [each.scheduled_enqueue_time_utc for each in peeked] == [due, due]
    site.server.advance(300)
    received = receiver.receive_messages(2, max_wait_time=5)
    assert bodies(received) == [b"2", b"3"]
    assert min(each.sequence_number or 0 for each in received) > second


def test_a_repeat_is_dropped_and_a_message_that_expires_is_dead_where_it_shall_be(
    client: Sdk, site: StandInSite
) -> None:
    queue = made(
        site,
        requiresDuplicateDetection=True,
        deadLetteringOnMessageExpiration=True,
        defaultMessageTimeToLive="PT1M",
    )
    sender = client.sender(queue)
    for _ in range(2):
        sender.send_messages(
            [ServiceBusMessage(b"x", message_id="m"), ServiceBusMessage(b"y", message_id="m")]
        )
    receiver = client.receiver(queue)
    assert bodies(receiver.peek_messages(9)) == [b"x"]
    site.server.advance(61)
    assert receiver.peek_messages(9) == []
    grave = client.receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    assert [dead.dead_letter_reason for dead in grave.peek_messages(9)] == ["TTLExpiredException"]


def test_receive_and_delete_takes_what_it_gives(client: Sdk, plain: str) -> None:
    client.sender(plain).send_messages([ServiceBusMessage(b"1"), ServiceBusMessage(b"2")])
    receiver = client.receiver(plain, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    assert bodies(receiver.receive_messages(2, max_wait_time=5)) == [b"1", b"2"]
    assert receiver.peek_messages(9) == []


def test_a_session_is_locked_by_one_in_order_renewed_and_lost(
    client: Sdk, site: StandInSite, sessions: str
) -> None:
    client.sender(sessions).send_messages(
        [ServiceBusMessage(str(number), session_id=f"s{number % 2}") for number in range(4)]
    )
    receiver = client.receiver(sessions, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5)
    received = receiver.receive_messages(2, max_wait_time=5)
    assert receiver.session.session_id == "s0"
    assert bodies(received) == [b"0", b"2"]
    with pytest.raises(SessionCannotBeLockedError):
        client.receiver(sessions, session_id="s0").receive_messages(1, max_wait_time=2)
    site.server.advance(20)
    receiver.session.renew_lock()
    site.server.advance(20)
    receiver.complete_message(received[0])
    site.server.advance(31)
    with pytest.raises((SessionLockLostError, MessageLockLostError)):
        receiver.complete_message(received[1])
    (again,) = client.receiver(sessions, session_id="s0").receive_messages(1, max_wait_time=5)
    assert (bodies([again]), again.delivery_count) == ([b"2"], 1)


def test_who_waits_for_a_session_is_held_back_until_there_is_one_or_time_is_up(
    client: Sdk, site: StandInSite, sessions: str
) -> None:
    started = time.monotonic()
    with pytest.raises(OperationTimeoutError):
        client.receiver(sessions, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1).receive_messages()
    assert time.monotonic() - started >= 0.9
    due = site.clock.now() + timedelta(seconds=1)
    client.sender(sessions).send_messages(
        ServiceBusMessage(b"x", session_id="s", scheduled_enqueue_time_utc=due)
    )
    waiting = client.receiver(sessions, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10)
    assert bodies(waiting.receive_messages()) == [b"x"]
    assert site.clock.now() >= due


@pytest.mark.parametrize("case", ["session wanted", "no session wanted", "no session given", "no queue"])
def test_what_azure_refuses_is_refused(client: Sdk, plain: str, sessions: str, case: str) -> None:
    match case:
        case "session wanted":
            with pytest.raises(ServiceBusError, match="requires sessions"):
                client.receiver(sessions).receive_messages(1, max_wait_time=2)
        case "no session wanted":
            with pytest.raises(ServiceBusError, match="does not require sessions"):
                client.receiver(plain, session_id="s").receive_messages(1, max_wait_time=2)
        case "no session given":
            with pytest.raises(ServiceBusError, match="SessionId was not set"):
                client.sender(sessions).send_messages([ServiceBusMessage(b"x")])
        case _:
            with pytest.raises(MessagingEntityNotFoundError):
                client.sender("nowhere").send_messages(ServiceBusMessage(b"x"))


def test_a_message_is_as_large_as_the_tier_allows(client: Sdk, site: StandInSite) -> None:
    small, large = made(site), made(site, maxMessageSize=1024 * 1024)
    with pytest.raises(MessageSizeExceededError):
        client.sender(small).send_messages(ServiceBusMessage(b"x" * 300_000))
    client.sender(large).send_messages(ServiceBusMessage(b"x" * 900_000))
    (received,) = client.receiver(large).receive_messages(1, max_wait_time=5)
    assert bodies([received]) == [b"x" * 900_000]


async def test_a_token_of_somebody_else_is_not_taken(site: StandInSite) -> None:
    class Stranger:
        async def get_token(self, *_scopes: str, **_: Any) -> Any:
            from azure.core.credentials import AccessToken  # noqa: PLC0415 - only here

            return AccessToken("eyJhbGciOiJIUzI1NiJ9.e30.c3RyYW5nZXI", int(time.time()) + 3600)

        async def close(self) -> None: ...
        async def __aenter__(self) -> "Stranger":
            return self

        async def __aexit__(self, *_: object) -> None: ...

    async with AsyncClient(site.server.endpoint, Stranger(), use_tls=False, retry_total=0) as client:
        with pytest.raises(ServiceBusAuthenticationError):
            await client.get_queue_sender("q").send_messages(ServiceBusMessage(b"x"))


def test_a_queue_is_made_as_azure_would_make_it_or_not_at_all() -> None:
    with pytest.raises(BadEntity, match="no maxDelivery"):
        Settings.read({"name": "q", "maxDelivery": 3})
    for wrong in ({"lockDuration": "PT6M"}, {"maxDeliveryCount": 0}, {"enablePartitioning": True}):
        with pytest.raises(BadEntity):
            Settings.read({"name": "q", **wrong})


def test_it_runs_alone_is_told_over_http_and_stops_when_told(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.standins.servicebus",
        "--identity-secret-file",
        str(tmp_path / "secret"),
    ]
    catalogue = ["--catalogue", "tests.contracts.servicebus_site:production"]
    with subprocess.Popen([*command, *catalogue], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            endpoint = process.stdout.readline().strip()
            assert told(endpoint, "queues", {"name": "more", "requiresSession": True}) == 200
            assert told(endpoint, "queues", {"name": "bad", "lockDuration": "PT9M"}) == 400
            assert told(endpoint, "clock", {"advance": 60}) == 200
            assert (
                told(endpoint, "faults", {"on": "send", "does": "busy", "queue": "more", "times": 2}) == 200
            )
            assert told(endpoint, "locks", {"lose": "runs"}) == 200
            assert told(endpoint, "locks", {"lose": "nowhere"}) == 404
            assert told(endpoint, "drop", {}) == 200
            assert told(endpoint, "clear", {}) == 200
            assert told(endpoint, "nothing", {}) == 404
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"http://{endpoint}/runs", timeout=5)
        finally:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(5) == 0


def told(endpoint: str, what: str, body: Mapping[str, object]) -> int:
    request = urllib.request.Request(
        f"http://{endpoint}/_standin/{what}", data=json.dumps(body).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
