"""Gives an operator's queue its given-up messages again: the dead-lettered ones, and those parked beside
it."""

import json

from shared.names import parked
from shared.ports.bus import Bus, Message


async def redrive(queue: str, bus: Bus) -> tuple[int, int]:
    """How many dead-lettered and how many parked messages are queued again."""
    dead = await bus.redrive(queue)
    count = 0
    while batch := await bus.receive(parked(queue), limit=50):
        for received in batch:
            payload = json.loads(received.message.body)["payload"]
            envelope = payload["envelope"]
            # A new message: under its old id the bus would take it for a repeat and drop it.
            again = Message(
                message_id=received.message.message_id,
                body=json.dumps(envelope, separators=(",", ":")).encode(),
                subject=envelope["eventType"],
                session_id=payload["session"],
                properties={**received.message.properties, "cs-event-type": envelope["eventType"]},
            )
            await bus.send(queue, [again])
            await bus.complete(received)
            count += 1
    return dead, count
