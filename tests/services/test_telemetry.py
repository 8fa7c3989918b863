"""What a watcher is told: off it costs nothing, errors by their kind, few labels, and exports that arrive."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from functions.relay.outbox import relay, to_message
from functions.workers.consumer import Consumer, Job
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.bus_watch import BusWatch
from shared.app import build_app
from shared.domain.kernel.errors import Conflict, Permanent, RuleBroken, Transient
from shared.domain.kernel.ids import Root
from shared.ports.bus import Message
from shared.ports.store import Write
from shared.ports.telemetry import DEAD_LETTERS, METRICS, NOTHING, OFF, QUEUE_AGE, QUEUE_DEPTH, STORE_DURATION
from shared.settings import BadSettings, Settings
from tests.support.api import Api, a_world, an_api
from tests.support.app import SteppingClock
from tests.support.feed import changes_of
from tests.support.host import ROOT
from tests.support.telemetry import Watcher, facts_of, id_of, parent_of, trace_of

TRACE = "a" * 32
SPAN = "b" * 16
SECRET = "planted-in-a-message"
NAMES = {"acme", "proj-x", "module-x", "module-y", "gitops", "environments"}


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
async def api(tmp_path: Path, watcher: Watcher) -> AsyncIterator[Api]:
    made = an_api(tmp_path, telemetry=watcher.telemetry)
    yield made
    await made.app.aclose()


def a_message(**payload: Any) -> bytes:
    fields = {
        "eventId": "evt-1",
        "eventType": "PullRequestOpened",
        "tenantId": "acme",
        "traceId": f"trace-{TRACE}",
        "correlationId": "corr-1",
        "occurredAt": "2026-06-11T09:00:00Z",
        "payload": payload,
    }
    return json.dumps(fields).encode()


def failing(error: Exception) -> Consumer:
    consumer = Consumer("checks")

    @consumer.on("PullRequestOpened")
    async def handle(job: Job) -> None:
        raise error

    return consumer


def test_off_nothing_of_opentelemetry_is_loaded(tmp_path: Path) -> None:
    """Its import alone is a third of a cold start."""
    script = f"""
import asyncio, sys
from pathlib import Path
from tests.support.api import an_api

async def main():
    api = an_api(Path({str(tmp_path)!r}))
    await api.expect(201, "POST", "/repositories", {{"projectId": "p", "moduleId": "m", "name": "api"}})
    await api.drain()
    await api.app.aclose()

asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf", "requests"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


async def test_off_every_span_is_the_same_nothing_and_no_port_is_wrapped(tmp_path: Path) -> None:
    app = build_app(Settings.load({}, data_dir=tmp_path))
    try:
        assert app.telemetry is OFF
        assert app.telemetry.begin("any", "server", {"a": 1}, trace_id=TRACE) is NOTHING
        assert app.units.store is app.store
        assert app.runs.executor.runner is app.runner
        assert app.gitops.live_states.target is app.target
    finally:
        await app.aclose()


async def test_a_callers_trace_goes_on_in_messages_also_where_nobody_watches(tmp_path: Path) -> None:
    api = an_api(tmp_path)
    try:
        made = {"projectId": "proj-x", "moduleId": "m", "name": "api"}
        await api.expect(201, "POST", "/repositories", made, traceparent=f"00-{TRACE}-{SPAN}-00")
        sent = [each.body for each in await changes_of(api.app) if each.kind == "outbox"]
        assert sent
        for body in sent:
            message = to_message(body)
            assert message.properties["traceparent"] == f"00-{TRACE}-{SPAN}-00"
            assert "traceparent" not in json.loads(message.body)
    finally:
        await api.app.aclose()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Transient(SECRET), "temporarily_unavailable"),
        (Conflict(SECRET), "conflict"),
        (ValueError(SECRET), "ValueError"),
    ],
)
async def test_a_failing_worker_marks_its_span_by_the_kind_of_error(
    api: Api, watcher: Watcher, error: Exception, kind: str
) -> None:
    with pytest.raises(type(error)):
        await failing(error).receive(a_message(title=SECRET), api.app, "m-1", "s", f"00-{TRACE}-{SPAN}-01")
    span = watcher.one("process checks PullRequestOpened")
    assert (trace_of(span), parent_of(span)) == (TRACE, SPAN)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, kind)
    assert facts_of(span)["error.type"] == kind
    assert SECRET not in watcher.told()
    (point,) = watcher.points("slipway.message.duration")
    assert dict(point.attributes) == {"queue": "checks", "settlement": "retry"}


async def test_what_is_parked_is_told_with_its_code(api: Api, watcher: Watcher) -> None:
    assert await failing(RuleBroken(SECRET)).receive(a_message(), api.app, "m-1") == "park"
    span = watcher.one("process checks PullRequestOpened")
    assert span.status.status_code is StatusCode.ERROR
    assert (trace_of(span), parent_of(span)) == (TRACE, None)
    parked = watcher.one("unit parked")
    assert parent_of(parked) == id_of(span)
    (point,) = watcher.points("slipway.messages.parked")
    assert dict(point.attributes) == {"queue": "checks", "code": "rule_broken"}
    assert SECRET not in watcher.told()


async def test_a_repeated_message_is_no_failure(api: Api, watcher: Watcher) -> None:
    world = await a_world(api)
    watcher.forget()
    key = {"idempotency_key": "again"}
    for _ in range(2):
        await api.expect(201, "POST", f"/pipelines/{world.ids['pipelineId']}/run", {"reason": "ci"}, **key)
    assert [span.name for span in watcher.spans if span.status.status_code is StatusCode.ERROR] == []


@pytest.mark.parametrize(
    "sent_by", ["", "what?", f"00-{TRACE}-{SPAN}", f"00-{'c' * 32}-{SPAN}-01", f"01-{TRACE}-{SPAN}-01-x"]
)
async def test_a_traceparent_that_is_not_of_the_messages_trace_is_no_parent(
    api: Api, watcher: Watcher, sent_by: str
) -> None:
    await failing(RuleBroken("no")).receive(a_message(), api.app, "m-1", None, sent_by)
    span = watcher.one("process checks PullRequestOpened")
    assert (trace_of(span), parent_of(span)) == (TRACE, None)


async def test_a_refusal_is_told_by_its_code_and_is_no_failure_of_ours(api: Api, watcher: Watcher) -> None:
    missing = f"/repositories/repo-{'0' * 32}"
    await api.expect(404, "GET", missing)
    span = watcher.one("HTTP GET /repositories/{repositoryId}")
    assert span.status.status_code is StatusCode.UNSET
    assert facts_of(span) == {
        "http.request.method": "GET",
        "http.route": "/repositories/{repositoryId}",
        "http.response.status_code": 404,
        "slipway.function": "devops_get_repository",
        "slipway.tenant": "acme",
        "error.type": "not_found",
    }
    (point,) = watcher.points("slipway.request.errors")
    assert dict(point.attributes) == {"function": facts_of(span)["slipway.function"], "code": "not_found"}
    (point,) = watcher.points("slipway.request.duration")
    assert dict(point.attributes)["status"] == "4xx"


async def test_a_bug_marks_the_request_failed_by_its_type(tmp_path: Path, watcher: Watcher) -> None:
    class Broken:
        async def verify(self, token: str) -> Any:
            raise KeyError(SECRET)

    api = an_api(tmp_path, telemetry=watcher.telemetry, tokens=Broken())
    try:
        await api.expect(500, "GET", "/repositories")
        span = watcher.one("HTTP GET /repositories")
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "KeyError")
        assert SECRET not in watcher.told()
    finally:
        await api.app.aclose()


async def test_no_measurement_has_a_label_that_is_not_declared(api: Api, watcher: Watcher) -> None:
    """A label that takes an id makes a series of each, and a bill. Whose delivery it is is told by names."""
    await a_world(api)
    await api.expect(200, "GET", "/metrics/dora?projectId=proj-x&environment=dev")
    await api.send("GET", "/repositories", token="not-known")
    await failing(RuleBroken("no")).receive(a_message(), api.app, "m-1")
    await api.drain()
    declared = {metric.name: set(metric.labels) for metric in METRICS}
    seen = {}
    for name, point in watcher.measured():
        assert set(point.attributes) <= declared[name], name
        named = {key for key in point.attributes if key in ("tenant", "project", "module")}
        assert not named or name.startswith("devops."), name
        assert {point.attributes[key] for key in named} <= NAMES, name
        seen[name] = point
    silent = {QUEUE_AGE.name, "devops.gitops.drift", "devops.mttr"}
    assert declared.keys() - seen.keys() <= silent, "the rest is measured by a delivery"
    (run, *_) = watcher.points("devops.pipeline.run.duration")
    assert dict(run.attributes)["status"] == "succeeded"
    assert sum(point.count for point in watcher.points("devops.pipeline.run.duration")) == 2


def test_the_page_on_telemetry_names_every_measurement_with_its_labels() -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text()
    rows = re.findall(r"^\| `([a-z._]+)` \| (\w+) \| (\S+) \| (.+?) \|", page, re.MULTILINE)
    told = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, _, labels in rows}
    assert told == {(metric.name, metric.instrument, metric.labels) for metric in METRICS}


async def test_drift_is_counted_where_it_was_found(watcher: Watcher) -> None:
    class Nowhere:
        async def send(self, queue: str, messages: Any) -> None:
            raise AssertionError(queue)

    def synced(*, drifted: bool) -> dict[str, Any]:
        payload = {"driftResolved": drifted, "environment": "dev"}
        whose = {"tenantId": "acme", "projectId": "proj-x", "moduleId": None}
        return {"kind": "outbox", "body": {"eventType": "GitOpsSynced", "payload": payload, **whose}}

    feed = [synced(drifted=True), synced(drifted=False), {"kind": "run", "body": {}}]
    assert await relay(feed, Nowhere(), watcher.telemetry) == 0
    (point,) = watcher.points("devops.gitops.drift")
    assert point.value == 1
    assert dict(point.attributes) == {"tenant": "acme", "project": "proj-x", "environment": "dev"}


async def test_queues_tell_their_depth_their_age_and_their_dead(tmp_path: Path, watcher: Watcher) -> None:
    clock = SteppingClock()
    bus = SqliteBus(tmp_path / "bus.db", clock)
    watcher.telemetry.watch(BusWatch(tmp_path / "bus.db", clock))
    await bus.send("runs", [Message(message_id=str(number), body=b"{}") for number in range(3)])
    (first,) = await bus.receive("runs")
    await bus.dead_letter(first, "because", "of that")

    def gauge(name: str) -> Any:
        (point,) = watcher.points(name)
        assert dict(point.attributes) == {"queue": "runs"}
        return point.value

    try:
        assert gauge(QUEUE_DEPTH.name) == 2
        assert gauge(DEAD_LETTERS.name) == 1
        assert gauge(QUEUE_AGE.name) > 0
    finally:
        await bus.aclose()


async def test_a_lost_race_in_the_store_is_measured_and_is_no_failure(api: Api, watcher: Watcher) -> None:
    partition = api.app.units.store.open("acme").partition(Root("repository", "abc"))
    with watcher.telemetry.begin("some work", trace_id=TRACE):
        await partition.commit([Write("create", "a", "thing", {})])
        with pytest.raises(Conflict):
            await partition.commit([Write("create", "a", "thing", {})])
    first, lost = watcher.named("store commit")
    assert facts_of(first) == {"slipway.root": "repository", "slipway.documents": 1}
    assert lost.status.status_code is StatusCode.UNSET
    assert facts_of(lost)["error.type"] == "store_conflict"
    (point,) = watcher.points(STORE_DURATION.name)
    assert (point.count, dict(point.attributes)) == (2, {"operation": "commit"})


async def test_a_sample_of_none_keeps_only_what_the_caller_keeps(tmp_path: Path) -> None:
    watcher = Watcher(sample=0.0)
    api = an_api(tmp_path, telemetry=watcher.telemetry)
    try:
        unseen = await api.send("GET", "/repositories")
        assert unseen.headers["traceparent"].endswith("-00"), "the caller hears that nobody looks"
        assert not watcher.spans
        await api.send("GET", "/repositories", traceparent=f"00-{TRACE}-{SPAN}-01")
        assert {trace_of(kept) for kept in watcher.spans} == {TRACE}
    finally:
        await api.app.aclose()


async def test_a_detail_of_no_known_work_is_measured_and_is_no_trace(api: Api, watcher: Watcher) -> None:
    """A relay that keeps totals reads and writes all day; each read would be a trace of one span."""
    await api.app.units.store.open("acme").partition(Root("repository", "abc")).read(["a"])
    assert len(watcher.spans) == 0
    assert watcher.points(STORE_DURATION.name)


def test_an_operator_hears_what_the_settings_may_say() -> None:
    for name, value in (("TELEMETRY", "loud"), ("TELEMETRY_SAMPLE", "1.5"), ("TELEMETRY_SAMPLE", "-1")):
        with pytest.raises(BadSettings, match=f"SLIPWAY_{name}"):
            Settings.load({f"SLIPWAY_{name}": value})
    assert Settings.load({}).telemetry == "off"


class _Collector(BaseHTTPRequestHandler):
    heard: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    heard: list[tuple[str, bytes]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Collector", (_Collector,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", heard
    server.shutdown()
    thread.join()
    server.server_close()


async def test_spans_and_measurements_reach_a_collector_before_the_app_is_closed(
    tmp_path: Path, collector: tuple[str, list[tuple[str, bytes]]]
) -> None:
    endpoint, heard = collector
    app = build_app(Settings.load({}, data_dir=tmp_path, telemetry="otlp", telemetry_endpoint=f"{endpoint}/"))
    await Api(app).send("GET", "/health")
    await app.aclose()
    assert {path for path, _ in heard} == {"/v1/traces", "/v1/metrics"}
    assert b"HTTP GET /health" in b"".join(body for path, body in heard if path == "/v1/traces")
    assert b"slipway.request.duration" in b"".join(body for path, body in heard if path == "/v1/metrics")


async def test_the_console_gets_one_line_of_json_a_span(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    app = build_app(Settings.load({}, data_dir=tmp_path, telemetry="console"))
    await Api(app).send("GET", "/health")
    await app.aclose()
    out, err = capfd.readouterr()
    assert out == "", "standard output belongs to the commands"
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [line["name"] for line in lines if "name" in line] == ["HTTP GET /health"]
    assert "resource_metrics" in lines[-1]


def test_an_error_of_ours_is_a_failure_and_a_rules_no_is_not(watcher: Watcher) -> None:
    for error in (Permanent(SECRET), RuleBroken(SECRET)):
        with pytest.raises(type(error)), watcher.telemetry.begin(type(error).__name__, trace_id=TRACE):
            raise error
    assert watcher.one("Permanent").status.status_code is StatusCode.ERROR
    assert watcher.one("RuleBroken").status.status_code is StatusCode.UNSET
