"""An account for tests: the stand-in together with the identity endpoint whose tokens it accepts."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.identity.aio import ManagedIdentityCredential

from tests.standins.cosmos.ranges import even
from tests.standins.cosmos.server import CosmosStandIn
from tests.standins.hosting import hosted
from tests.standins.identity import IdentityStandIn, Issuer

DATABASE = "slipway"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Account:
    server: CosmosStandIn
    identity: IdentityStandIn

    def container(self, **definition: Any) -> str:
        """The name of a new container, partitioned by /tenantId and /root unless it is defined otherwise."""
        name = f"container-{next(_numbers)}"
        key = {"paths": ["/tenantId", "/root"], "kind": "MultiHash", "version": 2}
        self.server.add(DATABASE, {"id": name, "partitionKey": key, "defaultTtl": -1, **definition})
        return name


@contextmanager
def an_account(partitions: int = 1) -> Iterator[Account]:
    """Both, in threads of their own. The caller sets `identity.environment`."""
    issuer = Issuer()
    with (
        hosted(lambda: IdentityStandIn(issuer)) as identity,
        hosted(lambda: CosmosStandIn({DATABASE: []}, issuer=issuer, cuts=even(partitions))) as server,
    ):
        yield Account(server, identity)


@dataclass(frozen=True, slots=True)
class Session:
    """One client of the account, in the loop that opened it."""

    client: CosmosClient
    credential: ManagedIdentityCredential
    server: CosmosStandIn

    def container(self, name: str) -> ContainerProxy:
        return self.client.get_database_client(DATABASE).get_container_client(name)

    async def aclose(self) -> None:
        await self.client.close()
        await self.credential.close()
        # The client gives up a look at the account's health that it takes in the background, and a connection
        # that is given up says farewell in TLS: a loop that ends before has a transport left open.
        while self.server.connections:
            await asyncio.sleep(0.005)
        for _ in range(3):
            await asyncio.sleep(0.002)


async def open_session(account: Account, **options: Any) -> Session:
    """A client that repeats nothing by itself, unless `options` say so."""
    credential = ManagedIdentityCredential()
    never: dict[str, Any] = {"retry_total": 0, "retry_connect": 0, "retry_read": 0, "retry_status": 0}
    settings = {**never, "retry_throttle_total": -1, "enable_endpoint_discovery": False, **options}
    session = Session(CosmosClient(account.server.url, credential, **settings), credential, account.server)
    try:
        await session.client.__aenter__()
    except BaseException:
        await session.aclose()
        raise
    return session
