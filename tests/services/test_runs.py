"""Runs on a real repository with real processes: what they do, and how they end when things go wrong."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.kernel.errors import IllegalTransition, NotFound, Permanent
from shared.domain.pipelines.definition import ArtifactSpec
from shared.domain.pipelines.errors import PipelineSuperseded, RunLimitReached
from shared.domain.pipelines.model import (
    BuildResult,
    BuildStatus,
    ModuleType,
    PipelineRun,
    PipelineStatus,
    RunSlots,
    RunStatus,
    StepStatus,
    TestCounts,
    slots_id,
)
from shared.domain.pipelines.tree import steps_of
from shared.ports.source_host import UnknownBranch
from shared.ports.store import Query
from shared.services.pipelines import PipelineDraft
from shared.services.unit import AlreadyDone
from tests.support.once import Request
from tests.support.pipelines import WORKER, Platform, a_definition, a_platform, a_step
from tests.support.source import ANN, MALLORY

PATH = ".slipway/pipelines/orders.yml"
JUNIT = '<testsuite><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = a_platform(tmp_path)
    yield made
    await made.source.aclose()


async def result_of(platform: Platform, run: PipelineRun) -> BuildResult:
    return await platform.runs.build_result(ANN, run.build_result or "")


async def active(platform: Platform, run: PipelineRun) -> list[str]:
    slots = await platform.source.units.find(ANN, RunSlots, slots_id(run.repository))
    return [slot.run for slot in slots.active] if slots else []


async def test_a_started_run_is_pending_with_the_first_number_of_its_day(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    run = await platform.started(pipeline)
    assert (run.status, run.build_number, run.reason) == (RunStatus.PENDING, "20260611.1", "ci")
    assert await platform.runs.get(ANN, run.id) == run
    assert await active(platform, run) == [run.id]
    assert {"RunPipeline", "RunOverdue", "PipelineRunStarted"} <= set(await platform.source.events())


async def test_a_run_goes_through_every_step_and_keeps_what_it_made(platform: Platform) -> None:
    definition = a_definition(
        a_step("greet", 'echo "hello $SLIPWAY_MODULE"; echo careful >&2; cat app.py'),
        a_step("make", "mkdir dist reports; echo content > dist/app.txt; cp junit.xml reports/a.xml"),
        artifacts=[ArtifactSpec("app", "dist/app.txt")],
        test_reports=["reports/*.xml"],
    )
    pipeline = await platform.a_defined_pipeline(
        definition, {"app.py": "the code\n", "junit.xml": JUNIT.replace("<failure/>", "")}
    )
    run = await platform.execute(await platform.started(pipeline))
    assert (run.status, run.outcome_reason, run.attempt) == (RunStatus.SUCCEEDED, "", 1)
    assert [step.status for step in steps_of(run)] == [StepStatus.SUCCEEDED] * 2
    assert [step.exit_code for step in steps_of(run)] == [0, 0]
    result = await result_of(platform, run)
    assert result.status is BuildStatus.SUCCEEDED
    assert result.tests == TestCounts(2, 2, 0, 0)
    (artifact,) = result.artifacts
    assert await platform.blobs.read("acme", artifact.ref) == b"content\n"
    assert artifact.digest == f"sha256:{artifact.ref.rpartition('/')[2]}"
    log = await platform.log(run)
    assert "hello module-orders" in log
    assert "the code" in log
    page = await platform.runs.logs(ANN, run.id, limit=1000)
    (careful,) = [line for line in page.lines if line.text == "careful"]
    assert (careful.level, careful.stage, careful.step) == ("warning", "build", "greet")
    assert not list(platform.work.iterdir())


async def test_both_facts_of_the_end_are_in_one_batch_with_the_result(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    run = await platform.execute(await platform.started(pipeline))
    documents = await platform.source.store.changes(0, 10_000)
    place = {(d.kind, d.body.get("eventType")): i for i, d in enumerate(documents)}
    built, completed = place["outbox", "BuildCompleted"], place["outbox", "PipelineRunCompleted"]
    assert abs(place["build-result", None] - completed) < 6
    assert abs(built - completed) == 1
    payload = await platform.payload("PipelineRunCompleted", run)
    assert payload["status"] == "succeeded"
    assert payload["buildResultId"] == f"build-{run.build_result}"


async def test_a_failing_test_fails_the_run_and_its_report_is_still_counted(platform: Platform) -> None:
    definition = a_definition(
        a_step("test", "mkdir reports; cp junit.xml reports/; exit 3"),
        a_step("never", "echo unreachable"),
        artifacts=[ArtifactSpec("app", "app.txt")],
        test_reports=["reports/*.xml"],
    )
    pipeline = await platform.a_defined_pipeline(definition, {"junit.xml": JUNIT})
    run = await platform.execute(await platform.started(pipeline))
    assert run.status is RunStatus.FAILED
    assert run.outcome_reason.startswith("build/all/test:")
    assert [step.status for step in steps_of(run)] == [StepStatus.FAILED, StepStatus.SKIPPED]
    result = await result_of(platform, run)
    assert (result.status, result.tests, result.artifacts) == (BuildStatus.FAILED, TestCounts(2, 1, 1, 0), ())
    assert [(each.step, each.code) for each in result.exit_codes] == [("build/all/test", 3)]
    assert "unreachable" not in await platform.log(run)


async def test_an_optional_step_may_fail(platform: Platform) -> None:
    definition = a_definition(a_step("lint", "exit 1", optional=True), a_step("build", "echo built"))
    run = await platform.execute(await platform.started(await platform.a_defined_pipeline(definition)))
    assert run.status is RunStatus.SUCCEEDED
    assert (await result_of(platform, run)).status is BuildStatus.PARTIALLY_SUCCEEDED


async def test_a_missing_artifact_fails_the_run_with_a_clear_line(platform: Platform) -> None:
    definition = a_definition(a_step("one"), artifacts=[ArtifactSpec("app", "dist/app.tar.gz")])
    run = await platform.execute(await platform.started(await platform.a_defined_pipeline(definition)))
    assert (run.status, run.outcome_reason) == (RunStatus.FAILED, "missing_artifact: app")
    assert "did not make the artifact app" in await platform.log(run)


@pytest.mark.parametrize(
    "script", ["ln -s /etc/passwd out", "mkdir out", "ln -s nowhere out", "ln -s out out"]
)
async def test_an_artifact_that_is_no_file_of_the_checkout_is_missing(
    platform: Platform, script: str
) -> None:
    definition = a_definition(a_step("one", script), artifacts=[ArtifactSpec("app", "out")])
    run = await platform.execute(await platform.started(await platform.a_defined_pipeline(definition)))
    assert run.outcome_reason == "missing_artifact: app"


async def test_a_broken_report_is_a_line_in_the_log_and_nothing_more(platform: Platform) -> None:
    definition = a_definition(
        a_step("one", "echo '<html/>' > a.xml; ln -s /etc/passwd b.xml"), test_reports=["*.xml"]
    )
    run = await platform.execute(await platform.started(await platform.a_defined_pipeline(definition)))
    assert run.status is RunStatus.SUCCEEDED
    assert (await result_of(platform, run)).tests is None
    log = await platform.log(run)
    assert "a.xml is not counted" in log
    assert "b.xml is not counted" in log


async def test_coverage_is_read_from_a_cobertura_report(platform: Platform) -> None:
    text = """echo '<?xml version="1.0"?><coverage version="7" line-rate="0.8125" x="1">' > c.xml"""
    definition = a_definition(a_step("one", text), coverage_report="c.xml")
    run = await platform.execute(await platform.started(await platform.a_defined_pipeline(definition)))
    assert (await result_of(platform, run)).coverage == 0.8125


async def test_an_invalid_definition_fails_the_run_with_every_problem(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    repository = await platform.source.repositories.get(ANN, pipeline.repository)
    await platform.push(repository, {PATH: "version: 3\nmodule: m\nmoduleType: Rocket\nstages: []\n"})
    run = await platform.execute(await platform.started(pipeline))
    assert (run.status, run.outcome_reason) == (RunStatus.FAILED, "invalid_definition")
    log = await platform.log(run)
    assert "version: say" in log
    assert "moduleType: use one of" in log
    assert "stages: give a list" in log
    await platform.runs.release_slot(WORKER, await platform.payload("PipelineRunCompleted", run))
    assert (await platform.pipelines.get(ANN, pipeline.id)).status is PipelineStatus.INVALID
    again = await platform.pipelines.generate(
        ANN, PipelineDraft(repository.id, pipeline.module, pipeline.module_type), None
    )
    assert again.status is PipelineStatus.GENERATED


async def test_a_commit_without_a_definition_runs_the_default(platform: Platform) -> None:
    repository = await platform.a_repository({"app.py": "x = 1\n"})
    head = await platform.push(repository, {"other.py": "y = 1\n"})
    run = await platform.runs.start_for_check(
        ANN, repository=repository, pull_request_id="1" * 32, branch="main", sha=head, once=None
    )
    done = await platform.execute(run)
    assert done.status is RunStatus.SUCCEEDED, await platform.log(run)
    assert "this is the default for a Microservice" in await platform.log(run)
    pipeline = await platform.pipelines.get(ANN, run.pipeline)
    assert (pipeline.committed, pipeline.commit_sha, pipeline.version) == (False, None, 1)
    assert (await platform.payload("PipelineRunCompleted", run))["pullRequestId"] == f"pr-{'1' * 32}"


async def test_a_check_of_the_same_commit_is_the_same_run(platform: Platform) -> None:
    repository = await platform.a_repository({"app.py": "x = 1\n"})
    head = await platform.push(repository, {"other.py": "y = 1\n"})

    async def check(sha: str, key: str) -> PipelineRun:
        return await platform.runs.start_for_check(
            ANN, repository=repository, pull_request_id="1" * 32, branch="main", sha=sha, once=Request(key)
        )

    first = await check(head, "a")
    assert (await check(head, "b")).id == first.id
    await platform.execute(first)
    await platform.runs.release_slot(WORKER, await platform.payload("PipelineRunCompleted", first))
    assert (await check(head, "c")).status is RunStatus.SUCCEEDED
    assert await active(platform, first) == []
    other = await check(await platform.push(repository, {"z.py": ""}), "d")
    assert (first.build_number, other.build_number) == ("20260611.1", "20260611.2")


async def test_an_unknown_commit_is_our_trouble_and_not_the_authors_failure(platform: Platform) -> None:
    repository = await platform.a_repository()
    run = await platform.runs.start_for_check(
        ANN, repository=repository, pull_request_id="1" * 32, branch="main", sha="f" * 40, once=None
    )
    done = await platform.execute(run)
    assert done.status is RunStatus.ERRORED
    assert "cannot be read" in done.outcome_reason
    assert (await result_of(platform, done)).status is BuildStatus.FAILED


async def test_a_step_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    platform = a_platform(tmp_path, step_timeout=0.5)
    run = await platform.execute(
        await platform.started(await platform.a_defined_pipeline(a_definition(a_step("slow", "sleep 60"))))
    )
    assert (run.status, run.verdict) == (RunStatus.FAILED, "timed_out")
    assert "took over 0.5 seconds" in steps_of(run)[0].message
    await platform.source.aclose()


async def test_a_run_out_of_time_starts_no_further_step(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition(a_step("one"), a_step("two")))
    run = await platform.started(pipeline)
    platform.source.clock.advance(hours=2)
    done = await platform.execute(run)
    assert done.verdict == "timed_out"
    assert [step.status for step in steps_of(done)] == [StepStatus.SKIPPED] * 2


async def test_a_cancel_in_the_middle_of_a_step_ends_its_processes(
    platform: Platform, tmp_path: Path
) -> None:
    alive = tmp_path / "alive"
    script = f"echo started; while :; do date > {alive}; sleep 0.1; done"
    pipeline = await platform.a_defined_pipeline(a_definition(a_step("loop", script), a_step("next")))
    run = await platform.started(pipeline)
    execution = asyncio.create_task(platform.execute(run))
    while not alive.exists():
        await asyncio.sleep(0.02)
    cancelled = await platform.runs.cancel(ANN, run.id, None)
    assert cancelled.status is RunStatus.CANCELLED
    done = await asyncio.wait_for(execution, 10)
    assert done == cancelled
    assert done.outcome_reason == "cancelled by user:ann"
    assert [step.status for step in steps_of(done)] == [StepStatus.CANCELLED, StepStatus.SKIPPED]
    assert (await result_of(platform, done)).status is BuildStatus.CANCELED
    before = alive.stat().st_mtime_ns
    await asyncio.sleep(0.3)
    assert alive.stat().st_mtime_ns == before
    with pytest.raises(IllegalTransition):
        await platform.runs.cancel(ANN, run.id, None)


async def test_a_run_cancelled_before_a_worker_came_is_never_run(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition(a_step("one", "echo ran")))
    run = await platform.started(pipeline)
    await platform.runs.cancel(ANN, run.id, Request("c"))
    done = await platform.execute(run)
    assert (done.status, done.attempt) == (RunStatus.CANCELLED, 0)
    assert await platform.log(run) == ""
    with pytest.raises(AlreadyDone):
        await platform.runs.cancel(ANN, run.id, Request("c"))


async def test_a_finished_run_gives_its_slot_back_once(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    first, second = await platform.started(pipeline), await platform.started(pipeline)
    await platform.execute(first)
    payload = await platform.payload("PipelineRunCompleted", first)
    for _ in range(2):
        await platform.runs.release_slot(WORKER, payload)
    assert await active(platform, second) == [second.id]


async def test_a_repository_has_only_so_many_active_runs(tmp_path: Path) -> None:
    platform = a_platform(tmp_path, run_limit=2)
    pipeline = await platform.a_defined_pipeline(a_definition())
    first, _ = [await platform.started(pipeline) for _ in range(2)]
    with pytest.raises(RunLimitReached) as caught:
        await platform.started(pipeline)
    assert caught.value.facts["limit"] == 2
    await platform.runs.cancel(ANN, first.id, None)
    await platform.runs.release_slot(WORKER, await platform.payload("PipelineRunCompleted", first))
    assert (await platform.started(pipeline)).build_number == "20260611.3"
    await platform.source.aclose()


async def test_numbers_have_no_gap_when_many_start_at_once(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    runs = await asyncio.gather(*(platform.started(pipeline) for _ in range(12)))
    assert sorted(int(run.build_number.partition(".")[2]) for run in runs) == list(range(1, 13))
    assert sorted(await active(platform, runs[0])) == sorted(run.id for run in runs)


async def test_the_same_request_starts_one_run(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    once = Request("k")
    await platform.runs.start(ANN, pipeline.id, branch=None, reason="ci", once=once)
    with pytest.raises(AlreadyDone):
        await platform.runs.start(ANN, pipeline.id, branch=None, reason="ci", once=once)
    assert len([e for e in await platform.source.events() if e == "RunPipeline"]) == 1


async def test_a_superseded_pipeline_is_not_run(platform: Platform) -> None:
    repository = await platform.a_repository()
    old = await platform.a_pipeline(repository)
    await platform.pipelines.generate(ANN, PipelineDraft(repository.id, "orders", ModuleType.WORKER), None)
    with pytest.raises(PipelineSuperseded):
        await platform.started(old)


async def test_unknown_things_and_foreign_things_are_not_found(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    run = await platform.started(pipeline)
    with pytest.raises(UnknownBranch):
        await platform.runs.start(ANN, pipeline.id, branch="nowhere", reason="ci", once=None)
    for reading in (
        platform.runs.get(MALLORY, run.id),
        platform.runs.cancel(MALLORY, run.id, None),
        platform.runs.logs(MALLORY, run.id),
        platform.runs.build_result(MALLORY, run.id),
        platform.runs.start(MALLORY, pipeline.id, branch=None, reason="ci", once=None),
    ):
        with pytest.raises(NotFound):
            await reading


async def test_runs_are_listed_by_pipeline_and_by_repository_newest_first(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    runs = [await platform.started(pipeline) for _ in range(3)]
    for where in ({"pipeline": pipeline.id}, {"repository": pipeline.repository}):
        query = Query("run", where, order="created_at", descending=True, limit=2)
        page = await platform.runs.list(ANN, query)
        assert [run.id for run in page.items] == [runs[2].id, runs[1].id]
        assert page.next is not None


async def test_a_run_that_nobody_finished_is_given_up(platform: Platform) -> None:
    pipeline = await platform.a_defined_pipeline(a_definition())
    run = await platform.started(pipeline)
    overdue = await platform.payload("RunOverdue", run)
    done = await platform.runs.expire(WORKER, overdue)
    assert (done.status, done.outcome_reason) == (
        RunStatus.ERRORED,
        "no worker finished it by its deadline",
    )
    assert (await platform.runs.expire(WORKER, overdue)) == done
    assert (await platform.execute(run)) == done


async def test_a_command_that_names_no_run_is_refused_for_good(platform: Platform) -> None:
    with pytest.raises(Permanent):
        await platform.runs.execute(WORKER, {"pipelineRunId": "run-x"})
