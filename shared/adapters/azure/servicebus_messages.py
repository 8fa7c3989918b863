"""Our messages and errors in the words of the Service Bus SDK, and back."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
    SessionLockLostError,
)

from shared.domain.kernel.errors import DeliveryError, Permanent, Transient
from shared.ports.bus import DeadLetter, LockLost, Message, Received

SENDER: Final = "Azure Service Bus Data Sender"
RECEIVER: Final = "Azure Service Bus Data Receiver"
OWNER: Final = "Azure Service Bus Data Owner"

_WHY: Final = (b"DeadLetterReason", b"DeadLetterErrorDescription")
"""What the service adds to the properties of a message that is given up."""
_AGAIN: Final = "~"


class QueueMissing(Permanent):
    code = "queue_missing"


class MessageTooLarge(Permanent):
    code = "message_too_large"


def to_wire(message: Message) -> ServiceBusMessage:
    """Raises TypeError for what is no message."""
    if not isinstance(message.body, bytes):
        raise TypeError(f"The body of message {message.message_id} has to be bytes.")
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        subject=message.subject or None,
        session_id=message.session_id,
        application_properties=dict[Any, Any](message.properties),
        scheduled_enqueue_time_utc=message.not_before,
    )


def from_wire(raw: ServiceBusReceivedMessage) -> Message:
    properties = raw.application_properties or {}
    return Message(
        message_id=raw.message_id or "",
        body=b"".join(raw.body),
        subject=raw.subject or "",
        session_id=raw.session_id,
        properties={_text(name): _text(value) for name, value in properties.items() if name not in _WHY},
        not_before=raw.scheduled_enqueue_time_utc,
    )


def to_received(queue: str, raw: ServiceBusReceivedMessage) -> Received:
    assert raw.enqueued_time_utc is not None
    return Received(
        queue=queue,
        message=from_wire(raw),
        lock_token=str(raw.lock_token),
        # The service counts the deliveries that failed before this one.
        delivery_count=(raw.delivery_count or 0) + 1,
        enqueued_at=raw.enqueued_time_utc,
        sequence=raw.sequence_number or 0,
    )


def to_dead_letter(queue: str, raw: ServiceBusReceivedMessage) -> DeadLetter:
    assert raw.enqueued_time_utc is not None
    return DeadLetter(
        queue=queue,
        message=from_wire(raw),
        sequence=raw.sequence_number or 0,
        delivery_count=raw.delivery_count or 0,
        reason=raw.dead_letter_reason or "",
        description=raw.dead_letter_error_description or "",
        dead_at=raw.enqueued_time_utc,
    )


def again(letter: DeadLetter) -> Message:
    """The message to send for a dead letter.

    Under its old id the queue could drop it as a repeat, and it would be lost. The new one follows from the
    letter alone, so that a redrive that died before it was done sends nothing twice when it is done again.
    """
    sent = letter.message
    base, _, count = sent.message_id.rpartition(_AGAIN)
    name = base if base and count.isdecimal() else sent.message_id
    return Message(
        message_id=f"{name}{_AGAIN}{letter.sequence}",
        body=sent.body,
        subject=sent.subject,
        session_id=sent.session_id,
        properties=sent.properties,
        not_before=sent.not_before,
    )


@contextmanager
def told(queue: str, role: str) -> Iterator[None]:
    """Say what the SDK raises in our words. `role` is what the identity needs for what is done inside."""
    try:
        yield
    except (AzureError, OSError, TimeoutError) as error:
        raise in_our_words(error, queue, role) from error


def in_our_words(error: Exception, queue: str, role: str) -> DeliveryError:
    match error:
        case MessageLockLostError() | SessionLockLostError() | MessageNotFoundError():
            return lock_lost(queue)
        case MessageSizeExceededError():
            return MessageTooLarge(
                f"A message for {queue} is larger than the queue takes; send less, or a reference to it.",
                queue=queue,
            )
        case MessagingEntityNotFoundError():
            return missing(queue)
        case ServiceBusAuthenticationError() | ServiceBusAuthorizationError():
            return refused(queue, role)
        case ClientAuthenticationError() | ServiceBusError(inner_exception=ClientAuthenticationError()):
            return Transient(
                "No token for Service Bus could be had. In Azure, assign the app its managed identity; on"
                " your machine, run `az login`."
            )
        case ServiceBusServerBusyError():
            return Transient(
                f"Service Bus is busy and refused work on {queue}; try again later.", queue=queue
            )
        case ServiceBusQuotaExceededError():
            return Transient(
                f"The queue {queue} or its namespace is full; look why its messages are not worked off.",
                queue=queue,
            )
        case _:
            kind = type(error).__name__
            return Transient(f"Service Bus did not answer on {queue} ({kind}); try again later.", queue=queue)


async def close_quietly(handler: ServiceBusSender | ServiceBusReceiver) -> None:
    """One whose connection broke cannot say goodbye, and need not."""
    with suppress(AzureError, OSError):
        await handler.close()


def missing(queue: str) -> QueueMissing:
    return QueueMissing(
        f"There is no queue {queue} in the Service Bus namespace; deploy the infrastructure first.",
        queue=queue,
    )


def refused(queue: str, role: str) -> Transient:
    return Transient(
        f"Service Bus refused our identity on {queue}; give it the role '{role}' on the namespace."
        " A role that was just given takes some minutes.",
        queue=queue,
        role=role,
    )


def lock_lost(queue: str, message_id: str = "") -> LockLost:
    what = f"message {message_id} of {queue}" if message_id else f"a message of {queue}"
    return LockLost(
        f"The lock on {what} is lost; drop the message, whoever holds it now will settle it.", queue=queue
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
