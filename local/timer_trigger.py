"""Fires a function by its schedule, and remembers when it last ran: a missed time is made good once."""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from local.checkpoints import Checkpoints
from local.ncrontab import Schedule
from local.protos import TypedData
from local.running import Running
from local.triggers import Engine, with_retries
from local.worker import Attempt, Function, Outcome
from shared.ports.clock import Clock

LONGEST_SLEEP: Final = 30.0
"""Seconds; the wall clock may be set, or the machine sleep, while we wait for a distant time."""

log = logging.getLogger("slipway.host")


@dataclass
class TimerTrigger:
    """One schedule. Raises BadSchedule when made with one that cannot be read."""

    function: Function
    engine: Engine
    clock: Clock
    checkpoints: Checkpoints
    running: Running = field(default_factory=Running)
    schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        self.schedule = Schedule.parse(str(self.function.trigger["schedule"]))

    async def run(self) -> None:
        last, due = self._remembered()
        if due is not None and due <= self.clock.now():
            last = await self._run(last, due, past_due=True)
        elif self.function.trigger.get("runOnStartup"):
            last = await self._run(last, due, past_due=False)
        while True:
            due = self.schedule.next(self.clock.now())
            self._remember(last, due)
            await self._sleep_until(due)
            last = await self._run(last, due, past_due=False)

    async def fire(self, given: str) -> Outcome:
        last, due = self._remembered()
        return await self.engine.invoke(self.function, self._request(last, due, past_due=False))

    async def drain(self, patience: float) -> None:
        await self.running.drain(patience)

    async def _sleep_until(self, due: datetime) -> None:
        while True:
            left = (due - self.clock.now()).total_seconds()
            if left <= 0:
                return
            await asyncio.sleep(min(left, LONGEST_SLEEP))

    async def _run(self, last: datetime | None, due: datetime | None, *, past_due: bool) -> datetime:
        """Run it once. A failure is logged; the schedule goes on."""
        started = self.clock.now()
        request = self._request(last, due, past_due=past_due)
        outcome = await with_retries(
            self.function, lambda attempt: self.running.finish(self._turn(request, started, attempt))
        )
        if not outcome.ok:
            log.error("%s failed: %s", self.function.name, outcome.error)
        return started

    async def _turn(self, request: TypedData, started: datetime, attempt: Attempt) -> Outcome:
        outcome = await self.engine.invoke(self.function, request, None, attempt)
        self._remember(started, self.schedule.next(self.clock.now()))
        return outcome

    def _request(self, last: datetime | None, due: datetime | None, *, past_due: bool) -> TypedData:
        told = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": {
                "Last": last.isoformat() if last else "0001-01-01T00:00:00+00:00",
                "LastUpdated": last.isoformat() if last else "0001-01-01T00:00:00+00:00",
                "Next": (due or self.schedule.next(self.clock.now())).isoformat(),
            },
            "IsPastDue": past_due,
        }
        return TypedData(json=json.dumps(told))

    def _remembered(self) -> tuple[datetime | None, datetime | None]:
        """When it last ran and when it was due next, as far as anyone knows."""
        kept = json.loads(self.checkpoints.find(f"timer:{self.function.name}") or "{}")
        last, due = (kept.get(name) for name in ("last", "next"))
        if kept.get("schedule") != self.schedule.text:
            # Another schedule's next time says nothing about what this one missed.
            due = None
        return datetime.fromisoformat(last) if last else None, datetime.fromisoformat(due) if due else None

    def _remember(self, last: datetime | None, due: datetime) -> None:
        kept = {
            "last": last.isoformat() if last else None,
            "next": due.isoformat(),
            "schedule": self.schedule.text,
        }
        self.checkpoints.put(f"timer:{self.function.name}", json.dumps(kept))
