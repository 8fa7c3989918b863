"""`python -m tests.standins COMMAND ...`: run a command of Slipway against stand-ins for Azure.

`{meter}` in the command becomes the URL of what the document store was asked.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.standins.azurite import CannotRun
from tests.standins.cloud import cloud


async def run(command: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="slipway-standins-") as folder:
        async with cloud(Path(folder)) as made:
            process = await asyncio.create_subprocess_exec(
                *(part.replace("{meter}", made.meter_url) for part in command),
                env={**os.environ, **made.environment},
            )
            loop = asyncio.get_running_loop()
            for sign in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(sign, process.send_signal, sign)
            return await process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standins", description=__doc__)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="as in `slipway demo`")
    options = parser.parse_args()
    if not options.command:
        parser.error("say which command to run, as in `slipway demo`")
    try:
        return asyncio.run(run(options.command))
    except CannotRun as error:
        print(f"stand-ins: {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
