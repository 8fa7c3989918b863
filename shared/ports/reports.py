"""Test reports as counts. The reports come from a build and are not trusted."""

from collections.abc import Callable
from typing import Protocol


class TestTotals(Protocol):
    """What a report counts; `failed` includes errors."""

    @property
    def total(self) -> int: ...
    @property
    def passed(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def skipped(self) -> int: ...


type CountTests = Callable[[bytes], TestTotals]
"""Counts one report, JUnit XML or TRX; raises Invalid where the bytes are none."""
