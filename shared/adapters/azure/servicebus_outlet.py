"""The sending side of one queue: a sender that stays open, and batches that fit."""

import asyncio
from collections.abc import Sequence
from typing import Final

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from shared.adapters.azure.servicebus_messages import SENDER, MessageTooLarge, close_quietly, to_wire, told
from shared.ports.bus import Message

SEND_SECONDS: Final = 30.0
"""For one batch, with the SDK's own tries."""


class Outlet:
    """One batch at a time: a sender of the SDK is not made for more."""

    def __init__(self, queue: str, client: ServiceBusClient) -> None:
        self._queue = queue
        self._client = client
        self._sender: ServiceBusSender | None = None
        self._turn = asyncio.Lock()

    async def send(self, messages: Sequence[Message]) -> None:
        """All in one batch, where they fit. If a later batch fails, the caller sends all again, and the queue
        drops what it has."""
        wires = [to_wire(message) for message in messages]
        if not wires:
            return
        async with self._turn:
            if self._sender is None:
                self._sender = self._client.get_queue_sender(self._queue)
            with told(self._queue, SENDER):
                try:
                    # The SDK's own limit does not end a send whose answer it cannot read.
                    async with asyncio.timeout(SEND_SECONDS + 5):
                        for batch in await self._batches(self._sender, wires):
                            await self._sender.send_messages(batch, timeout=SEND_SECONDS)
                except TimeoutError:
                    # Nobody knows what state it is in.
                    await self.aclose()
                    raise

    async def aclose(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await close_quietly(sender)

    async def _batches(
        self, sender: ServiceBusSender, wires: Sequence[ServiceBusMessage]
    ) -> list[ServiceBusMessageBatch]:
        """All are made before the first is sent, so that a message that is too large stops every one."""
        batches = [await sender.create_message_batch()]
        for wire in wires:
            try:
                batches[-1].add_message(wire)
            except MessageSizeExceededError:
                batches.append(await sender.create_message_batch())
                try:
                    batches[-1].add_message(wire)
                except MessageSizeExceededError as error:
                    limit = batches[-1].max_size_in_bytes
                    raise MessageTooLarge(
                        f"Message {wire.message_id} does not fit into the {limit} bytes that {self._queue}"
                        " takes; send a reference to what it carries.",
                        queue=self._queue,
                        limit=limit,
                    ) from error
        return [batch for batch in batches if len(batch)]
