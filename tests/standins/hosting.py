"""Runs a stand-in on a loop of its own, in a thread or as a process. Knows nothing of any service."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Any

STOP_SECONDS = 10


@contextmanager
def hosted[T](factory: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Enter what `factory` makes in the loop of a thread of its own, and leave it there when the block ends.

    The factory is called in that loop. What it yields is handed over as it is: call only what is safe from
    another thread. An error on the way in or out is raised here.
    """
    entered: Future[tuple[T, Callable[[], object]]] = Future()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        async with factory() as server:
            entered.set_result((server, partial(loop.call_soon_threadsafe, stop.set)))
            await stop.wait()

    with ThreadPoolExecutor(1, "stand-in") as thread:
        ended = thread.submit(lambda: asyncio.run(serve()))
        either: list[Future[Any]] = [entered, ended]
        wait(either, return_when=FIRST_COMPLETED)
        if not entered.done():
            ended.result()
        server, stop = entered.result()
        try:
            yield server
        finally:
            stop()
            ended.result(STOP_SECONDS)


async def until_told_to_stop(announcement: str = "") -> None:
    """Return on SIGTERM or SIGINT: the body of a stand-in that is a process of its own.

    The announcement is printed once such a signal is heard: who reads it may send one at once.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    if announcement:
        print(announcement, flush=True)  # noqa: T201 - whoever started the process reads this
    await stop.wait()
