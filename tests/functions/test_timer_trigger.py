"""Timer functions: on schedule, on start, past due, retried."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from local.checkpoints import Checkpoints
from local.ncrontab import BadSchedule
from local.timer_trigger import TimerTrigger
from local.worker import Function, Retry
from shared.adapters.embedded.system import SystemClock
from shared.ports.clock import Clock
from tests.functions.conftest import APPS
from tests.functions.engine import FakeEngine, timer_function, until
from tests.support.app import SteppingClock
from tests.support.host import serving

HOURLY = "0 0 * * * *"


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Checkpoints]:
    opened = Checkpoints(tmp_path / "timers.db")
    yield opened
    opened.close()


@contextlib.asynccontextmanager
async def ticking(
    function: Function, engine: FakeEngine, clock: Clock, checkpoints: Checkpoints
) -> AsyncIterator[None]:
    trigger = TimerTrigger(function, engine, clock, checkpoints)
    pump = asyncio.create_task(trigger.run())
    try:
        yield
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        await trigger.drain(1)


def past_due(engine: FakeEngine) -> list[bool]:
    return [json.loads(request)["IsPastDue"] for request in engine.ran]


async def test_a_timer_runs_at_its_times(checkpoints: Checkpoints) -> None:
    engine = FakeEngine()
    async with ticking(timer_function("* * * * * *"), engine, SystemClock(), checkpoints):
        await until(lambda: len(engine.ran) == 2)
    assert past_due(engine) == [False, False]
    last = json.loads(engine.ran[1])["ScheduleStatus"]["Last"]
    assert datetime.fromisoformat(last).microsecond < 500_000


async def test_a_timer_waits_for_its_first_time_unless_told_to_run_at_the_start(
    checkpoints: Checkpoints,
) -> None:
    engine = FakeEngine()
    async with ticking(timer_function(HOURLY), engine, SteppingClock(), checkpoints):
        await asyncio.sleep(0.05)
    assert engine.ran == []
    async with ticking(timer_function(HOURLY, at_start=True), engine, SteppingClock(), checkpoints):
        await until(lambda: engine.ran)
    assert past_due(engine) == [False]


async def test_a_time_that_passed_while_nothing_ran_is_made_good_once(checkpoints: Checkpoints) -> None:
    engine, clock = FakeEngine(), SteppingClock()
    async with ticking(timer_function(HOURLY), engine, clock, checkpoints):
        await asyncio.sleep(0.02)
    clock.advance(hours=3)
    for _ in range(2):
        async with ticking(timer_function(HOURLY), engine, clock, checkpoints):
            await asyncio.sleep(0.05)
    assert past_due(engine) == [True]


async def test_another_schedule_has_missed_nothing(checkpoints: Checkpoints) -> None:
    engine, clock = FakeEngine(), SteppingClock()
    async with ticking(timer_function(HOURLY), engine, clock, checkpoints):
        await asyncio.sleep(0.02)
    clock.advance(hours=3)
    async with ticking(timer_function("0 0 0 * * *"), engine, clock, checkpoints):
        await asyncio.sleep(0.05)
    assert engine.ran == []


async def test_a_failed_run_is_retried_by_the_policy_and_the_schedule_goes_on(
    checkpoints: Checkpoints,
) -> None:
    engine = FakeEngine(failures=5)
    function = timer_function("* * * * * *", retry=Retry(1, 0, 0))
    async with ticking(function, engine, SystemClock(), checkpoints):
        await until(lambda: len(engine.ran) == 4)
    assert [each.count for each in engine.attempts] == [0, 1, 0, 1]


def test_a_schedule_that_cannot_be_read_is_refused_when_the_host_starts(checkpoints: Checkpoints) -> None:
    with pytest.raises(BadSchedule):
        TimerTrigger(timer_function("every day"), FakeEngine(), SteppingClock(), checkpoints)


async def test_a_function_sees_that_it_is_retried(tmp_path: Path) -> None:
    async with serving(tmp_path, app_directory=APPS / "small"):
        seen = sys.modules["function_app"].SEEN
        seen.fail_ticks = 2
        await until(lambda: len(seen.ticks) == 3)
    assert seen.ticks == [{"past_due": False, "retry": count} for count in (0, 1, 2)]
