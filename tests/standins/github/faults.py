"""Faults on order, and what GitHub says when it refuses. As data: the server acts on them."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

DOCUMENTATION = "https://docs.github.com/rest"


class Refused(Exception):
    """An answer that is an error, in GitHub's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *errors: dict[str, str] | str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {
            "message": message,
            "documentation_url": DOCUMENTATION,
            "status": str(status),
        }
        if errors:
            self.body["errors"] = list(errors)
        self.headers = headers or {}


def not_found() -> Refused:
    return Refused(404, "Not Found")


def invalid(message: str) -> Refused:
    return Refused(422, message)


@dataclass
class Fault:
    """What befalls the next `times` requests of this method and path (a regular expression), after as many as
    `after` have passed.

    secondary: 403 with Retry-After of `seconds`. throttled: 429 with it. bad-gateway: 502, nothing done.
    unavailable: 503, nothing done. dropped: the connection ends before anything is done. lost: it is done,
    and the connection ends. slow: it is done after `seconds`. redirect: 301 to `to`.
    """

    kind: Literal[
        "secondary", "throttled", "bad-gateway", "unavailable", "dropped", "lost", "slow", "redirect"
    ]
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    after: int = 0
    seconds: float = 0.0
    to: str = ""
    hits: int = 0

    def fits(self, method: str, path: str) -> bool:
        return re.fullmatch(self.method, method) is not None and re.search(self.path, path) is not None


@dataclass
class Faults:
    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> Fault:
        """What is returned counts in `hits` how often it has happened."""
        self.waiting.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        for fault in self.waiting:
            if not fault.fits(method, path):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.hits += 1
            fault.times -= 1
            if fault.times <= 0:
                self.waiting.remove(fault)
            return fault
        return None
