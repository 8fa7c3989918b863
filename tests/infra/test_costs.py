"""The estimate of what an idle stack costs, and that no resource was left out of it."""

from typing import Any

import pytest

from infra.app_settings import DRIFT_MINUTES, SWEEP_MINUTES
from infra.costs import FREE, PRICED, floor, report
from infra.recording import Recording
from tests.infra.checks import Functions
from tests.infra.variants import VARIANTS


def monthly(recording: Recording) -> float:
    return sum(line.monthly for line in floor(recording))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_resource_is_priced_or_known_to_be_free(variant: str, recordings: dict[str, Recording]) -> None:
    kinds = {each.type.removeprefix("azure-native:") for each in recordings[variant].resources if each.custom}
    assert sorted(kinds - PRICED.keys() - FREE) == []
    assert PRICED.keys().isdisjoint(FREE)


def test_an_idle_development_stack_stays_below_a_lunch_a_week(recordings: dict[str, Recording]) -> None:
    assert monthly(recordings["dev"]) < 40


@pytest.mark.parametrize("variant", ["dev", "prod", "everything"])
def test_a_budget_leaves_room_above_the_floor(variant: str, recordings: dict[str, Recording]) -> None:
    """A budget that the idle stack uses up says nothing when something is wrong."""
    (budget,) = recordings[variant].of("consumption:Budget")
    assert monthly(recordings[variant]) < 0.8 * budget.inputs["amount"]


@pytest.mark.parametrize(
    ("name", "minutes"), [("source_sweep", SWEEP_MINUTES), ("gitops_sweep", DRIFT_MINUTES)]
)
def test_a_sweep_is_priced_as_often_as_it_runs(
    functions: dict[str, Functions], name: str, minutes: int
) -> None:
    (sweep,) = (each for each in functions["dev"] if each.name == name)
    assert sweep.trigger["schedule"] == f"0 */{minutes} * * * *"


def test_the_report_says_how_large_the_program_is(recordings: dict[str, Recording]) -> None:
    told: list[Any] = report(recordings["dev"])
    assert any(line.startswith("longest chain") for line in told)
    assert any("edges" in line for line in told)
