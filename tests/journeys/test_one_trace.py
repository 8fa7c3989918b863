"""A delivery seen from outside: a request and all that it causes is one tree of spans under one trace id."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.api import Api, a_world, an_api
from tests.support.journey import Journey, pipeline
from tests.support.process import ServerProcess
from tests.support.telemetry import Watcher, facts_of, id_of, parent_of, trace_of

CALLER = "b7ad6b7169203331"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
async def api(tmp_path: Path, watcher: Watcher) -> AsyncIterator[Api]:
    made = an_api(tmp_path, telemetry=watcher.telemetry)
    yield made
    await made.app.aclose()


async def test_every_request_of_a_delivery_makes_one_tree_with_all_that_it_caused(
    api: Api, watcher: Watcher
) -> None:
    world = await a_world(api)
    promotion = await api.expect(200, "GET", f"/promotions/{world.ids['promotionId']}")
    assert promotion["status"] == "Deployed"
    traces = defaultdict(list)
    for span in watcher.spans:
        traces[trace_of(span)].append(span)
    for trace, spans in traces.items():
        known = {id_of(span) for span in spans}
        roots = [span for span in spans if parent_of(span) is None]
        strays = [span.name for span in spans if parent_of(span) not in known | {None}]
        assert [root.name.partition(" ")[0] for root in roots] == ["HTTP"], (trace, [s.name for s in spans])
        assert strays == [], trace
    # What is stored under a trace id, by the contract's name, is of a trace that was seen.
    stored = {
        document.body["traceId"].removeprefix("trace-")
        for document in await api.app.feed.changes(0, 5000)
        if document.kind in ("outbox", "audit")
    }
    assert stored
    assert stored <= traces.keys()


async def test_what_a_message_causes_hangs_below_the_request_that_sent_it(api: Api, watcher: Watcher) -> None:
    world = await a_world(api)
    watcher.forget()
    place = f"/pipelines/{world.ids['pipelineId']}/run"
    answer = await api.send("POST", place, {"reason": "ci"}, traceparent=TRACEPARENT)
    assert answer.status == 201
    await api.drain()

    assert {trace_of(span) for span in watcher.spans} == {TRACE}
    request = watcher.one("HTTP POST /pipelines/{pipelineId}/run")
    assert parent_of(request) == CALLER
    assert answer.headers["traceparent"] == f"00-{TRACE}-{id_of(request)}-01"
    to_worker = [
        "HTTP POST /pipelines/{pipelineId}/run",
        "unit repository",
        "message RunPipeline",
        "process runs RunPipeline",
    ]
    step, *_ = [span for span in watcher.spans if span.name.startswith("run step ")]
    assert watcher.path(step)[:-1] == to_worker
    freed = watcher.one("process checks PipelineRunCompleted")
    assert watcher.path(freed) == [
        *to_worker,
        "unit run",
        "message PipelineRunCompleted",
        "process checks PipelineRunCompleted",
    ]
    assert facts_of(freed)["messaging.destination.name"] == "checks"


async def test_a_promotion_is_followed_to_its_target(api: Api, watcher: Watcher) -> None:
    world = await a_world(api)
    applied, *_ = watcher.named("target apply")
    path = watcher.path(applied)
    assert path[0] == "HTTP POST /promotions"
    assert path[-2:] == ["process gitops ReconcileRequested", "target apply"]
    assert facts_of(applied)["slipway.environment"] == "dev"
    assert world.ids["promotionId"].startswith("prom-")


async def test_no_span_tells_what_a_caller_sent(api: Api, watcher: Watcher) -> None:
    """A commit's content, a title, a token and a query value are nobody's business who looks at traces."""
    await a_world(api)
    await api.send("GET", "/pipeline-runs?cursor=planted-in-a-query")
    await api.send("GET", "/pipeline-runs", token="planted-in-a-token")
    await api.send("POST", "/repositories", {"name": "planted in a body", "planted": True})
    told = watcher.told()
    sent = ("Nothing yet", "feat: start", '"Start"', "planted", "acme/user")
    assert [word for word in sent if word in told] == []


@pytest.mark.journey
async def test_the_local_platform_carries_the_parent_over_its_bus(tmp_path: Path) -> None:
    """In a process of its own, through Microsoft's worker: the property survives the real message."""
    watched = {"SLIPWAY_TELEMETRY": "console"}
    with ServerProcess(tmp_path / "data", environment=watched) as server:
        async with aiohttp.ClientSession() as session:
            journey = Journey(session, server, "acme")
            await journey.provision()
            request = await journey.proposed("feature/x", "feat: x", pipeline("true", artifact=False))
            await journey.checked(request)
        assert server.terminate() == 0
        spans = [json.loads(line) for line in server.log.splitlines() if line.startswith('{"name"')]
    by_id = {span["context"]["span_id"]: span for span in spans}
    here: dict[str, Any] | None = next(s for s in spans if s["name"] == "process checks PullRequestOpened")
    path: list[str] = []
    while here is not None:
        path.insert(0, here["name"])
        here = by_id.get(here["parent_id"])
    assert path == [
        "HTTP POST /pull-requests",
        "unit repository",
        "message PullRequestOpened",
        "process checks PullRequestOpened",
    ]
    details = [s["name"] for s in spans if s["parent_id"] is None and s["name"].startswith("store")]
    assert details == [], "a detail of no known work is told to nobody"
