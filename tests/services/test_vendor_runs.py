"""Runs at a vendor, on a made-up CI: begun once, followed to their end, stopped when we say so."""

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from shared.domain.kernel.actor import system_actor
from shared.domain.kernel.errors import Forbidden, Transient
from shared.domain.kernel.ids import child_id, parse_id
from shared.domain.pipelines.model import PipelineRun, RunWatch, watch_id
from shared.domain.source.model import Repository
from shared.ports.ci_host import UnknownWorkflow
from shared.ports.source_host import FileChange, Place, Signature
from shared.services.branches import place_of
from shared.services.unit import Unit
from tests.support.api import SERVICE, Api, an_api
from tests.support.app import SteppingClock
from tests.support.ci import MadeUpCi, MadeUpVendor

HOME = {"projectId": "proj-x", "moduleId": "module-x"}
WORKFLOW = ".github/workflows/x.yml"
WORKER = system_actor("acme", "runs")


@dataclass
class Bench:
    """A repository at the vendor with its pipeline there."""

    api: Api
    vendor: MadeUpVendor
    repository: str
    pipeline: str

    @property
    def ci(self) -> MadeUpCi:
        return self.vendor.ci

    async def start(self) -> str:
        started = await self.api.expect(201, "POST", f"/pipelines/{self.pipeline}/run", {"reason": "ci"})
        return str(started["pipelineRunId"])

    async def begun(self) -> str:
        run = await self.start()
        await self.api.drain()
        return run

    async def later(self, seconds: float = 31) -> None:
        cast(SteppingClock, self.api.app.clock).advance(seconds=seconds)
        await self.api.drain()

    async def run(self, run: str) -> Any:
        return await self.api.expect(200, "GET", f"/pipeline-runs/{run}")

    async def result(self, run: str) -> Any:
        build = (await self.run(run))["buildResultId"]
        return await self.api.expect(200, "GET", f"/build-results/{build}")

    async def log(self, run: str) -> list[str]:
        page = await self.api.expect(200, "GET", f"/pipeline-runs/{run}/logs?limit=1000")
        return [line["text"] for line in page["lines"]]

    async def push(self, path: str, operation: str = "add") -> str:
        """As somebody does who does not ask us."""
        author = Signature("Ann", "ann@example.com", self.api.app.clock.now())
        place = Place("acme", "proj-x", "theirs")
        change = FileChange(path, operation, None if operation == "delete" else b"x = 2\n")  # type: ignore[arg-type]
        made = await self.vendor.git.commit(place, "main", [change], message="feat: push", author=author)
        return made.sha


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    vendor = MadeUpVendor(tmp_path / "vendor", SteppingClock())
    api = an_api(tmp_path / "ours", vendors=vendor.port())
    draft = {**HOME, "name": "theirs", "provider": "GitHub"}
    repository = (await api.expect(201, "POST", "/repositories", draft))["repositoryId"]
    changes = [{"path": path, "operation": "add", "content": text} for path, text in SERVICE.items()]
    commit = {"branch": "main", "message": "feat: start", "changes": changes}
    branch = {"name": "feature/x"}
    await api.expect(201, "POST", f"/repositories/{repository}/branches", branch)
    await api.expect(201, "POST", f"/repositories/{repository}/commits", commit | {"branch": "feature/x"})
    wanted = {"repositoryId": repository, "moduleId": "module-x", "moduleType": "Worker"}
    pipeline = await api.expect(201, "POST", "/pipelines/generate", wanted)
    yield Bench(api, vendor, repository, pipeline["pipelineId"])
    await api.app.aclose()


async def test_a_run_is_begun_at_its_vendor_under_its_own_name(bench: Bench) -> None:
    run = await bench.begun()
    shown = await bench.run(run)
    assert (shown["status"], shown["hostUrl"]) == ("Running", "https://ci.example.com/runs/1")
    (theirs,) = bench.ci.runs().values()
    assert (theirs["once"], theirs["workflow"], theirs["ref"]) == (parse_id(run, "run"), WORKFLOW, "main")
    assert await bench.log(run) == [
        f"GitHub does build {shown['buildNumber']} of module-x: https://ci.example.com/runs/1"
    ]


async def test_a_run_is_shown_as_its_vendor_shows_it_and_its_log_grows(bench: Bench) -> None:
    run = await bench.begun()
    bench.ci.change("1", jobs={"Build": {"Restore": "running", "Test": ""}}, log="one\ntw")
    await bench.later()
    bench.ci.change("1", jobs={"Build": {"Restore": "success", "Test": "running"}}, log="one\ntwo\nthree\n")
    await bench.later()
    (stage,) = (await bench.run(run))["stages"]
    assert [step["status"] for step in stage["tasks"][0]["steps"]] == ["Succeeded", "Running"]
    assert (await bench.log(run))[1:] == ["one", "two", "three"]
    bench.ci.change("1", jobs={"Build": {"Restore": "success", "Test": "failure"}}, conclusion="failure")
    bench.ci.change("1", log="one\ntwo\nthree\nfour")
    await bench.later()
    shown = await bench.run(run)
    assert (shown["status"], shown["outcomeReason"]) == ("Failed", "Build/steps/Test: failure")
    assert (await bench.log(run))[1:] == ["one", "two", "three", "four"]


async def test_what_a_run_has_left_is_kept_and_counted_as_of_our_own(bench: Bench) -> None:
    run = await bench.begun()
    bench.ci.complete("1")
    await bench.later()
    shown, result = await bench.run(run), await bench.result(run)
    assert (shown["status"], result["status"], result["coverage"]) == ("Succeeded", "Succeeded", 0.75)
    assert result["tests"] == {"total": 2, "passed": 1, "failed": 0, "skipped": 1}
    kinds = [(made["name"], made["kind"]) for made in result["artifacts"]]
    assert kinds == [("site.zip", "archive"), ("orders.whl", "package")]
    wheel = result["artifacts"][1]
    assert await bench.api.app.blobs.read("acme", wheel["ref"]) == b"a wheel"
    assert (await bench.log(run))[1:3] == ["built", "tested"]
    plan = {**HOME, "buildResultId": shown["buildResultId"], "targetEnvironment": "dev"}
    await bench.api.expect(201, "POST", "/releases", plan, token="acme/agent+Planner/admin")


@pytest.mark.parametrize(
    ("conclusion", "status", "reason"),
    [
        ("cancelled", "Canceled", "cancelled at its vendor"),
        ("timed_out", "TimedOut", "timed_out"),
        ("partiallySucceeded", "Succeeded", ""),
        (
            "action_required",
            "Failed",
            "it waits for an approval at its vendor; approve it there and start a run",
        ),
        ("odd", "Failed", "it ended as 'odd', a word that is not known here"),
    ],
)
async def test_the_vendors_word_decides(bench: Bench, conclusion: str, status: str, reason: str) -> None:
    run = await bench.begun()
    bench.ci.change("1", conclusion=conclusion, jobs={})
    await bench.later()
    shown = await bench.run(run)
    assert (shown["status"], shown.get("outcomeReason", "")) == (status, reason)


async def test_a_vendor_that_is_away_is_asked_again_until_the_deadline(bench: Bench) -> None:
    bench.ci.troubles += [Transient("away")] * 3
    run = await bench.begun()
    assert (await bench.run(run))["status"] == "Started"
    for _ in range(3):
        await bench.later()
    assert (await bench.run(run))["status"] == "Running"
    bench.ci.troubles += [Transient("away", retry_after=120)]
    await bench.later()
    bench.ci.complete("1")
    asked = len(bench.ci.calls)
    await bench.later(90)
    assert len(bench.ci.calls) == asked
    await bench.later()
    assert (await bench.run(run))["status"] == "Succeeded"


async def test_a_run_that_never_ends_is_given_up_and_its_vendor_told_to_stop(bench: Bench) -> None:
    run = await bench.begun()
    await bench.later(3700)
    shown = await bench.run(run)
    assert (shown["status"], shown["outcomeReason"]) == ("Failed", "no worker finished it by its deadline")
    assert bench.ci.runs()["1"]["conclusion"] == "cancelled"


async def test_a_cancel_counts_at_once_and_reaches_the_vendor_when_it_is_back(bench: Bench) -> None:
    run = await bench.begun()
    cancelled = await bench.api.expect(200, "POST", f"/pipeline-runs/{run}/cancel")
    assert cancelled["status"] == "Canceled"
    bench.ci.troubles += [Transient("away")]
    await bench.api.drain()
    assert "conclusion" not in bench.ci.runs()["1"]
    await bench.later()
    assert bench.ci.runs()["1"]["conclusion"] == "cancelled"
    bench.ci.change("1", conclusion="success")
    await bench.later()
    assert (await bench.run(run))["status"] == "Canceled"


async def test_a_run_that_was_cancelled_before_it_began_is_never_started(bench: Bench) -> None:
    run = await bench.start()
    await bench.api.expect(200, "POST", f"/pipeline-runs/{run}/cancel")
    await bench.later()
    assert bench.ci.runs() == {}


async def test_what_a_dead_worker_has_begun_there_is_stopped_with_the_run(bench: Bench) -> None:
    run = await bench.start()
    place = Place("acme", "proj-x", "theirs")
    once = parse_id(run, "run") or ""
    await bench.api.expect(200, "POST", f"/pipeline-runs/{run}/cancel")
    bench.ci.troubles.append(Transient("away"))
    await bench.api.drain()
    # Its vendor shows it a little later.
    since = bench.api.app.clock.now()
    await bench.ci.start(place, WORKFLOW, ref="main", inputs={}, once=once, since=since)
    await bench.later()
    assert bench.ci.runs()["1"]["conclusion"] == "cancelled"


async def test_a_vendor_is_not_asked_for_ever_for_a_run_that_never_began(bench: Bench) -> None:
    await bench.api.expect(200, "POST", f"/pipeline-runs/{await bench.start()}/cancel")
    for _ in range(6):
        await bench.later()
    assert bench.ci.calls == ["started"] * 3


async def test_a_run_that_somebody_deleted_is_errored(bench: Bench) -> None:
    run = await bench.begun()
    bench.ci.delete("1")
    await bench.later()
    shown = await bench.run(run)
    assert shown["status"] == "Failed"
    assert "deleted the run 1 at GitHub" in shown["outcomeReason"]


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (UnknownWorkflow("none"), f"GitHub cannot start {WORKFLOW}: it has to be on the default branch"),
        (Forbidden("The token lacks actions."), "GitHub does not start it: The token lacks actions."),
    ],
)
async def test_what_cannot_be_started_says_what_to_do(bench: Bench, trouble: Any, told: str) -> None:
    bench.ci.troubles.append(trouble)
    run = await bench.begun()
    shown = await bench.run(run)
    assert shown["status"] == "Failed"
    assert shown["outcomeReason"].startswith(told)
    assert (await bench.log(run)) == [shown["outcomeReason"]]


async def test_a_branch_that_moved_on_is_built_where_it_is_and_the_run_says_so(bench: Bench) -> None:
    run = await bench.start()
    ordered = (await bench.run(run))["commitSha"]
    pushed = await bench.push("late.py")
    await bench.api.drain()
    assert (await bench.run(run))["commitSha"] == pushed != ordered
    assert (await bench.log(run))[1] == f"main has moved on: this builds {pushed} and not {ordered}."
    bench.ci.complete("1")
    await bench.later()
    assert (await bench.result(run))["commitSha"] == pushed


async def test_without_the_vendors_file_our_own_runner_does_it(bench: Bench) -> None:
    await bench.push(WORKFLOW, "delete")
    run = await bench.begun()
    shown = await bench.run(run)
    assert bench.ci.runs() == {}
    assert "hostUrl" not in shown
    assert f"The commit has no {WORKFLOW}; this is the default for a Worker." in await bench.log(run)


async def test_a_pull_requests_check_is_the_vendors_run_where_its_commit_has_the_file(bench: Bench) -> None:
    app, key = bench.api.app, parse_id(bench.repository, "repo") or ""
    repository = await app.units.get(WORKER, Repository, key)
    sha = await bench.vendor.git.head(place_of(repository), "main")
    request = child_id(key, "pull-request", "1")
    wanted: Any = {"repository": repository, "pull_request_id": request, "branch": "main", "once": None}
    run = await app.runs.start_for_check(WORKER, sha=sha, **wanted)
    assert await app.runs.start_for_check(WORKER, sha=sha, **wanted) == run
    payload = next(
        each.body["payload"]
        for each in (await app.feed.read("", 1000)).documents
        if each.kind == "outbox" and each.body["eventType"] == "RunPipeline"
    )
    begun = await app.runs.execute(WORKER, payload)
    assert (begun.host_run, begun.pull_request) == ("1", request)


async def test_news_from_the_vendor_make_the_next_look_sooner_and_the_old_turn_late(bench: Bench) -> None:
    run = await bench.begun()
    bench.ci.complete("1")
    await bench.api.app.runs.vendor_runs.nudge(WORKER, parse_id(bench.repository, "repo") or "", "1")
    await bench.api.drain()
    assert (await bench.run(run))["status"] == "Succeeded"
    asked = len(bench.ci.calls)
    await bench.later()
    assert len(bench.ci.calls) == asked


async def test_a_log_that_was_changed_is_shown_whole_at_the_end(bench: Bench) -> None:
    run = await bench.begun()
    bench.ci.change("1", jobs={"a": {"s": "running"}}, log="a1\nb1\n")
    await bench.later()
    bench.ci.change("1", jobs={"a": {"s": "running"}, "b": {"s": "running"}}, log="a1\na2\nb1\n")
    await bench.later()
    assert (await bench.log(run))[1:] == ["a1", "b1"]
    bench.ci.change("1", conclusion="success")
    await bench.later()
    changed = "The log has changed at its vendor since it was shown here; this is all of it."
    assert (await bench.log(run))[1:] == ["a1", "b1", changed, "a1", "a2", "b1"]


async def test_a_report_and_the_vendor_agree_or_the_second_is_refused(bench: Bench) -> None:
    run = await bench.begun()
    bench.ci.complete("1")
    await bench.later()
    first = await bench.result(run)
    report = {"pipelineRunId": run, "moduleId": "module-x", "status": "Succeeded", "artifacts": []}
    again = await bench.api.send("POST", "/build-results", report)
    assert (again.status, again.body["buildResultId"]) == (201, first["buildResultId"])
    other = await bench.api.send("POST", "/build-results", report | {"status": "Failed"})
    assert (other.status, other.body["code"]) == (409, "build_result_exists")


async def test_a_report_that_comes_first_ends_the_run(bench: Bench) -> None:
    run = await bench.begun()
    report = {"pipelineRunId": run, "moduleId": "module-x", "status": "Succeeded", "artifacts": []}
    await bench.api.expect(201, "POST", "/build-results", report)
    bench.ci.complete("1")
    await bench.later()
    shown = await bench.run(run)
    assert shown["status"] == "Succeeded"
    assert (await bench.result(run))["artifacts"] == []


async def test_a_folder_has_its_files_at_the_root_whoever_packed_it(bench: Bench) -> None:
    """Azure Pipelines has all of an artifact in a folder of its name."""
    files = {"slipway.yml": b"{}\n", "bin/app": b"x = 1\n"}
    run = await bench.begun()
    bench.ci.complete("1")
    left = {"site": {f"site/{path}": content for path, content in files.items()}, "plain": files}
    bench.ci.change("1", artifacts=left)
    await bench.later()
    blobs, made = bench.api.app.blobs, (await bench.result(run))["artifacts"]
    assert [each["name"] for each in made] == ["plain.zip", "site.zip"]
    for each in made:
        with zipfile.ZipFile(io.BytesIO(await blobs.read("acme", each["ref"]))) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == files


async def test_hostile_and_oversized_artifacts_are_left_out_and_named(bench: Bench) -> None:
    run = await bench.begun()
    bench.ci.complete("1")
    bench.ci.change("1", artifacts={"bad": {"../../escape": b"x"}, "empty": {}, "one": {"app.tar.gz": b"x"}})
    await bench.later()
    assert [made["name"] for made in (await bench.result(run))["artifacts"]] == ["app.tar.gz"]
    assert any(line.startswith("The artifact bad is not kept: ") for line in await bench.log(run))


async def test_a_reminder_takes_up_a_turn_whose_message_was_lost(bench: Bench) -> None:
    run = await bench.begun()
    key = parse_id(run, "run") or ""

    async def lose(unit: Unit) -> None:
        watch = await unit.get(RunWatch, watch_id(key))
        unit.put(replace(watch, turn=watch.turn + 1))

    await bench.api.app.units.run(WORKER, RunWatch.__record__.root_of(key), lose)
    bench.ci.complete("1")
    await bench.later(60)
    assert (await bench.run(run))["status"] == "Running"
    await bench.later(300)
    assert (await bench.run(run))["status"] == "Succeeded"


async def test_lines_that_a_dead_process_has_left_are_not_written_again(bench: Bench) -> None:
    app, key = bench.api.app, parse_id(await bench.begun(), "run") or ""
    run = await app.units.get(WORKER, PipelineRun, key)
    watch = await app.units.get(WORKER, RunWatch, watch_id(key))
    logs = app.runs.vendor_runs.logs
    # Recorded nowhere, as by a process that died before its batch; the last of it tore a line.
    await logs.append(run, watch, "one\ntwo\n", is_over=False)
    await app.blobs.append("acme", run.logs_path, b'{"timestamp":"2026-06-11T0')
    shown = await logs.append(run, watch, "one\ntwo\nthree\n", ["the end"], is_over=True)
    page = await app.runs.logs(WORKER, key)
    texts = [line.text for line in page.lines if line.timestamp]
    assert texts[1:] == ["one", "two", "three", "the end"]
    assert (shown.log_lines, shown.log_size) == (3, page.next_offset)
