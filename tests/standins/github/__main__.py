"""`python -m tests.standins.github`: one organization and its token; serves until told to stop."""

import argparse
import asyncio
import json

from tests.standins.github.server import GitHubStandIn
from tests.standins.hosting import until_told_to_stop


async def serve(port: int, organization: str, token: str) -> None:
    async with GitHubStandIn(port) as github:
        github.add_organization(organization)
        github.tokens.grant(token, organization)
        await until_told_to_stop(json.dumps({"url": github.url}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--organization", default="acme")
    parser.add_argument("--token", default="stand-in-token")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.organization, arguments.token))
