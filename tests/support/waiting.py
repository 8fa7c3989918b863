"""Waiting for what other processes do, and seeing whether they run."""

import asyncio
import time
from collections.abc import Callable

from shared.adapters import processes


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    row = next((row for row in processes.rows_of_ps() if row.pid == pid), None)
    return row is not None and not row.ended
