"""`python -m tests.standins.cosmos`: an account as a process. Prints its endpoint; SIGTERM stops it."""

import argparse
import asyncio
import importlib
from collections.abc import Iterable
from pathlib import Path

from shared.names import DATABASE, INDEXES
from tests.standins.cosmos.catalogue import Definition
from tests.standins.cosmos.ranges import even
from tests.standins.cosmos.server import CosmosStandIn
from tests.standins.hosting import until_told_to_stop
from tests.standins.identity import Issuer

CATALOGUE = "shared.adapters.azure.cosmos_indexing:containers"


def definitions(name: str) -> Iterable[Definition]:
    """What `module:function` answers when it is given the declared indexes."""
    module, _, function = name.partition(":")
    found: Iterable[Definition] = getattr(importlib.import_module(module), function)(INDEXES)
    return found


async def serve(arguments: argparse.Namespace) -> None:
    issuer = Issuer.from_file(arguments.identity_secret_file) if arguments.identity_secret_file else None
    server = CosmosStandIn(
        {arguments.database: definitions(arguments.catalogue)},
        issuer=issuer,
        port=arguments.port,
        file=arguments.file,
        cuts=even(arguments.partitions),
    )
    async with server:
        await until_told_to_stop(server.url)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 is a free one")
    parser.add_argument("--database", default=DATABASE)
    parser.add_argument(
        "--catalogue", default=CATALOGUE, help="module:function that makes the containers of the indexes"
    )
    parser.add_argument("--identity-secret-file", type=Path, help="the secret that tokens are signed with")
    parser.add_argument("--file", type=Path, help="keeps the items; without one they live in memory")
    parser.add_argument("--partitions", type=int, default=1, help="how many physical ones there are")
    asyncio.run(serve(parser.parse_args()))
