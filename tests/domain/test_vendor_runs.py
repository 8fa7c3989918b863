"""Runs at a vendor as pure decisions: whose they are, what its words mean, how its jobs become stages."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.pipelines.generators.inputs import path_on
from shared.domain.pipelines.ingestion import Reported, take_report
from shared.domain.pipelines.lifecycle import cancel, error
from shared.domain.pipelines.model import (
    RUN,
    BuildStatus,
    ModuleType,
    PipelineDefinition,
    PipelineRun,
    PipelineStatus,
    RunStatus,
    StepStatus,
)
from shared.domain.pipelines.results import Produced
from shared.domain.pipelines.tree import steps_of
from shared.domain.pipelines.vendor import (
    MAX_STEPS,
    VERDICTS,
    adopted,
    concluded,
    mirrored,
    next_look,
    phases_of,
    runs_at_vendor,
    verdict_of,
)
from shared.domain.source.model import Provider
from shared.ports.ci_host import CiJob, CiStatus, CiStep
from tests.domain.test_ingestion import a_report
from tests.support.pipelines import AT, MODULE, a_run

S = StepStatus
GITHUB = "success failure cancelled timed_out skipped neutral action_required startup_failure stale"
AZURE = "succeeded partiallySucceeded failed canceled"


def a_pipeline(provider: Provider) -> PipelineDefinition:
    return PipelineDefinition(
        id="1",
        tenant="acme",
        project="proj-x",
        repository="2",
        module=MODULE,
        module_type=ModuleType.WORKER,
        target_feed=None,
        definition_path=path_on(provider, MODULE),
        branch="main",
        commit_sha=None,
        status=PipelineStatus.GENERATED,
        template_version=3,
        content_hash="",
        version=1,
        committed=True,
        created_by="user:ann",
        created_at=AT,
        updated_at=AT,
        provider=provider,
    )


def begun(**changes: Any) -> PipelineRun:
    run = replace(a_run(), **changes)
    return adopted(run, "17", "https://ci.example.com/17", "b" * 40, AT).entity


def a_step(name: str, conclusion: str | None = None, status: CiStatus = CiStatus.COMPLETED) -> CiStep:
    return CiStep(name, status, conclusion, AT, AT if status is CiStatus.COMPLETED else None)


def a_job(*steps: CiStep, conclusion: str | None = "success", id: str = "1") -> CiJob:
    status = CiStatus.COMPLETED if conclusion else CiStatus.RUNNING
    return CiJob(id, "Build", status, conclusion, AT, AT if conclusion else None, steps)


@pytest.mark.parametrize("provider", list(Provider))
def test_a_run_is_the_vendors_where_its_commit_has_the_vendors_file(provider: Provider) -> None:
    pipeline = a_pipeline(provider)
    assert runs_at_vendor(pipeline, has_definition=True) is (provider is not Provider.EMBEDDED)
    assert not runs_at_vendor(pipeline, has_definition=False)


@pytest.mark.parametrize("word", [*GITHUB.split(), *AZURE.split()])
def test_every_word_of_a_vendor_has_a_verdict_that_a_running_run_can_come_to(word: str) -> None:
    verdict = VERDICTS[word]
    assert RUN.next(RunStatus.RUNNING, verdict.verb) in RUN.terminal
    ended = concluded(begun(), word, "", (), Produced(), AT)
    assert ended.build_result.status is verdict.build
    assert (ended.run.entity.outcome_reason == "") is (verdict.verb == "succeed")


@pytest.mark.parametrize("word", [None, "", "odd"])
def test_a_word_that_is_not_known_is_no_verdict_on_the_build(word: str | None) -> None:
    verdict = verdict_of(word)
    assert (verdict.verb, verdict.step, verdict.build) == ("error", S.ERRORED, BuildStatus.FAILED)
    assert f"'{word or ''}'" in verdict.reason


def test_a_job_becomes_a_stage_with_its_steps() -> None:
    running = a_job(a_step("a", "success"), a_step("b", None, CiStatus.RUNNING), conclusion=None)
    lost = a_job(a_step("c", "success"), conclusion="failure", id="2")
    first, second, third = phases_of("0" * 32, [running, lost, a_job(conclusion="skipped", id="3")])
    assert [step.status for step in first.tasks[0].steps] == [S.SUCCEEDED, S.RUNNING]
    assert (first.status, second.status, third.status) == (S.RUNNING, S.FAILED, S.SKIPPED)
    assert [step.name for step in third.tasks[0].steps] == ["Build"]
    ids = [step.id for phase in (first, second, third) for task in phase.tasks for step in task.steps]
    assert len(set(ids)) == 4


def test_no_more_steps_are_shown_than_a_run_can_hold() -> None:
    jobs = [a_job(*(a_step("s", "success") for _ in range(300)), id=str(number)) for number in range(3)]
    assert sum(len(task.steps) for phase in phases_of("0" * 32, jobs) for task in phase.tasks) == MAX_STEPS


def test_the_same_sight_again_changes_nothing() -> None:
    phases = phases_of("0" * 32, [a_job(a_step("a", "success"))])
    seen = mirrored(begun(), phases, AT)
    assert mirrored(seen, phases, AT + timedelta(seconds=9)) is seen


def test_what_the_branch_had_by_then_is_what_was_built() -> None:
    run = begun()
    assert (run.status, run.attempt, run.commit_sha) == (RunStatus.RUNNING, 1, "b" * 40)
    assert concluded(run, "success", "", (), Produced(), AT).build_result.commit_sha == "b" * 40
    assert concluded(run, "success", "c" * 40, (), Produced(), AT).run.entity.commit_sha == "c" * 40


def test_a_failure_names_its_step_and_leaves_none_open() -> None:
    steps = (a_step("a", "failure"), a_step("b", None, CiStatus.QUEUED), a_step("c", None, CiStatus.RUNNING))
    phases = phases_of(begun().id, [a_job(*steps, conclusion="failure")])
    run = concluded(begun(), "failure", "", phases, Produced(), AT).run.entity
    assert run.outcome_reason == "Build/steps/a: failure"
    assert [step.status for step in steps_of(run)] == [S.FAILED, S.SKIPPED, S.ERRORED]


def test_what_ends_here_first_has_the_vendor_stop() -> None:
    for ending in (cancel(begun(), "user:ann", AT), error(begun(), "late", AT)):
        assert ending is not None
        assert ending.run.events[-1].type == "CancelHostRun"
        assert ending.run.events[-1].payload["hostRun"] == "17"
    # A worker may have begun it there and died before it said so.
    stop = cancel(a_run(), "user:ann", AT).run.events[-1]
    assert (stop.type, stop.payload["hostRun"]) == ("CancelHostRun", None)
    ours = cancel(replace(a_run(), attempt=1), "user:ann", AT)
    assert all(event.type != "CancelHostRun" for event in ours.run.events)


def test_looks_grow_apart_within_bounds_and_as_the_vendor_wishes() -> None:
    waits = [next_look(turn).total_seconds() for turn in range(1, 200)]
    assert (waits[0], waits[-1]) == (5, 30)
    assert waits == sorted(waits)
    assert next_look(1, at_least=60).total_seconds() == 60
    assert next_look(1, at_least=1e9).total_seconds() == 300


def test_a_report_ends_a_run_that_its_vendor_has_begun() -> None:
    taken = take_report(begun(), None, a_report(), AT)
    assert isinstance(taken, Reported)
    assert taken.run is not None
    assert (taken.run.entity.status, taken.run.entity.attempt) == (RunStatus.SUCCEEDED, 1)
