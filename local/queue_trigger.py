"""Fires a function for each message of a Service Bus queue, as the Functions host does.

Completed on success, abandoned on failure; how often a message is tried and when it is dead is the bus's
business, not the pump's.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Final, Protocol, runtime_checkable

from local.protos import TypedData
from local.running import Running
from local.triggers import Engine
from local.worker import Function, Outcome
from shared.domain.kernel.errors import DeliveryError, Transient
from shared.ports.bus import Bus, Message, Received
from shared.ports.clock import Clock

LOOK_EVERY: Final = 1.0
"""Seconds that one `receive` waits; a redrive in another process, and a lock that runs out, wake nobody."""

log = logging.getLogger("slipway.host")


@runtime_checkable
class Recovering(Protocol):
    """A bus that no other process receives from, so that a lock found at the start is a dead process's."""

    async def recover(self) -> int:
        """Free the messages that a process which died still holds. Returns how many."""


@dataclass
class QueueTrigger:
    """One pump. `slots` is how many messages run at once; `lock_for` and `renew_for` are seconds."""

    function: Function
    engine: Engine
    bus: Bus
    clock: Clock
    slots: int
    renew_for: float
    auto_complete: bool = True
    lock_for: float = 60.0
    running: Running = field(default_factory=Running)

    @property
    def queue(self) -> str:
        return str(self.function.trigger["queueName"])

    async def run(self) -> None:
        while True:
            self.running.check()
            if len(self.running) >= self.slots:
                await self.running.one_ended()
                continue
            try:
                received = await self.bus.receive(
                    self.queue,
                    limit=self.slots - len(self.running),
                    lock_for=self.lock_for,
                    wait=LOOK_EVERY,
                )
            except Transient as error:
                log.warning("%s cannot receive from %s: %s", self.function.name, self.queue, error)
                await asyncio.sleep(LOOK_EVERY)
                continue
            for one in received:
                self.running.start(self._deliver(one))

    async def fire(self, given: str) -> Outcome:
        message = Message(message_id="admin", body=given.encode())
        one = Received(self.queue, message, "", 1, self.clock.now(), 0)
        return await self.engine.invoke(self.function, payload(message.body), metadata(one))

    async def drain(self, patience: float) -> None:
        await self.running.drain(patience)

    async def _deliver(self, one: Received) -> None:
        renewing = asyncio.create_task(self._keep_locked(one))
        try:
            outcome = await self.engine.invoke(self.function, payload(one.message.body), metadata(one))
        finally:
            renewing.cancel()
        try:
            if not outcome.ok:
                log.warning(
                    "%s failed on message %s, delivery %d: %s",
                    self.function.name,
                    one.message.message_id,
                    one.delivery_count,
                    outcome.error,
                )
                await self.bus.abandon(one)
            elif self.auto_complete:
                await self.bus.complete(one)
        except DeliveryError as error:
            # The work is done and its inbox marker stands; the message comes again and changes nothing.
            log.warning("Message %s could not be settled: %s", one.message.message_id, error)

    async def _keep_locked(self, one: Received) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.renew_for
        while loop.time() < until:
            await asyncio.sleep(self.lock_for / 3)
            try:
                await self.bus.renew(one, lock_for=self.lock_for)
            except Transient as error:
                log.warning("The lock of message %s was not renewed: %s", one.message.message_id, error)
            except DeliveryError as error:
                log.warning("Message %s went to someone else: %s", one.message.message_id, error)
                return


def payload(body: bytes) -> TypedData:
    """Text as a string, anything else as bytes."""
    try:
        return TypedData(string=body.decode())
    except UnicodeDecodeError:
        return TypedData(bytes=body)


def metadata(one: Received) -> Mapping[str, TypedData]:
    """What the host says about a message. The SDK cannot decode one without UserProperties."""
    properties = TypedData(json=json.dumps(dict(one.message.properties)))
    told = {
        "MessageId": TypedData(string=one.message.message_id),
        "DeliveryCount": TypedData(json=str(one.delivery_count)),
        "SequenceNumber": TypedData(json=str(one.sequence)),
        "EnqueuedSequenceNumber": TypedData(json=str(one.sequence)),
        "EnqueuedTimeUtc": TypedData(
            string=one.enqueued_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ),
        "LockToken": TypedData(string=one.lock_token),
        "UserProperties": properties,
        "ApplicationProperties": properties,
    }
    if one.message.subject:
        told["Subject"] = told["Label"] = TypedData(string=one.message.subject)
    if one.message.session_id is not None:
        told["SessionId"] = TypedData(string=one.message.session_id)
    return told
