"""Faults on order, as data: what goes wrong, for which requests, how often."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tests.standins.cosmos.errors import Refused

type Mode = Literal[
    "429", "449", "503", "408", "410", "401", "403", "404", "500",
    "dropped-before", "dropped-after-commit", "timeout-after-commit", "slow",
]  # fmt: skip

_MESSAGES = {
    "429": ("TooManyRequests", 3200, "Request rate is large. More Request Units may be needed, so no changes "
            "were made. Please retry this request later. Learn more: http://aka.ms/cosmosdb-error-429"),
    "449": ("RetryWith", 0, "Conflicting request to resource has been attempted. Retry to avoid conflicts."),
    "503": ("ServiceUnavailable", 20003, "Service is currently unavailable, please retry after a while."),
    "408": ("RequestTimeout", 0, "Request timed out."),
    "410": ("Gone", 1002, "The requested resource is no longer available at the server."),
    "401": ("Unauthorized", 0, "The input authorization token can't serve the request."),
    "403": ("Forbidden", 5301, "Request blocked by Auth stand-in."),
    "404": ("NotFound", 1002, "The read session is not available for the input session token."),
    "500": ("InternalServerError", 0, "Unknown server error occurred when processing this request."),
}  # fmt: skip


@dataclass
class Fault:
    """`mode` is a status to answer without doing anything, or what happens to the connection.

    dropped-before: the connection ends and nothing was done. dropped-after-commit: it was done, and no
    answer comes. timeout-after-commit: it was done, and the answer comes after `seconds`. slow: it is done
    after them. `kind` (read, create, upsert, replace, delete, batch, query, query-plan, feed, read-feed,
    account, database, container, pkranges), `method` and `path` (a regular expression) say which requests,
    None any; `after` lets that many of them pass first, and `times` is how often it happens then.
    """

    mode: str
    kind: str | None = None
    method: str | None = None
    path: str | None = None
    times: int = 1
    after: int = 0
    seconds: float = 1.0
    retry_after_ms: int = 10
    substatus: int | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        modes = get_args(Mode.__value__)
        if self.mode not in modes:
            raise ValueError(f"The mode {self.mode!r} is none of {', '.join(modes)}.")

    def fits(self, kind: str, method: str, path: str) -> bool:
        return (
            self.kind in {None, kind}
            and self.method in {None, method}
            and (self.path is None or re.search(self.path, path) is not None)
        )

    def refusal(self) -> Refused | None:
        """The answer of a fault that has one."""
        if self.mode not in _MESSAGES:
            return None
        code, substatus, message = _MESSAGES[self.mode]
        refused = Refused(
            int(self.mode), code, message, substatus if self.substatus is None else self.substatus
        )
        if self.mode in {"429", "449"}:
            refused.headers["x-ms-retry-after-ms"] = str(self.retry_after_ms)
        return refused


@dataclass
class Faults:
    """Those that are still to happen, in the order in which they were ordered."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, mode: str, **match: Any) -> Fault:
        """Order one. What is returned counts in `hits` how often it has happened."""
        fault = Fault(mode, **match)
        self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        self.waiting.clear()

    def take(self, kind: str, method: str, path: str) -> Fault | None:
        """The one that happens to this request."""
        for fault in self.waiting:
            if not fault.fits(kind, method, path):
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
