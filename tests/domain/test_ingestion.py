"""What a CI system's report makes of a run, wherever the run is."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.kernel.errors import Invalid
from shared.domain.pipelines.ingestion import (
    BuildReport,
    OfRun,
    Reported,
    RunInHand,
    check_report,
    is_external,
    take_report,
)
from shared.domain.pipelines.model import BuildStatus, RunStatus, TestCounts
from tests.support.pipelines import AT, MODULE, a_run


def a_report(**changes: Any) -> BuildReport:
    report = BuildReport(
        origin=OfRun(a_run().id),
        module=MODULE,
        status=BuildStatus.SUCCEEDED,
        tests=None,
        coverage=None,
        artifacts=(),
        logs_uri="",
        attempt=1,
    )
    return replace(report, **changes)


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        (BuildStatus.SUCCEEDED, RunStatus.SUCCEEDED),
        (BuildStatus.PARTIALLY_SUCCEEDED, RunStatus.SUCCEEDED),
        (BuildStatus.FAILED, RunStatus.FAILED),
        (BuildStatus.CANCELED, RunStatus.CANCELLED),
    ],
)
def test_a_run_that_nobody_took_up_is_ended_by_its_report(status: BuildStatus, ended: RunStatus) -> None:
    taken = take_report(a_run(), None, a_report(status=status), AT)
    assert isinstance(taken, Reported)
    assert taken.run is not None
    assert (taken.run.entity.status, taken.run.entity.attempt) == (ended, 1)
    assert taken.run.entity.build_result == taken.result.entity.id


@pytest.mark.parametrize(
    "run",
    [
        a_run(status=RunStatus.RUNNING, attempt=1),
        a_run(status=RunStatus.SUCCEEDED, attempt=1),
        a_run(status=RunStatus.CANCELLED),
    ],
    ids=lambda run: f"{run.status} {run.attempt}",
)
def test_a_run_that_a_worker_took_up_or_that_is_over_takes_no_report(run: Any) -> None:
    assert not is_external(run)
    with pytest.raises(RunInHand):
        take_report(run, None, a_report(attempt=2), AT)


@pytest.mark.parametrize("total", [0, 2, 4, 100])
def test_counts_have_to_add_up(total: int) -> None:
    with pytest.raises(Invalid) as refused:
        check_report(a_report(tests=TestCounts(total, 1, 1, 1)))
    assert [problem.field for problem in refused.value.problems] == ["tests.total"]
    check_report(a_report(tests=TestCounts(3, 1, 1, 1)))
