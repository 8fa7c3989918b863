"""The test of the test: a bug between the app and its ports is found by the scenario that should find it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.crash_points.cases import Base, Prepared, problems
from tests.faults.crash_points.operations import Request
from tests.faults.crash_points.planted import BUGS, Bug, ForgetfulClient
from tests.faults.crash_points.scenarios import SCENARIOS


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
async def test_a_planted_bug_is_found(
    bug: Bug, base: Base, scratch: Path, record_property: Callable[[str, object], None]
) -> None:
    scenario = next(scenario for scenario in SCENARIOS if str(scenario) == bug.scenario)
    sound = await Prepared.build(base, scenario, scratch / "planted")
    for fault in sound.faults(every=True):
        tried = sound
        if bug.forgets_keys:
            assert isinstance(sound.operation, Request)
            tried = replace(sound, operation=ForgetfulClient(sound.operation))
        if await problems(tried, fault, bug.plant):
            record_property("planted_bug", (bug.name, f"{bug.scenario}: {fault}"))
            return
    raise AssertionError(f"nobody has found that {bug.name}")
