"""The consumer kit: one queue, one function, a handler table. A message is one turn; nothing sleeps in here.

    Service Bus message
      1  envelope          unreadable -> retry, then the bus dead-letters it
      2  trace             the envelope's trace goes on; the event becomes the cause of what follows
      3  handler table     no row -> park, as below
      4  handler           one service call; the inbox marker is written in its own batch
      5  settle            done or done before -> complete · transient or a lost race -> retry · a rule
      said no -> park

Retry means raising: the host abandons the message and the bus delivers it again, at most three times in all.
Park means completing it and keeping it, with its reason, beside its queue for `slipway redrive`.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from functions.http.logs import with_fields
from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.errors import Conflict, DeliveryError, Permanent, Transient
from shared.domain.kernel.events import Envelope, Event
from shared.domain.kernel.ids import Root
from shared.names import PARKED_EVENT
from shared.ports.telemetry import MESSAGE_DURATION, MESSAGES_PARKED, Span, Telemetry
from shared.services.once import AlreadyDone, Inbox
from shared.services.trace import CURRENT, Trace
from shared.services.unit import Unit

if TYPE_CHECKING:
    from shared.app import App

log = logging.getLogger("slipway.workers")


@dataclass(frozen=True, slots=True)
class Job:
    """One delivery of one event, with what a handler needs to act on it."""

    app: "App"
    actor: Actor
    envelope: Envelope
    once: Inbox

    @property
    def payload(self) -> Mapping[str, Any]:
        return self.envelope.payload


type Handler = Callable[[Job], Awaitable[object]]
type Settlement = Literal["complete", "retry", "park"]


class Consumer:
    """The worker of one queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self._handlers: dict[str, Handler] = {}

    @property
    def handles(self) -> frozenset[str]:
        return frozenset(self._handlers)

    def on(self, event_type: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            if event_type in self._handlers:
                raise TypeError(f"{self.queue}: two handlers for {event_type}")
            self._handlers[event_type] = handler
            return handler

        return register

    async def receive(
        self,
        body: bytes,
        app: "App",
        message_id: str,
        session: str | None = None,
        sent_by: str | None = None,
    ) -> Settlement:
        """Handle one message. Returns how it was settled, or raises to have it delivered again.

        `sent_by` is the traceparent among the message's properties.
        """
        started = perf_counter()
        delivery = _Delivery(message_id, session, sent_by)
        envelope = read_envelope(body)
        settled: Settlement = "retry"
        with self._span(app.telemetry, envelope, delivery) as span:
            try:
                settled = await self._settle(envelope, app, delivery, span)
                return settled
            finally:
                labels = {"queue": self.queue, "settlement": settled}
                app.telemetry.measure(MESSAGE_DURATION, perf_counter() - started, labels)

    def _span(self, telemetry: Telemetry, envelope: Envelope, delivery: "_Delivery") -> Span:
        """The handling of one message, below the span that sent it, however much later that is."""
        told = {
            "messaging.destination.name": self.queue,
            "messaging.message.id": delivery.message_id,
            "slipway.event": envelope.event_type,
            "slipway.tenant": envelope.tenant,
        }
        name = f"process {self.queue} {envelope.event_type}"
        trace_id = envelope.trace_id.removeprefix("trace-")
        return telemetry.begin(name, "consumer", told, trace_id=trace_id, parent=delivery.sent_by)

    async def _settle(self, envelope: Envelope, app: "App", delivery: "_Delivery", span: Span) -> Settlement:
        actor = system_actor(envelope.tenant, self.queue)
        once = Inbox(self.queue, envelope.event_id)
        trace = Trace(
            envelope.trace_id.removeprefix("trace-"),
            envelope.correlation_id,
            envelope.event_id,
            span.traceparent or delivery.sent_by,
        )
        token = CURRENT.set(trace)
        facts = {
            "function": f"{self.queue}_worker",
            "tenant": envelope.tenant,
            "event": envelope.event_type,
            "eventId": envelope.event_id,
        }
        try:
            handler = self._handlers.get(envelope.event_type)
            if handler is None:
                raise NoHandler("No handler knows this type of event.", event_type=envelope.event_type)
            await handler(Job(app, actor, envelope, once))
        except AlreadyDone:
            log.debug("message was handled before", extra=with_fields(**facts))
        except DeliveryError as error:
            span.fail(error.code)
            if settlement_of(error) == "retry":
                log.warning(
                    "message will be retried: %s", error.message, extra=with_fields(**facts, code=error.code)
                )
                raise
            await self._park(app, actor, _Parking(envelope, delivery, error))
            app.telemetry.measure(MESSAGES_PARKED, 1, {"queue": self.queue, "code": error.code})
            return "park"
        except Exception:
            log.exception("message failed", extra=with_fields(**facts))
            raise
        finally:
            CURRENT.reset(token)
        return "complete"

    async def _park(self, app: "App", actor: Actor, parking: "_Parking") -> None:
        """Keep what cannot be handled, with why, in one batch; the relay carries it beside its queue."""
        event_id, error = parking.envelope.event_id, parking.error
        facts = {"queue": self.queue, "eventId": event_id, "code": error.code}
        log.error("message parked: %s", error.message, extra=with_fields(**facts))

        async def turn(unit: Unit) -> None:
            payload = {
                "queue": self.queue,
                "session": parking.delivery.session,
                "code": error.code,
                "reason": error.message,
                "envelope": write_envelope(parking.envelope),
            }
            unit.emit(Event(PARKED_EVENT, payload))

        # By the message, not the event: what was redriven comes as a new message and may be parked again.
        once = Inbox("parked", parking.delivery.message_id)
        try:
            await app.units.run(actor, Root("parked", self.queue), turn, once)
        except AlreadyDone:
            log.debug("message was parked before", extra=with_fields(eventId=event_id))


class NoHandler(Permanent):
    code = "no_handler"


@dataclass(frozen=True, slots=True)
class _Delivery:
    message_id: str
    session: str | None
    sent_by: str | None


@dataclass(frozen=True, slots=True)
class _Parking:
    envelope: Envelope
    delivery: _Delivery
    error: DeliveryError


def settlement_of(error: DeliveryError) -> Settlement:
    """A lost race and what we could not reach are worth another delivery; a rule's no is not."""
    return "retry" if isinstance(error, Transient) or type(error) is Conflict else "park"


def read_envelope(body: bytes) -> Envelope:
    """The envelope of a message; unknown fields are ignored."""
    fields = json.loads(body)
    return Envelope(
        event_id=fields["eventId"],
        event_type=fields["eventType"],
        tenant=fields["tenantId"],
        trace_id=fields["traceId"],
        correlation_id=fields["correlationId"],
        causation_id=fields.get("causationId"),
        occurred_at=datetime.fromisoformat(fields["occurredAt"]),
        project=fields.get("projectId"),
        module=fields.get("moduleId"),
        payload=fields["payload"],
    )


def write_envelope(envelope: Envelope) -> dict[str, Any]:
    """As it travels; absent fields are left out."""
    fields = {
        "eventId": envelope.event_id,
        "eventType": envelope.event_type,
        "tenantId": envelope.tenant,
        "projectId": envelope.project,
        "moduleId": envelope.module,
        "traceId": envelope.trace_id,
        "correlationId": envelope.correlation_id,
        "causationId": envelope.causation_id,
        "occurredAt": envelope.occurred_at.isoformat().replace("+00:00", "Z"),
        "payload": dict(envelope.payload),
    }
    return {name: value for name, value in fields.items() if value is not None}
