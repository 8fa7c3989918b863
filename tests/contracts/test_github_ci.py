"""Workflows, webhooks and statuses, in what GitHub alone does. What every vendor does is in test_ci_host and
test_hook_host."""

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from githubkit_schemas.v2026_03_10 import models

from shared.ports.ci_host import CiRun, CiStatus, CommitStatus, HookEvent
from tests.contracts.github_vendor import GitHubBench, github_bench
from tests.contracts.vendor_bench import BEFORE
from tests.standins.github import Fault
from tests.standins.github.actions import Ending, Workflow

AT = datetime(2030, 1, 1, tzinfo=UTC)
BUILD = ".github/workflows/build.yml"
URL = "https://slipway.example.com/webhooks/1"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[GitHubBench]:
    async with github_bench(tmp_path) as opened:
        opened.add_workflow(BUILD)
        yield opened


async def start(bench: GitHubBench) -> CiRun:
    return await bench.vendor.ci.start(bench.place, BUILD, ref="main", inputs={}, once="req-1", since=BEFORE)


async def test_a_log_without_end_is_cut(bench: GitHubBench) -> None:
    run = await start(bench)
    bench.automation.logs[int(run.id)] = {"0_a.txt": "x" * (17 * 1024 * 1024), "1_b.txt": "never"}
    log = await bench.vendor.ci.log(bench.place, run.id)
    assert log.endswith("x\n(the log goes on at GitHub)\n")
    assert len(log) < 17 * 1024 * 1024


async def test_the_texts_of_single_steps_are_not_told_twice(bench: GitHubBench) -> None:
    run = await start(bench)
    bench.automation.logs[int(run.id)] = {"0_build.txt": "built\n", "build/1_step.txt": "a step\n"}
    assert await bench.vendor.ci.log(bench.place, run.id) == "built\n"


async def test_what_still_waits_has_not_begun(bench: GitHubBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    bench.automation.end(int(run.id), Ending(jobs={"deploy": ["one"], "build": ["one", "two"]}), AT)
    waiting, running = bench.automation.jobs[int(run.id)]
    waiting.update(status="waiting", conclusion=None, completed_at=None, steps=[])
    running.update(status="in_progress", conclusion=None, completed_at=None)
    running["steps"][1].update(status="queued", conclusion=None, started_at=None, completed_at=None)
    build, deploy = await ci.jobs(bench.place, run.id)
    assert (build.name, build.status, build.conclusion) == ("build", CiStatus.RUNNING, None)
    assert [step.status for step in build.steps] == [CiStatus.COMPLETED, CiStatus.QUEUED]
    assert (deploy.name, deploy.status, deploy.started_at) == ("deploy", CiStatus.QUEUED, None)


async def test_more_than_a_page_of_jobs_is_told_whole(bench: GitHubBench) -> None:
    run = await start(bench)
    names = [f"job-{number}" for number in range(101)]
    bench.automation.end(int(run.id), Ending(jobs=dict.fromkeys(names, ("one",))), AT)
    assert [job.name for job in await bench.vendor.ci.jobs(bench.place, run.id)] == names


async def test_of_one_name_that_two_attempts_have_left_the_latest_counts(bench: GitHubBench) -> None:
    run = await start(bench)
    automation = bench.automation
    automation.end(int(run.id), Ending(artifacts={"one": {"a": b"old"}, "two": {"a": b"new"}}), AT)
    old, new = automation.artifacts[int(run.id)]
    old.name = new.name = "results"
    for order in ([old, new], [new, old]):
        automation.artifacts[int(run.id)] = order
        assert [each.id for each in await bench.vendor.ci.artifacts(bench.place, run.id)] == [str(new.id)]


async def test_a_run_may_end_as_soon_as_it_is_started(bench: GitHubBench) -> None:
    ending = Ending("failure", {"build": ["one"]}, {"build": "broken\n"}, {"results": {"a": b"a"}})
    bench.automation.workflows["build.yml"] = Workflow("build.yml", ending=ending)
    ci, run = bench.vendor.ci, await start(bench)
    assert (run.status, run.conclusion) == (CiStatus.COMPLETED, "failure")
    assert await ci.log(bench.place, run.id) == "broken\n"
    [artifact] = await ci.artifacts(bench.place, run.id)
    file = io.BytesIO()
    await ci.download(bench.place, run.id, artifact, file, max_bytes=1000)
    assert file.getvalue().startswith(b"PK")
    models.WorkflowRun.model_validate(bench.automation.runs[int(run.id)])


@pytest.mark.parametrize("kind", ["dropped", "bad-gateway"])
async def test_a_hook_is_registered_although_github_failed(bench: GitHubBench, kind: str) -> None:
    bench.site.server.faults.add(Fault(kind, "POST", "/hooks"))  # type: ignore[arg-type]
    hook = await bench.vendor.hooks.add_hook(bench.place, URL, "a-secret", (HookEvent.PUSH,))
    models.Hook.model_validate(bench.site.server.automations.notices(bench.repository).hooks[int(hook.id)])


async def test_what_else_a_hook_tells_of_is_left_out(bench: GitHubBench) -> None:
    hooks = bench.vendor.hooks
    hook = await hooks.add_hook(bench.place, URL, "a-secret", tuple(HookEvent))
    row = bench.site.server.automations.notices(bench.repository).hooks[int(hook.id)]
    assert row["events"] == ["pull_request", "push", "status", "workflow_run"]
    row["events"] = ["star", "workflow_run"]
    [told] = await hooks.hooks(bench.place)
    assert told.events == (HookEvent.RUN,)


async def test_a_description_longer_than_github_takes_is_cut(bench: GitHubBench) -> None:
    hooks = bench.vendor.hooks
    await hooks.set_status(bench.place, bench.head, CommitStatus("a", "success", "x" * 300))
    [status] = await hooks.statuses(bench.place, bench.head)
    assert status.description == "x" * 140
