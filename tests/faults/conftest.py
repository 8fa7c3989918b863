"""What the fault tests share: a folder on a disk, for processes that are killed for good; and of the crash
points a fast one, with the world that they all start from."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crash_points.cases import Base

_MEMORY = Path("/dev/shm")
"""Files in memory: thousands of folders are copied, and none has to outlive the tests."""


@pytest.fixture
def disk() -> Iterator[Path]:
    """Where a commit waits for the disk, as it does for a user; `tmp_path` may lie in memory."""
    with tempfile.TemporaryDirectory(prefix="slipway-faults-") as folder:
        yield Path(folder)


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
