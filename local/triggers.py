"""What triggers without a URL have in common: the engine they call, and retrying by the function's policy."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from local.protos import TypedData
from local.worker import FIRST, Attempt, Function, Outcome

log = logging.getLogger("slipway.host")


class Engine(Protocol):
    """What runs functions that answer nobody."""

    async def invoke(
        self,
        function: Function,
        data: TypedData,
        trigger_metadata: Mapping[str, TypedData] | None = None,
        attempt: Attempt = FIRST,
    ) -> Outcome: ...


class Trigger(Protocol):
    """One function and what fires it."""

    @property
    def function(self) -> Function: ...

    async def run(self) -> None:
        """Fire the function whenever it is due, until cancelled."""

    async def fire(self, given: str) -> Outcome:
        """Fire it once by hand; `given` is the text of the trigger's value, empty for a made-up one."""

    async def drain(self, patience: float) -> None:
        """After `run` was cancelled: wait for what still runs, and cancel it after `patience` seconds."""


async def with_retries(function: Function, invoke: Callable[[Attempt], Awaitable[Outcome]]) -> Outcome:
    """Invoke until it succeeds or the function's retry policy is used up; without a policy, once."""
    policy = function.retry
    outcome = await invoke(FIRST)
    failures = 1
    while not outcome.ok:
        log.warning("%s failed (attempt %d): %s", function.name, failures, outcome.error)
        if policy is None or not policy.allows(failures):
            break
        await asyncio.sleep(policy.delay(failures))
        outcome = await invoke(Attempt(failures, policy.max_count, outcome.error))
        failures += 1
    return outcome
