"""A delivery seen from outside: a request and all that it causes is one tree of spans under one trace id."""

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.api import SERVICE, Api, a_world, an_api
from tests.support.journey import Journey, pipeline
from tests.support.process import ServerProcess
from tests.support.telemetry import Watcher, facts_of, id_of, parent_of, trace_of


def _bundle() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in SERVICE.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return packed.getvalue()


BUNDLE = _bundle()
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
        for document in (await api.app.feed.read("", 5000)).documents
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


@dataclass
class Walk:
    """Somebody who walks through the whole main job, with a span of their own above all that they ask for."""

    api: Api
    traceparent: str

    async def ask(self, status: int, method: str, path: str, body: object = None, **more: str) -> Any:
        more.setdefault("traceparent", self.traceparent)
        answer = await self.api.expect(status, method, path, body, **more)
        await self.api.drain()
        return answer

    async def source(self) -> tuple[str, str]:
        """A merged pull request of what an artifact holds; the repository and the pull request."""
        await self.ask(201, "PUT", "/artifacts/art-1", BUNDLE, content_type="application/zip")
        home = {"projectId": "proj-x", "moduleId": "module-x"}
        repository = await self.ask(201, "POST", "/repositories", {**home, "name": "api"})
        place = f"/repositories/{repository['repositoryId']}"
        await self.ask(201, "POST", f"{place}/branches", {"name": "feature/x"})
        changes = [{"path": path, "operation": "add"} for path in SERVICE]
        draft = {"branch": "feature/x", "message": "feat: start", "artifactId": "art-1", "changes": changes}
        await self.ask(201, "POST", f"{place}/commits", draft)
        between = {"sourceBranch": "feature/x", "targetBranch": "main"}
        draft = {"repositoryId": repository["repositoryId"], "title": "Start", **between}
        request = await self.ask(201, "POST", "/pull-requests", draft)
        await self.ask(200, "GET", f"/pull-requests/{request['pullRequestId']}")
        await self.ask(200, "POST", f"/pull-requests/{request['pullRequestId']}/merge")
        return repository["repositoryId"], request["pullRequestId"]

    async def build(self, repository: str) -> str:
        draft = {"repositoryId": repository, "moduleId": "module-x", "moduleType": "Worker"}
        pipeline = await self.ask(201, "POST", "/pipelines/generate", draft)
        run = await self.ask(201, "POST", f"/pipelines/{pipeline['pipelineId']}/run", {"reason": "ci"})
        place = f"/pipeline-runs/{run['pipelineRunId']}"
        await self.ask(200, "GET", f"{place}/logs")
        ended = await self.ask(200, "GET", place)
        await self.ask(200, "GET", f"/build-results/{ended['buildResultId']}")
        return str(ended["buildResultId"])

    async def deliver(self, build: str) -> str:
        """Planned for staging, approved, and promoted there hop by hop; the release."""
        plan = {"projectId": "proj-x", "moduleId": "module-x", "buildResultId": build}
        plan |= {"targetEnvironment": "staging"}
        release = await self.ask(201, "POST", "/releases", plan, token="acme/agent+Planner/admin")
        place, vote = f"/releases/{release['releaseId']}/approve", {"decision": "Approved"}
        await self.ask(403, "POST", place, vote, token="acme/agent+Planner/admin")
        await self.ask(200, "POST", place, vote)
        for environment in ("dev", "test"):
            hop = {"releaseId": release["releaseId"], "toEnvironment": environment}
            await self.ask(201, "POST", "/promotions", hop)
        arrived = await self.ask(200, "GET", f"/promotions/{release['promotionId']}")
        assert arrived["status"] == "Deployed"
        return str(release["releaseId"])


async def test_the_whole_main_job_is_one_tree_below_its_callers_span(api: Api, watcher: Watcher) -> None:
    with watcher.telemetry.begin("walk", "server", trace_id=TRACE) as root:
        assert root.traceparent is not None
        walk = Walk(api, root.traceparent)
        repository, _ = await walk.source()
        release = await walk.deliver(await walk.build(repository))
        await walk.ask(200, "GET", "/gitops/sync-states?environment=staging")
        await walk.ask(200, "POST", "/gitops/reconcile", {"environment": "staging"})
        await walk.ask(200, "GET", f"/audit-entries?resourceId={release}")

    assert {trace_of(span) for span in watcher.spans} == {TRACE}
    known = {id_of(span) for span in watcher.spans}
    assert [span.name for span in watcher.spans if parent_of(span) is None] == ["walk"]
    assert [span.name for span in watcher.spans if parent_of(span) not in known | {None}] == []
    paths = [watcher.path(span) for span in watcher.spans]
    assert {path[0] for path in paths} == {"walk"}
    assert {path[1].partition(" ")[0] for path in paths if len(path) > 1} == {"HTTP"}, (
        "a request is its child"
    )
    kinds = {span.name.split(" ")[0] for span in watcher.spans}
    assert kinds == {"walk", "HTTP", "unit", "store", "message", "process", "run", "target"}
    # Whoever takes a message is the child of whoever sent it, and that one of the unit that decided.
    for path in paths:
        for above, name in pairwise(path):
            if name.startswith("process "):
                assert above == f"message {name.split(' ')[2]}"
            if name.startswith("message "):
                assert above.startswith("unit ")
    # Three environments, each with what was rolled out there.
    applied = [facts_of(span)["slipway.environment"] for span in watcher.named("target apply")]
    assert {"dev", "test", "staging"} <= set(applied)
    stored = {
        document.body["traceId"]
        for document in (await api.app.feed.read("", 5000)).documents
        if document.kind in ("outbox", "audit")
    }
    assert stored == {f"trace-{TRACE}"}


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
