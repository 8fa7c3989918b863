"""A fake engine: remembers what it was asked to run, and answers as told."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.protos import TypedData
from local.worker import FIRST, Attempt, Function, Outcome, Retry

QUEUE_FUNCTION = Function(
    "on_message", "1", ({"type": "serviceBusTrigger", "name": "msg", "queueName": "work"},)
)


def feed_function(retry: Retry | None = None, batch: int = 2) -> Function:
    binding = {"type": "cosmosDBTrigger", "name": "documents", "maxItemsPerInvocation": batch}
    return Function("on_change", "2", (binding,), retry)


def timer_function(schedule: str, *, at_start: bool = False, retry: Retry | None = None) -> Function:
    binding = {"type": "timerTrigger", "name": "timer", "schedule": schedule, "runOnStartup": at_start}
    return Function("on_time", "3", (binding,), retry)


@dataclass
class FakeEngine:
    """`failures` invocations fail first. `pause` is seconds, `ran` is what each was given."""

    failures: int = 0
    pause: float = 0.0
    ran: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    async def invoke(
        self,
        function: Function,
        data: TypedData,
        trigger_metadata: Mapping[str, TypedData] | None = None,
        attempt: Attempt = FIRST,
    ) -> Outcome:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.pause)
        finally:
            self.running -= 1
        kind = data.WhichOneof("data") or ""
        self.ran.append(getattr(data, kind))
        self.attempts.append(attempt)
        self.metadata.append(
            {name: value.WhichOneof("data") for name, value in (trigger_metadata or {}).items()}
        )
        if self.failures > 0:
            self.failures -= 1
            return Outcome(ok=False, error="RuntimeError: told to fail")
        return Outcome(ok=True)


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Return as soon as the condition holds; fail when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
