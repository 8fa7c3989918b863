"""One server process of a run, pinned to a core: an app on the local host, or the reference on bare uvicorn.

python -m bench.serve CORE host APP_DIRECTORY     settings in SLIPWAY_*
python -m bench.serve CORE uvicorn MODULE:APP     port in SLIPWAY_PORT
"""

import asyncio
import os
import sys
from pathlib import Path

import uvicorn
import uvloop

from local.host import Host
from shared.settings import Settings


async def on_host(app_directory: Path) -> None:
    async with Host(Settings.load(), app_directory) as host:
        await host.serve()


def on_uvicorn(application: str) -> None:
    """As a reviewer would run it in production, with one worker: the C parser, the C loop, no access log."""
    port = int(os.environ["SLIPWAY_PORT"])
    uvicorn.run(
        application, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


def main() -> None:
    core, kind, target = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    if kind == "host":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(on_host(Path(target)))
    else:
        on_uvicorn(target)


if __name__ == "__main__":
    main()
