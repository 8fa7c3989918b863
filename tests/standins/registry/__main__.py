"""`python -m tests.standins.registry --port N`: a registry that asks for `robot:secret`."""

import argparse
import asyncio
import contextlib
import sys

from tests.standins.registry.server import RegistryStandin


async def _run(port: int) -> None:
    standin = RegistryStandin({"robot": "secret"})
    sys.stdout.write(f"{await standin.start(port)}\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await standin.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.standins.registry")
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args().port))
