"""How a walk tells what it does: each route with its answer, what happens between, and a table at the end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.demos.examples import Example
from local.meter import Meter


@dataclass(frozen=True, slots=True)
class Row:
    """One route of the table; `seconds` is the call alone."""

    example: Example
    status: int
    seconds: float


@dataclass
class Telling:
    """Prints as it goes. `routes` is how many the walk is going to take."""

    meter: Meter
    routes: int
    rows: list[Row] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def route(self, row: Row, path: str, answer: Mapping[str, Any]) -> None:
        """A route that was answered as promised, with the fields that the contract shows."""
        self.rows.append(row)
        spent = self.meter.since_last()
        cost = "" if spent is None else f"; {spent}"
        told = f"{row.status} in {row.seconds:.2f} s{cost}"
        print(f"\n{len(self.rows):3}/{self.routes}  {row.example.method} {path}  {told}", flush=True)
        for name, promised in row.example.answer.items():
            print(f"        {name:<22} {_shown(answer[name], promised)}", flush=True)

    def between(self, what: str, text: str) -> None:
        """A step that no example shows, or how far one is that has to be waited for."""
        print(f"        - {what}: {text}", flush=True)

    def table(self) -> None:
        """Every route by the contract's number, and how long all of it took."""
        rows = sorted(self.rows, key=lambda row: row.example.number)
        routes = [f"{row.example.method} {row.example.path}" for row in rows]
        width = max(map(len, routes))
        print(f"\n   #  {'route':<{width}}  status  time")
        for row, route in zip(rows, routes, strict=True):
            print(f"  {row.example.number:2}  {route:<{width}}  {row.status:<6}  {row.seconds:.2f} s  ok")
        spent = time.monotonic() - self.started
        print(
            f"\n{len(rows)} of {self.routes} routes answer as the contract says, in {spent:.1f} s.",
            flush=True,
        )


def _shown(told: Any, promised: Any) -> str:
    """On one line, and of an object only what the contract shows of it."""
    if isinstance(promised, Mapping):
        if {"name", "status"} == promised.keys():
            return f"{told['name']} {told['status']}"
        return ", ".join(f"{name} {_shown(told[name], each)}" for name, each in promised.items())
    if isinstance(promised, list):
        return ", ".join(_shown(each, promised[0]) for each in told)
    return str(told)
