"""Fires a function for each batch of the store's change feed, in commit order, and never skips one.

A batch that fails is tried by the function's retry policy and, when that is used up, from the start again.
"""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from local.checkpoints import Checkpoints
from local.protos import TypedData
from local.running import Running
from local.triggers import Engine, with_retries
from local.worker import Attempt, Function, Outcome
from shared.domain.kernel.errors import Transient
from shared.ports.store import Document, Feed, Stretch

SOONEST: Final = 0.005
LATEST: Final = 0.2
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries of a batch whose retry policy is used up."""

log = logging.getLogger("slipway.host")


@runtime_checkable
class Waking(Protocol):
    """A feed that can say when to look again."""

    async def wait(self, timeout: float) -> object:
        """Return when something was committed, or after `timeout` seconds."""


@dataclass
class FeedTrigger:
    """One reader of the feed. The first start of a function reads from the beginning."""

    function: Function
    engine: Engine
    feed: Feed
    checkpoints: Checkpoints
    longest_pause: float = LONGEST_PAUSE
    running: Running = field(default_factory=Running)

    async def run(self) -> None:
        limit = int(self.function.trigger.get("maxItemsPerInvocation") or 100)
        position = self.checkpoints.find(self._name) or ""
        idle = SOONEST
        while True:
            try:
                stretch = await self.feed.read(position, limit)
            except Transient as error:
                log.warning("%s cannot read the change feed: %s", self.function.name, error)
                stretch, idle = Stretch([], position), LATEST
            if not stretch.documents:
                await self._idle(idle)
                idle = min(idle * 2, LATEST)
                continue
            await self._deliver(stretch)
            position, idle = stretch.position, SOONEST

    async def fire(self, given: str) -> Outcome:
        return await self.engine.invoke(self.function, TypedData(string=given or "[]"))

    async def drain(self, patience: float) -> None:
        await self.running.drain(patience)

    @property
    def _name(self) -> str:
        return f"feed:{self.function.name}"

    async def _idle(self, seconds: float) -> None:
        if isinstance(self.feed, Waking):
            await self.feed.wait(LATEST)
        else:
            await asyncio.sleep(seconds)

    async def _deliver(self, stretch: Stretch) -> None:
        data = TypedData(string=json.dumps([rendered(document) for document in stretch.documents]))
        pause = LATEST
        while True:
            outcome = await with_retries(
                self.function,
                lambda attempt: self.running.finish(self._turn(data, stretch.position, attempt)),
            )
            if outcome.ok:
                return
            size = len(stretch.documents)
            log.error("%s failed on a batch of %d: %s", self.function.name, size, outcome.error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.longest_pause)

    async def _turn(self, data: TypedData, position: str, attempt: Attempt) -> Outcome:
        outcome = await self.engine.invoke(self.function, data, None, attempt)
        if outcome.ok:
            self.checkpoints.put(self._name, position)
        return outcome


def rendered(document: Document) -> dict[str, Any]:
    """A document as Cosmos delivers it: the stored fields, and its own beside them."""
    return {
        "id": document.id,
        "tenantId": document.tenant,
        "root": document.root,
        "kind": document.kind,
        "body": document.body,
        "_etag": document.etag,
        "_lsn": document.sequence,
    }
