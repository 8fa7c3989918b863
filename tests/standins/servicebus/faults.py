"""What shall go wrong next, as a test or the control port says. Counted down, so that a retry meets none."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class On(StrEnum):
    """Where it strikes: a link that opens, a message that comes, a settlement, a request to `$management`."""

    ATTACH = "attach"
    SEND = "send"
    SETTLE = "settle"
    MANAGE = "manage"


class Does(StrEnum):
    """`DROP` cuts the connection before anything is done, `DROP_AFTER` when it is done but not yet said."""

    BUSY = "busy"
    DENY = "deny"
    DETACH = "detach"
    DROP = "drop"
    DROP_AFTER = "drop-after"
    LOSE_LOCK = "lose-lock"


@dataclass
class Fault:
    on: On
    does: Does
    queue: str = ""
    times: int = 1

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "Fault":
        return cls(On(given["on"]), Does(given["does"]), given.get("queue", ""), int(given.get("times", 1)))


class Faults:
    def __init__(self) -> None:
        self._planned: deque[Fault] = deque()

    def add(self, fault: Fault) -> None:
        self._planned.append(fault)

    def clear(self) -> None:
        self._planned.clear()

    def strike(self, on: On, queue: str) -> Does | None:
        """What goes wrong here now, if anything."""
        for fault in self._planned:
            if fault.on == on and fault.queue.lower() in {"", queue.lower()}:
                fault.times -= 1
                if fault.times <= 0:
                    self._planned.remove(fault)
                return fault.does
        return None
