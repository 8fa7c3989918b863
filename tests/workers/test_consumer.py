"""The consumer kit: duplicates, unknown types, rules, trouble; and the relay that feeds it."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from functions.relay.outbox import relay, to_message
from functions.relay.redrive import redrive
from functions.workers import CONSUMERS
from functions.workers.consumer import Consumer, Job, read_envelope, write_envelope
from shared.adapters.codec import RecordCodec
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.actor import system_actor
from shared.domain.kernel.errors import Conflict, Forbidden, NotFound, RuleBroken, Transient
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import Root
from shared.names import INDEXES, QUEUES, ROUTES
from shared.ports.bus import Message
from shared.ports.telemetry import OFF, Telemetry
from shared.services.trace import current_trace
from shared.services.unit import Unit, Units
from tests.support.app import CountingIds, SteppingClock

ROOT = Root("repository", "abc")


@dataclass
class TinyApp:
    """The part of the App that the kit itself uses."""

    units: Units
    seen: list[str] = field(default_factory=list)
    telemetry: Telemetry = OFF


class Recording:
    """A sender that keeps what it is given, and fails when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.broken = False

    async def send(self, queue: str, messages: Sequence[Message]) -> None:
        if self.broken:
            raise Transient("The bus is away.")
        self.sent += [(queue, message) for message in messages]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[TinyApp]:
    clock = SteppingClock()
    store = SqliteStore(tmp_path / "store.db", INDEXES, clock)
    yield TinyApp(Units(store, RecordCodec(), clock, CountingIds()))
    await store.aclose()


def a_message(event_type: str = "PullRequestOpened", **payload: Any) -> bytes:
    fields = {
        "eventId": "evt-1",
        "eventType": event_type,
        "tenantId": "acme",
        "traceId": "trace-" + "a" * 32,
        "correlationId": "corr-1",
        "occurredAt": "2026-06-11T09:00:00Z",
        "payload": payload,
        "aFieldOfTheFuture": True,
    }
    return json.dumps(fields).encode()


async def outbox(app: TinyApp) -> list[dict[str, Any]]:
    store = cast(SqliteStore, app.units.store)
    return [
        {"kind": document.kind, "body": document.body}
        for document in await store.changes(0, 1000)
        if document.kind == "outbox"
    ]


def a_consumer(error: Exception | None = None) -> Consumer:
    consumer = Consumer("checks")

    @consumer.on("PullRequestOpened")
    async def handle(job: Job) -> None:
        if error is not None:
            raise error
        seen = cast(TinyApp, job.app).seen

        async def turn(unit: Unit) -> None:
            unit.emit(Event("Handled", {}))

        await job.app.units.run(job.actor, ROOT, turn, job.once)
        seen.append(f"{job.actor.subject} {current_trace().causation_id} {current_trace().trace_id[:2]}")

    return consumer


async def test_a_message_is_handled_once_however_often_it_comes(app: TinyApp) -> None:
    consumer = a_consumer()
    for _ in range(3):
        assert await consumer.receive(a_message(), app, "m-1") == "complete"  # type: ignore[arg-type]
    assert app.seen == ["system:checks evt-1 aa"]
    handled = [row["body"] for row in await outbox(app)]
    assert [body["eventType"] for body in handled] == ["Handled"]
    assert handled[0]["causationId"] == "evt-1", "the event caused what follows"
    assert handled[0]["traceId"] == "trace-" + "a" * 32, "and the trace goes on"


@pytest.mark.parametrize(
    "error",
    [Transient("away"), Conflict("lost a race"), RuntimeError("a bug")],
    ids=lambda e: type(e).__name__,
)
async def test_trouble_raises_so_that_the_bus_delivers_again(
    app: TinyApp, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(type(error)):
        await a_consumer(error).receive(a_message(), app, "m-1")  # type: ignore[arg-type]
    assert len(caplog.records) == 1
    assert await outbox(app) == []


@pytest.mark.parametrize(
    "error", [RuleBroken("no"), NotFound("gone"), Forbidden("not you")], ids=lambda e: e.code
)
async def test_a_rules_no_parks_the_message_once_with_its_reason(app: TinyApp, error: RuleBroken) -> None:
    consumer = a_consumer(error)
    for _ in range(2):
        assert await consumer.receive(a_message(number=7), app, "m-1") == "park"  # type: ignore[arg-type]
    sender = Recording()
    await relay(await outbox(app), sender)
    [(queue, message)] = sender.sent
    assert queue == "checks-parked"
    parked = json.loads(message.body)["payload"]
    assert (parked["queue"], parked["code"], parked["reason"]) == ("checks", error.code, error.message)
    assert parked["envelope"]["payload"] == {"number": 7}


async def test_a_redriven_message_is_handled_and_may_be_parked_again(app: TinyApp, tmp_path: Path) -> None:
    bus = SqliteBus(tmp_path / "bus.db", app.units.clock)
    refusing = a_consumer(RuleBroken("no"))
    await refusing.receive(a_message(), app, "m-1", "acme/s")  # type: ignore[arg-type]
    await relay(await outbox(app), bus)
    assert await redrive("checks", bus) == (0, 1)
    [again] = await bus.receive("checks")
    assert again.message.session_id == "acme/s"
    body, message_id = again.message.body, again.message.message_id
    assert await refusing.receive(body, app, message_id) == "park"  # type: ignore[arg-type]
    assert len(await outbox(app)) == 2
    assert await a_consumer().receive(body, app, message_id) == "complete"  # type: ignore[arg-type]
    assert await redrive("checks", bus) == (0, 0)
    await bus.aclose()


async def test_an_unknown_type_is_parked_not_lost(app: TinyApp) -> None:
    assert await a_consumer().receive(a_message("FromTheFuture"), app, "m-1") == "park"  # type: ignore[arg-type]
    assert (await outbox(app))[0]["body"]["payload"]["code"] == "no_handler"


async def test_an_unreadable_message_raises(app: TinyApp) -> None:
    with pytest.raises(ValueError, match="Expecting"):
        await a_consumer().receive(b"{", app, "m-1")  # type: ignore[arg-type]


def test_two_handlers_of_one_type_fail_at_import() -> None:
    consumer = a_consumer()
    with pytest.raises(TypeError, match="two handlers"):
        consumer.on("PullRequestOpened")(cast(Any, None))


def test_every_routed_event_has_a_handler_on_its_queue() -> None:
    handled = {consumer.queue: consumer.handles for consumer in CONSUMERS}
    assert set(handled) == set(QUEUES)
    for event_type, queues in ROUTES.items():
        for queue in queues:
            assert event_type in handled[queue], f"{event_type} on {queue}"


def test_an_envelope_survives_the_journey() -> None:
    envelope = read_envelope(a_message(x=1))
    assert read_envelope(json.dumps(write_envelope(envelope)).encode()) == envelope
    assert envelope.occurred_at.utcoffset() is not None


class TestRelay:
    async def test_a_message_carries_the_envelope_its_identity_and_its_filters(self, app: TinyApp) -> None:
        due = datetime.fromisoformat("2026-06-11T10:00:00+00:00")

        async def turn(unit: Unit) -> None:
            unit.emit(Event("RunPipeline", {"n": 1}, project="proj-x", not_before=due, session="run:1"))

        await app.units.run(system_actor("acme", "test"), ROOT, turn)
        body = (await outbox(app))[0]["body"]
        message = to_message(body)
        assert message.message_id == body["eventId"]
        assert (message.session_id, message.subject, message.not_before) == ("acme/run:1", "RunPipeline", due)
        assert message.properties["cs-event-type"] == "RunPipeline"
        assert message.properties["cs-tenant-id"] == "acme"
        envelope = json.loads(message.body)
        assert envelope["payload"] == {"n": 1, "actor": "system:test"}
        assert not {"session", "notBefore", "moduleId", "causationId"} & set(envelope)

    async def test_only_routed_outbox_documents_are_sent_in_order(self, app: TinyApp) -> None:
        async def turn(unit: Unit) -> None:
            unit.emit(Event("PullRequestOpened", {"n": 1}), Event("FactForSubscribers", {}))
            unit.emit(Event("PullRequestUpdated", {"n": 2}))

        await app.units.run(system_actor("acme", "test"), ROOT, turn)
        sender = Recording()
        documents = [*await outbox(app), {"kind": "repository", "body": {}}]
        assert await relay(documents, sender) == 2
        assert [(queue, message.subject) for queue, message in sender.sent] == [
            ("checks", "PullRequestOpened"),
            ("checks", "PullRequestUpdated"),
        ]

    async def test_a_bus_that_is_away_fails_the_batch(self, app: TinyApp) -> None:
        async def turn(unit: Unit) -> None:
            unit.emit(Event("PullRequestOpened", {}))

        await app.units.run(system_actor("acme", "test"), ROOT, turn)
        sender = Recording()
        sender.broken = True
        with pytest.raises(Transient):
            await relay(await outbox(app), sender)
