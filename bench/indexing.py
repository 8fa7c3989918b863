"""One cold start, in a process of its own: prints the seconds from importing an app to its last function.

Imports nothing of either app before the clock starts.
"""

import asyncio
import os
import sys
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from local.worker import Worker


async def start(app_directory: Path) -> float:
    worker = Worker(new_id=lambda: uuid4().hex)
    started = perf_counter()
    await worker.start(app_directory)
    seconds = perf_counter() - started
    worker.stop()
    return seconds


def main() -> None:
    os.sched_setaffinity(0, {0})
    print(asyncio.run(start(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
