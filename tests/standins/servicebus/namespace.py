"""The queues of one namespace, its clock and its timers. Everything in here runs on the server's loop."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.standins.identity import Caller, Issuer
from tests.standins.servicebus.broker import Queue
from tests.standins.servicebus.entities import Settings
from tests.standins.servicebus.faults import Faults

DEAD: Final = "/$deadletterqueue"
RESOURCE: Final = "https://servicebus.azure.net"


class Namespace:
    """Names are case-insensitive."""

    def __init__(self, catalogue: Iterable[Mapping[str, Any]], issuer: Issuer) -> None:
        self._issuer = issuer
        self.faults = Faults()
        self._ahead = 0.0
        self._queues: dict[str, Queue] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        for each in catalogue:
            self.add_queue(each)

    def caller(self, token: str) -> Caller:
        """Whose token it is; raises TokenRefused."""
        return self._issuer.verify(token, RESOURCE)

    def now(self) -> float:
        """Seconds since 1970, by the machine's clock and as far ahead of it as the control calls said."""
        return time.time() + self._ahead

    def add_queue(self, given: Mapping[str, Any]) -> None:
        settings = Settings.read(given)
        self._queues[settings.name.lower()] = Queue(settings, self.now)

    def find(self, path: str) -> Queue | None:
        """A queue, or `queue/$DeadLetterQueue`."""
        name = path.lower()
        if name.endswith(DEAD):
            queue = self._queues.get(name.removesuffix(DEAD))
            return None if queue is None else queue.dead
        return self._queues.get(name)

    def touch(self, queue: Queue) -> None:
        """Something changed: give away what can be given, and wake again when the next thing is due."""
        whole = self._queues[(queue.source or queue.settings.name).lower()]
        for part in (whole, whole.dead):
            assert part is not None
            part.pump()
            name = part.settings.name
            if (timer := self._timers.pop(name, None)) is not None:
                timer.cancel()
            if (moment := part.next_moment()) is not None:
                wait = max(0.0, moment - self.now())
                self._timers[name] = asyncio.get_running_loop().call_later(wait, self.touch, part)

    def advance(self, seconds: float) -> None:
        """Move the clock on, and do what has become due."""
        self._ahead += seconds
        for queue in self._queues.values():
            self.touch(queue)

    def clear(self) -> None:
        """No message, no lock, no fault; links stay attached."""
        self.faults.clear()
        for queue in self._queues.values():
            queue.clear()
            self.touch(queue)

    def stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
