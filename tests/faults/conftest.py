"""What the crash point tests share: a fast folder, the world that they all start from, and their count."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crash_points.cases import Base

_MEMORY = Path("/dev/shm")
"""Files in memory: thousands of folders are copied, and none has to outlive the tests."""


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    memory = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="slipway-crash-points-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def _bases() -> list[Base]:
    return []


@pytest.fixture
async def base(scratch: Path, _bases: list[Base]) -> Base:
    if not _bases:
        _bases.append(await Base.build(scratch / "base"))
    return _bases[0]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = [
        value
        for outcome in ("passed", "failed")
        for result in terminalreporter.stats.get(outcome, ())
        for name, value in result.user_properties
        if name == "crash_points" and result.when == "call"
    ]
    if counts:
        points, tries = (sum(each) for each in zip(*counts, strict=True))
        terminalreporter.write_line(f"crash points: {len(counts)} operations, {points} calls, {tries} faults")
