"""The relay: the change feed carries outbox documents to Service Bus. The only room that sends.

It may see a document twice and a batch again after a failure: MessageId is the event's id, and the bus
drops repeats.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from shared.domain.kernel.events import SCHEMA_VERSION
from shared.names import PARKED_EVENT, ROUTES, parked
from shared.ports.bus import Message, Sender
from shared.ports.telemetry import COMMITS, DEPLOYMENTS, DRIFT, OFF, Labels, Span, Telemetry, labels_of

_ROUTING = ("session", "notBefore", "traceparent")


async def relay(documents: Iterable[Mapping[str, Any]], sender: Sender, telemetry: Telemetry = OFF) -> int:
    """Send every outbox document to the queues of its type, in the order of the feed; returns how many
    were sent."""
    batches: dict[str, list[Message]] = {}
    facts = [document["body"] for document in documents if document["kind"] == "outbox"]
    with ExitStack() as spans:
        for body in facts:
            if queues := queues_of(body):
                span = spans.enter_context(_span(body, telemetry))
                message = to_message(body, span.traceparent)
                for queue in queues:
                    batches.setdefault(queue, []).append(message)
        for queue, messages in batches.items():
            await sender.send(queue, messages)
    for body in facts:
        _count(body, telemetry)
    return sum(len(messages) for messages in batches.values())


def _span(body: Mapping[str, Any], telemetry: Telemetry) -> Span:
    """The sending of one message, below the span that decided on it."""
    told = {
        "messaging.message.id": body["eventId"],
        "slipway.event": body["eventType"],
        "slipway.tenant": body["tenantId"],
    }
    return telemetry.begin(
        f"message {body['eventType']}",
        "producer",
        told,
        trace_id=body["traceId"].removeprefix("trace-"),
        parent=body.get("traceparent"),
    )


def _count(body: Mapping[str, Any], telemetry: Telemetry) -> None:
    """Facts that are numbers, too. A batch that the feed gives again is counted again."""
    match body:
        case {"eventType": "CommitCreated"}:
            telemetry.measure(COMMITS, 1, _whose(body))
        case {"eventType": "DeploymentPromoted", "payload": {"toEnvironment": where}}:
            telemetry.measure(DEPLOYMENTS, 1, _whose(body, where))
        case {"eventType": "GitOpsSynced", "payload": {"driftResolved": True, "environment": where}}:
            telemetry.measure(DRIFT, 1, _whose(body, where))


def _whose(body: Mapping[str, Any], environment: str | None = None) -> Labels:
    return labels_of(
        tenant=body["tenantId"],
        project=body["projectId"],
        module=body["moduleId"],
        environment=environment,
    )


def queues_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Where an event goes: by its type, and what was parked beside the queue that it came from."""
    if body["eventType"] == PARKED_EVENT:
        return (parked(body["payload"]["queue"]),)
    return ROUTES.get(body["eventType"], ())


def to_message(body: Mapping[str, Any], traceparent: str | None = None) -> Message:
    """An outbox document's body as the message it becomes: the envelope, and properties to filter by.

    `traceparent` names the span that sends it; the default is the one that decided on it.
    """
    envelope = {name: value for name, value in body.items() if name not in _ROUTING and value is not None}
    properties = {
        "cs-event-type": body["eventType"],
        "cs-event-id": body["eventId"],
        "cs-tenant-id": body["tenantId"],
        "cs-trace-id": body["traceId"],
        "cs-correlation-id": body["correlationId"],
        "cs-schema-version": SCHEMA_VERSION,
        "content-type": "application/json",
    }
    if body.get("causationId"):
        properties["cs-causation-id"] = body["causationId"]
    if sent_by := traceparent or body.get("traceparent"):
        properties["traceparent"] = sent_by
    due = body.get("notBefore")
    return Message(
        message_id=body["eventId"],
        body=json.dumps(envelope, separators=(",", ":")).encode(),
        subject=body["eventType"],
        session_id=f"{body['tenantId']}/{body['session']}",
        properties=properties,
        not_before=datetime.fromisoformat(due) if due else None,
    )
