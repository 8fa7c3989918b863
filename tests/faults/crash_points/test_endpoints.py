"""Every request that changes something has exactly one effect and one answer, wherever its process dies and
whatever a port does to it.

`SLIPWAY_CRASH_POINTS=all` tries every way to fail at every call, which takes some minutes.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.crash_points.cases import Base, Prepared, report, tally
from tests.faults.crash_points.scenarios import SCENARIOS, Scenario, changing_endpoints

ENDPOINTS = [scenario for scenario in SCENARIOS if " /" in scenario.of]


def test_every_endpoint_that_changes_something_is_tried() -> None:
    assert {scenario.of for scenario in ENDPOINTS} == changing_endpoints()


@pytest.mark.parametrize("scenario", ENDPOINTS, ids=str)
async def test_a_request_has_one_effect_and_one_answer(
    scenario: Scenario, base: Base, scratch: Path, record_property: Callable[[str, object], None]
) -> None:
    prepared = await Prepared.build(base, scenario, scratch / "endpoint")
    faults = list(prepared.faults(every=os.environ.get("SLIPWAY_CRASH_POINTS") == "all"))
    record_property("crash_points", tally(prepared, faults))
    wrong = await report(prepared, faults)
    assert not wrong, wrong
