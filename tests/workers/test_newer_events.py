"""Workers bear what a newer version of Slipway adds to its events, and what they emit is as declared."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.bus import SqliteBus
from shared.ports.bus import Message
from tests.support.api import a_world, an_api
from tests.support.app import SteppingClock
from tests.support.event_schemas import problems_of


class NewerBus(SqliteBus):
    """Everything is sent as a newer minor version would send it."""

    async def send(self, queue: str, messages: Sequence[Message]) -> None:
        await super().send(queue, [newer(message) for message in messages])


def newer(message: Message) -> Message:
    body: dict[str, Any] = json.loads(message.body)
    added = {"addedLater": {"unit": "ms", "values": [1, 2]}, "schemaVersion": "1.7"}
    body = {**body, **added, "payload": {**body["payload"], **added}}
    properties = {**message.properties, "cs-schema-version": "1.7", "cs-added-later": "yes"}
    return replace(message, body=json.dumps(body).encode(), properties=properties)


async def test_fields_added_by_a_newer_minor_version_are_ignored_by_every_worker(tmp_path: Path) -> None:
    clock = SteppingClock()
    api = an_api(tmp_path, bus=NewerBus(tmp_path / "newer.db", clock), clock=clock)
    world = await a_world(api)
    promotion = await api.expect(200, "GET", f"/promotions/{world.ids['promotionId']}")
    assert promotion["status"] == "Deployed"
    await api.app.aclose()


async def test_every_event_of_the_tests_world_is_as_it_is_declared(tmp_path: Path) -> None:
    api = an_api(tmp_path)
    await a_world(api)
    await api.drain()
    documents = (await api.app.feed.read("", 5000)).documents
    outbox = [document.body for document in documents if document.kind == "outbox"]
    assert len({body["eventType"] for body in outbox}) >= 15
    assert [problem for body in outbox for problem in problems_of(body)] == []
    await api.app.aclose()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"payload": {"actor": "user:ann"}}, "'branchId' is a required property"),
        ({"traceId": "1234"}, "does not match"),
        ({"eventType": "BranchInvented"}, "BranchInvented is not declared"),
    ],
)
async def test_an_event_that_is_not_as_declared_is_told_by_the_check(
    change: dict[str, Any], words: str
) -> None:
    body = {
        "eventId": "evt-1",
        "eventType": "BranchCreated",
        "tenantId": "acme",
        "projectId": None,
        "moduleId": None,
        "traceId": f"trace-{'0' * 32}",
        "correlationId": "corr-1",
        "causationId": None,
        "occurredAt": "2026-06-11T09:00:00Z",
        "payload": {
            "branchId": f"branch-{'0' * 32}",
            "repositoryId": f"repo-{'0' * 32}",
            "name": "main",
            "fromCommitSha": "a" * 40,
            "isProtected": True,
            "actor": "user:ann",
        },
        "session": "repository:1",
        "notBefore": None,
        "traceparent": None,
    }
    assert problems_of(body) == []
    assert any(words in problem for problem in problems_of({**body, **change}))
