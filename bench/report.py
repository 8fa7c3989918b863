"""What every part of a run says: lines to read, and bars that hold or do not."""

import importlib.metadata
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PACKAGES = (
    "azure-functions",
    "azure-functions-runtime",
    "fastapi",
    "starlette",
    "SQLAlchemy",
    "pydantic",
    "PyJWT",
    "cryptography",
    "uvicorn",
    "httptools",
    "uvloop",
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure of DESIGN and what it has to be."""

    what: str
    value: float
    sense: Literal[">=", "<="]
    limit: float

    @property
    def holds(self) -> bool:
        return self.value >= self.limit if self.sense == ">=" else self.value <= self.limit

    def __str__(self) -> str:
        mark = "ok    " if self.holds else "MISSED"
        return f"{mark} {self.what:<62} {self.value:6.2f}x  {self.sense} {self.limit}x"


@dataclass(slots=True)
class Report:
    """One part of a run."""

    title: str
    lines: list[str] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def show(self) -> None:
        print(
            f"\n{self.title}",
            *(f"  {line}" for line in [*self.lines, *map(str, self.bars)]),
            sep="\n",
            flush=True,
        )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, figures to the right."""
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, *rows]
    ]


def machine() -> list[str]:
    """Where the figures come from. The pressure says how much others wanted the same cores."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return [
        f"{_cpu()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}",
        ", ".join(versions[:6]),
        ", ".join(versions[6:]),
        f"others want the cores {_pressure()} of the time (10 s average)",
    ]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _pressure() -> str:
    path = Path("/proc/pressure/cpu")
    return path.read_text().split()[1].removeprefix("avg10=") + " %" if path.exists() else "an unknown part"
