"""The message bus on Azure Service Bus, through its SDK. Knows messages, never what they mean.

Sending is the hot path: one sender per queue stays open, and what is sent again is dropped by the queue's
duplicate detection. Receiving is for operators and the local platform; on Azure the Functions host receives.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import aiohttp
from azure.core.credentials_async import AsyncTokenCredential
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES, QueueEntity
from shared.adapters.azure.servicebus_intake import (
    ASKING,
    OPENING,
    Delivery,
    Intake,
    PlainIntake,
    SessionIntake,
)
from shared.adapters.azure.servicebus_messages import (
    OWNER,
    RECEIVER,
    SENDER,
    again,
    close_quietly,
    in_our_words,
    lock_lost,
    missing,
    refused,
    to_dead_letter,
    to_received,
    told,
)
from shared.adapters.azure.servicebus_outlet import Outlet
from shared.domain.kernel.errors import Transient
from shared.ports.bus import DeadLetter, Message, Received

REST_SECONDS: Final = 30.0
REDRIVE_BATCH: Final = 50
REDRIVE_SECONDS: Final = 5.0
"""How long dead letters that are there may be held by someone else, before it is left at that."""
_SCOPE: Final = "https://servicebus.azure.net/.default"
_COUNTS: Final = re.compile(r"<(?:\w+:)?(ActiveMessageCount|ScheduledMessageCount)>(\d+)<")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})


class ServiceBus:
    """Implements Bus. `namespace` is `name.servicebus.windows.net`; a loopback host goes without TLS.

    `queues` tells which have sessions. `opening` is seconds until a new receiver has surely asked.
    """

    def __init__(
        self,
        namespace: str,
        credential: AsyncTokenCredential,
        queues: Iterable[QueueEntity] = QUEUE_ENTITIES,
        *,
        opening: float = OPENING,
    ) -> None:
        self._credential = credential
        self._with_sessions = {queue.name for queue in queues if queue.requires_session}
        self._opening = opening
        local = namespace.partition(":")[0] in _LOOPBACK
        self._rest = f"{'http' if local else 'https'}://{namespace}"
        # The relay sends again by itself, and soon: the SDK alone would try for minutes.
        self._sending = ServiceBusClient(namespace, credential, use_tls=not local, retry_total=1)
        # A receiver that fails is replaced, so the SDK need not try it again for half a minute.
        self._receiving = ServiceBusClient(namespace, credential, use_tls=not local, retry_total=0)
        self._senders: dict[str, Outlet] = {}
        self._intakes: dict[str, Intake] = {}
        self._graves: dict[str, ServiceBusReceiver] = {}
        self._out: dict[str, Delivery] = {}
        self._http: aiohttp.ClientSession | None = None

    async def send(self, queue: str, messages: Sequence[Message]) -> None:
        outlet = self._senders.get(queue)
        if outlet is None:
            outlet = self._senders[queue] = Outlet(queue, self._sending)
        await outlet.send(messages)

    async def receive(
        self, queue: str, *, limit: int = 1, lock_for: float = 60.0, wait: float = 0.0
    ) -> list[Received]:
        deliveries = await self._intake(queue).take(limit, wait)
        received = [to_received(queue, delivery.raw) for delivery in deliveries]
        self._out.update(
            {one.lock_token: delivery for one, delivery in zip(received, deliveries, strict=True)}
        )
        return received

    async def renew(self, received: Received, *, lock_for: float = 60.0) -> None:
        await self._held(received).renew()

    async def complete(self, received: Received) -> None:
        await self._settling(received).complete()

    async def abandon(self, received: Received) -> None:
        await self._settling(received).abandon()

    async def dead_letter(self, received: Received, reason: str, description: str) -> None:
        await self._settling(received).dead_letter(reason, description)

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        grave = self._grave(queue)
        letters: list[DeadLetter] = []
        with told(queue, RECEIVER):
            while len(letters) < limit:
                first = letters[-1].sequence + 1 if letters else 1
                raws = await grave.peek_messages(limit - len(letters), sequence_number=first)
                if not raws:
                    break
                letters += [to_dead_letter(queue, raw) for raw in raws]
        return letters

    async def redrive(self, queue: str) -> int:
        """Each is sent, then completed: if the process dies between, it is dead still, and sent again as the
        same message."""
        grave = self._grave(queue)
        sent: set[str] = set()
        while await self.dead_letters(queue, limit=1):
            with told(queue, RECEIVER):
                raws = await grave.receive_messages(REDRIVE_BATCH, max_wait_time=REDRIVE_SECONDS)
            letters = [to_dead_letter(queue, raw) for raw in raws]
            # What was sent by this call and is dead already has had its turn.
            fresh = [letter for letter in letters if letter.message.message_id not in sent]
            messages = [again(letter) for letter in fresh]
            await self.send(queue, messages)
            sent.update(message.message_id for message in messages)
            with told(queue, RECEIVER):
                for letter, raw in zip(letters, raws, strict=True):
                    if letter in fresh:
                        await grave.complete_message(raw)
                    else:
                        await grave.abandon_message(raw)
            if len(fresh) < len(letters) or not letters:
                break
        return len(sent)

    async def depth(self, queue: str) -> int:
        """Needs a role that may read the queue's description, as an operator's has."""
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REST_SECONDS))
        with told(queue, OWNER):
            token = await self._credential.get_token(_SCOPE)
        try:
            async with self._http.get(
                f"{self._rest}/{queue}?api-version=2021-05",
                headers={"Authorization": f"Bearer {token.token}"},
            ) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise in_our_words(error, queue, OWNER) from error
        counts = dict(_COUNTS.findall(text))
        return _depth(queue, status, counts)

    async def ready(self) -> None:
        """Return when the namespace lets us in; raise Transient with what to do when it does not."""
        with told("the namespace", SENDER):
            await self._credential.get_token(_SCOPE)

    def release(self) -> None:
        """Give back all that was taken and not settled; it comes again."""
        for delivery in self._out.values():
            delivery.drop()
        self._out.clear()
        for intake in self._intakes.values():
            intake.release()

    async def aclose(self) -> None:
        """Closing is slow in the SDK, so all is closed at once."""
        self.release()
        await asyncio.gather(
            *(intake.aclose() for intake in self._intakes.values()),
            *(close_quietly(grave) for grave in self._graves.values()),
            *(outlet.aclose() for outlet in self._senders.values()),
        )
        await self._receiving.close()
        await self._sending.close()
        if self._http is not None:
            await self._http.close()

    def _intake(self, queue: str) -> Intake:
        intake = self._intakes.get(queue)
        if intake is None:
            if queue in self._with_sessions:
                intake = SessionIntake(queue, lambda: self._session_receiver(queue), self._opening)
            else:
                intake = PlainIntake(queue, lambda: self._receiving.get_queue_receiver(queue), self._opening)
            self._intakes[queue] = intake
        return intake

    def _session_receiver(self, queue: str) -> ServiceBusReceiver:
        return self._receiving.get_queue_receiver(
            queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=ASKING
        )

    def _grave(self, queue: str) -> ServiceBusReceiver:
        grave = self._graves.get(queue)
        if grave is None:
            grave = self._sending.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
            self._graves[queue] = grave
        return grave

    def _held(self, received: Received) -> Delivery:
        delivery = self._out.get(received.lock_token)
        if delivery is None:
            raise lock_lost(received.queue, received.message.message_id)
        return delivery

    def _settling(self, received: Received) -> Delivery:
        delivery = self._held(received)
        del self._out[received.lock_token]
        return delivery


def _depth(queue: str, status: int, counts: Mapping[str, str]) -> int:
    """A queue that is not there answers 200 with an empty feed, so that a missing count says it."""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise refused(queue, OWNER)
    if status == HTTPStatus.NOT_FOUND or (status == HTTPStatus.OK and not counts):
        raise missing(queue)
    if status != HTTPStatus.OK:
        raise Transient(f"Service Bus answered {status} on {queue}; try again later.", queue=queue)
    return sum(int(count) for count in counts.values())
