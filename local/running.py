"""Invocations in flight: started here, counted, and given time to finish when the host stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Running:
    """A set of tasks. What one of them raises is kept and raised again by `check`, never lost."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._broken: BaseException | None = None
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish[R](self, work: Coroutine[Any, Any, R]) -> R:
        """Run it and give its result. It runs on when the caller is cancelled; `drain` waits for it."""
        result: R = await asyncio.shield(self.start(work))
        return result

    def check(self) -> None:
        """Raise what a task raised, if any did."""
        if self._broken is not None:
            raise self._broken

    async def one_ended(self) -> None:
        """Return when a task has ended since the last call."""
        await self._changed.wait()
        self._changed.clear()
        self.check()

    async def drain(self, patience: float) -> None:
        """Wait for all to end; cancel those that still run after `patience` seconds."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        self.check()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = self._broken or error
        self._changed.set()
