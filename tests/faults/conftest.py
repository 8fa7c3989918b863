"""What the crash point tests share: a fast folder, and the world that they all start from."""

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
