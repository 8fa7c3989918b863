"""Every message has exactly one effect, wherever its worker dies and however often it is delivered;
so have the relay and the sweep."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.crash_points.cases import Base, Prepared, report, tally
from tests.faults.crash_points.scenarios import SCENARIOS, Scenario, handled_events

CHORES = [scenario for scenario in SCENARIOS if scenario.of in ("sweep", "relay")]
MESSAGES = [scenario for scenario in SCENARIOS if " /" not in scenario.of and scenario not in CHORES]


def test_every_event_that_a_worker_handles_is_tried() -> None:
    assert {scenario.of for scenario in MESSAGES} == handled_events()


@pytest.mark.parametrize("scenario", [*MESSAGES, *CHORES], ids=str)
async def test_a_message_has_one_effect(
    scenario: Scenario, base: Base, scratch: Path, record_property: Callable[[str, object], None]
) -> None:
    prepared = await Prepared.build(base, scenario, scratch / "message")
    faults = list(prepared.faults(every=os.environ.get("SLIPWAY_CRASH_POINTS") == "all"))
    record_property("crash_points", tally(prepared, faults))
    wrong = await report(prepared, faults)
    assert not wrong, wrong
