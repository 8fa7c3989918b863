"""`python -m tests.standins.servicebus --port 0 --catalogue module:function`: prints its endpoint.

Tokens are those of tests.standins.identity started with the same secret, for https://servicebus.azure.net.
SIGTERM stops it.
"""

import argparse
import asyncio
import importlib
from pathlib import Path

from tests.standins.hosting import until_told_to_stop
from tests.standins.identity import Issuer
from tests.standins.servicebus.server import ServiceBusServer


async def serve(port: int, catalogue: str, secret: Path) -> None:
    module, _, name = catalogue.partition(":")
    queues = getattr(importlib.import_module(module), name)()
    async with ServiceBusServer(queues, Issuer.from_file(secret), port) as server:
        print(server.endpoint, flush=True)  # noqa: T201 - whoever started it reads this
        await until_told_to_stop()


parser = argparse.ArgumentParser(prog="python -m tests.standins.servicebus")
parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
parser.add_argument("--catalogue", required=True, help="module:function that gives the queues to be made")
parser.add_argument("--identity-secret-file", type=Path, required=True)
given = parser.parse_args()
asyncio.run(serve(given.port, given.catalogue, given.identity_secret_file))
