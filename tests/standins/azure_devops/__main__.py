"""`python -m tests.standins.azure_devops`: prints its URL in a line of JSON, serves until told to stop."""

import argparse
import asyncio
import json

from tests.standins.azure_devops.server import AzureDevOpsStandIn
from tests.standins.hosting import until_told_to_stop


async def serve(port: int, organization: str, project: str, token: str) -> None:
    async with AzureDevOpsStandIn(port) as service:
        service.add_organization(organization, token, project)
        await until_told_to_stop(json.dumps({"url": service.url, "organization": organization}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--organization", default="acme")
    parser.add_argument("--project", default="platform")
    parser.add_argument("--token", required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.organization, given.project, given.token))
