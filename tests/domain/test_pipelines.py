"""Runs as pure data: what each report does, and that nothing moves once a run is over."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.kernel.errors import IllegalTransition
from shared.domain.pipelines import lifecycle
from shared.domain.pipelines.errors import RunLimitReached
from shared.domain.pipelines.events import ordered_run, run_ordered
from shared.domain.pipelines.lifecycle import (
    begin,
    cancel,
    error,
    finish,
    step_finished,
    step_started,
)
from shared.domain.pipelines.model import (
    RUN,
    BuildCounter,
    BuildStatus,
    PipelineRun,
    RunSlots,
    RunStatus,
    Slot,
    StepStatus,
    TestCounts,
)
from shared.domain.pipelines.results import Produced
from shared.domain.pipelines.tree import fold, materialise, steps_of
from tests.support.pipelines import AT, a_definition, a_run, a_step

S = StepStatus
BAD = (S.FAILED, S.CANCELLED, S.ERRORED)


def begun(*optional: bool) -> PipelineRun:
    """A running run with one step per flag."""
    steps = [a_step(f"s{index}", optional=flag) for index, flag in enumerate(optional or (False, False))]
    run = a_run()
    return begin(run, materialise(run.id, a_definition(*steps)), AT).entity


def stepped(run: PipelineRun, *outcomes: StepStatus) -> PipelineRun:
    """The first steps start and end so."""
    for step, outcome in zip(steps_of(run), outcomes, strict=False):
        run = step_started(run, 1, step.id, AT)
        run = step_finished(run, 1, step.id, outcome, AT, exit_code=0 if outcome is S.SUCCEEDED else 1)
    return run


def statuses(run: PipelineRun) -> list[StepStatus]:
    return [step.status for step in steps_of(run)]


@pytest.mark.parametrize(
    ("members", "group"),
    [
        ([], S.SUCCEEDED),
        ([S.PENDING, S.PENDING], S.PENDING),
        ([S.PENDING, S.SUCCEEDED], S.RUNNING),
        ([S.RUNNING, S.FAILED], S.RUNNING),
        ([S.SKIPPED, S.SKIPPED], S.SKIPPED),
        ([S.SKIPPED, S.SUCCEEDED], S.SUCCEEDED),
        ([S.SUCCEEDED, S.FAILED, S.SKIPPED], S.FAILED),
        ([S.FAILED, S.CANCELLED], S.CANCELLED),
        ([S.CANCELLED, S.ERRORED, S.SUCCEEDED], S.ERRORED),
    ],
)
def test_a_group_is_as_bad_as_its_worst_member(members: list[StepStatus], group: StepStatus) -> None:
    assert fold(members) is group


@pytest.mark.parametrize(
    ("outcomes", "seen", "status", "result"),
    [
        ((S.SUCCEEDED, S.SUCCEEDED), [S.SUCCEEDED, S.SUCCEEDED], RunStatus.SUCCEEDED, BuildStatus.SUCCEEDED),
        ((S.FAILED,), [S.FAILED, S.SKIPPED], RunStatus.FAILED, BuildStatus.FAILED),
        ((S.SUCCEEDED, S.FAILED), [S.SUCCEEDED, S.FAILED], RunStatus.FAILED, BuildStatus.FAILED),
        ((S.ERRORED,), [S.ERRORED, S.SKIPPED], RunStatus.ERRORED, BuildStatus.FAILED),
        ((S.SUCCEEDED,), [S.SUCCEEDED, S.SKIPPED], RunStatus.SUCCEEDED, BuildStatus.SUCCEEDED),
    ],
)
def test_the_worst_step_decides_the_run_and_the_rest_is_skipped(
    outcomes: tuple[StepStatus, ...], seen: list[StepStatus], status: RunStatus, result: BuildStatus
) -> None:
    ending = finish(stepped(begun(), *outcomes), 1, Produced(), AT)
    assert ending is not None
    assert statuses(ending.run.entity) == seen
    assert ending.run.entity.status is status
    assert ending.build_result.status is result
    assert ending.run.entity.build_result == ending.build_result.id


def test_the_failing_step_is_named_with_its_exit_code() -> None:
    ending = finish(stepped(begun(), S.FAILED), 1, Produced(), AT)
    assert ending is not None
    assert ending.run.entity.outcome_reason == "build/all/s0: exit code 1"


def test_an_optional_step_may_fail_and_leaves_a_partial_success() -> None:
    ending = finish(stepped(begun(True, False), S.FAILED, S.SUCCEEDED), 1, Produced(), AT)
    assert ending is not None
    assert ending.run.entity.status is RunStatus.SUCCEEDED
    assert ending.build_result.status is BuildStatus.PARTIALLY_SUCCEEDED
    assert ending.run.entity.phases[0].status is S.SUCCEEDED


def test_an_optional_step_that_could_not_be_run_still_stops_the_run() -> None:
    ending = finish(stepped(begun(True, False), S.ERRORED), 1, Produced(), AT)
    assert ending is not None
    assert ending.run.entity.status is RunStatus.ERRORED


def test_a_named_failure_fails_a_run_whose_steps_all_succeeded() -> None:
    run = stepped(begun(), S.SUCCEEDED, S.SUCCEEDED)
    ending = finish(run, 1, Produced(), AT, failure="missing_artifact: app")
    assert ending is not None
    assert ending.run.entity.status is RunStatus.FAILED
    assert ending.run.entity.outcome_reason == "missing_artifact: app"
    assert ending.run.entity.verdict == "failed"


def test_a_run_out_of_time_says_so() -> None:
    ending = finish(stepped(begun(), S.FAILED), 1, Produced(), AT, failure="timed_out")
    assert ending is not None
    assert ending.run.entity.verdict == "timed_out"


def test_both_facts_leave_with_the_end_of_a_run() -> None:
    produced = Produced(tests=TestCounts(3, 2, 1, 0))
    ending = finish(stepped(begun(), S.SUCCEEDED, S.SUCCEEDED), 1, produced, AT)
    assert ending is not None
    built, completed = ending.run.events
    assert (built.type, completed.type) == ("BuildCompleted", "PipelineRunCompleted")
    assert built.payload["tests"] == {"total": 3, "passed": 2, "failed": 1, "skipped": 0}
    assert completed.payload["status"] == "succeeded"
    assert completed.payload["buildResultId"] == f"build-{ending.build_result.id}"


def test_a_step_is_running_between_its_two_reports() -> None:
    run = begun()
    first = steps_of(run)[0]
    run = step_started(run, 1, first.id, AT)
    assert statuses(run) == [S.RUNNING, S.PENDING]
    assert run.phases[0].status is S.RUNNING
    assert step_started(run, 1, first.id, AT) is run
    done = step_finished(run, 1, first.id, S.SUCCEEDED, AT, exit_code=0)
    assert steps_of(done)[0].finished_at == AT
    assert step_finished(done, 1, first.id, S.FAILED, AT) is done


def test_a_report_from_an_attempt_that_was_taken_over_is_ignored() -> None:
    first = begun()
    second = begin(first, first.phases, AT).entity
    step = steps_of(second)[0]
    assert second.attempt == 2
    assert step_started(second, 1, step.id, AT) is second
    running = step_started(second, 2, step.id, AT)
    assert step_finished(running, 1, step.id, S.FAILED, AT) is running
    assert finish(running, 1, Produced(), AT) is None


def test_a_step_left_running_at_the_end_is_one_we_do_not_know_about() -> None:
    run = begun()
    ending = finish(step_started(run, 1, steps_of(run)[0].id, AT), 1, Produced(), AT)
    assert ending is not None
    assert ending.run.entity.status is RunStatus.ERRORED


@pytest.mark.parametrize("status", list(RunStatus))
def test_cancel_wins_in_every_state_that_is_not_terminal(status: RunStatus) -> None:
    run = a_run(status=status, attempt=1)
    if status in RUN.terminal:
        with pytest.raises(IllegalTransition):
            cancel(run, "user:ann", AT)
        return
    ending = cancel(run, "user:ann", AT)
    assert ending.run.entity.status is RunStatus.CANCELLED
    assert ending.build_result.status is BuildStatus.CANCELED
    assert [event.type for event in ending.run.events] == ["BuildCompleted", "PipelineRunCompleted"]


@pytest.mark.parametrize("status", sorted(RUN.terminal))
def test_a_terminal_run_never_changes(status: RunStatus) -> None:
    run = a_run(status=status, attempt=1, phases=begun().phases)
    step = steps_of(run)[0]
    assert step_started(run, 1, step.id, AT) is run
    assert step_finished(run, 1, step.id, S.SUCCEEDED, AT) is run
    assert finish(run, 1, Produced(), AT) is None
    assert error(run, "late", AT) is None
    with pytest.raises(IllegalTransition):
        begin(run, (), AT)


REPORTS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 4), st.integers(1, 2)),
        st.tuples(st.sampled_from(["succeeded", "failed", "errored"]), st.integers(0, 4), st.integers(1, 2)),
        st.tuples(st.sampled_from(["cancel", "again", "finish"]), st.just(0), st.integers(1, 2)),
    ),
    max_size=40,
)


@given(reports=REPORTS, optional=st.tuples(*[st.booleans()] * 5))
def test_any_order_of_reports_and_cancels_ends_in_one_consistent_final_state(
    reports: list[tuple[str, int, int]], optional: tuple[bool, ...]
) -> None:
    run = begun(*optional)
    fresh = run.phases
    for report, index, attempt in [*reports, ("finish", 0, 1), ("finish", 0, run.attempt), ("give up", 0, 0)]:
        before, step = run, steps_of(run)[index]
        match report:
            case "start":
                run = step_started(run, attempt, step.id, AT)
            case "cancel" if not run.is_terminal:
                run = cancel(run, "user:ann", AT).run.entity
            case "again" if not run.is_terminal:
                run = begin(run, fresh, AT).entity
            case "finish":
                ending = finish(run, attempt, Produced(), AT)
                run = ending.run.entity if ending else run
            case "give up":
                ending = error(run, "nobody finished it", AT)
                run = ending.run.entity if ending else run
            case "succeeded" | "failed" | "errored":
                run = step_finished(run, attempt, step.id, StepStatus(report), AT)
        if before.is_terminal:
            assert run is before
    assert run.is_terminal
    assert run.build_result is not None
    assert not {S.PENDING, S.RUNNING} & {*statuses(run), *(phase.status for phase in run.phases)}
    bad = [
        step
        for step in steps_of(run)
        if step.status in BAD and not (step.optional and step.status is S.FAILED)
    ]
    if run.status is RunStatus.SUCCEEDED:
        assert not bad
    if run.status is RunStatus.FAILED:
        assert [step.status for step in bad] == [S.FAILED]
    for phase in run.phases:
        assert phase.status is fold(task.status for task in phase.tasks)


def test_numbers_of_a_day_follow_each_other() -> None:
    counter, first = lifecycle.next_build(BuildCounter(id="c", pipeline="p", day="20260611"))
    _, second = lifecycle.next_build(counter)
    assert (first, second) == ("20260611.1", "20260611.2")


def test_the_run_limit_is_named_when_it_is_reached() -> None:
    slots = RunSlots(id="s")
    for name in ("a", "b"):
        slots = lifecycle.take_slot(slots, Slot(name, "20260611.1", AT, "user:ann"), 2)
    with pytest.raises(RunLimitReached, match="2 active runs") as caught:
        lifecycle.take_slot(slots, Slot("c", "20260611.3", AT, "user:ann"), 2)
    assert caught.value.facts["limit"] == 2
    freed = lifecycle.free_slot(lifecycle.free_slot(slots, "a"), "a")
    assert [slot.run for slot in freed.active] == ["b"]


def test_the_command_to_run_names_everything_about_the_run() -> None:
    run = a_run(pull_request="0" * 32)
    command, *reminders, overdue = run_ordered(run)
    assert all(each.session == command.session and each.not_before for each in reminders)
    assert all(ordered_run("acme", each.payload) == run for each in reminders)
    assert ordered_run("acme", command.payload) == run
    assert ordered_run("acme", overdue.payload) == run
    assert overdue.not_before == run.deadline_at + timedelta(seconds=60)
    assert command.session != overdue.session
