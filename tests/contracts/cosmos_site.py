"""Where the suites find Cosmos DB: a stand-in in this process, or the emulator that the environment names.

SLIPWAY_TEST_COSMOS_ENDPOINT and SLIPWAY_TEST_COSMOS_KEY name an emulator. Every store gets a database of its
own.
"""

import asyncio
import itertools
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, cast

import pytest
from azure.core.credentials_async import AsyncTokenCredential
from azure.cosmos import CosmosClient, PartitionKey
from azure.identity.aio import ManagedIdentityCredential

from shared.adapters.azure.cosmos import CosmosStore
from shared.adapters.azure.cosmos_client import Meter
from shared.adapters.azure.cosmos_indexing import documents_container
from shared.adapters.azure.cosmos_retry import Patience
from shared.ports.clock import Clock
from shared.ports.index import Index
from tests.standins.cosmos import CosmosStandIn
from tests.standins.hosting import hosted
from tests.standins.identity import IdentityStandIn

EMULATOR = "SLIPWAY_TEST_COSMOS_ENDPOINT"
EMULATOR_KEY = "SLIPWAY_TEST_COSMOS_KEY"


async def connections_closed() -> None:
    """Return once this loop has no connection left, or after 2 s.

    What was given up on says goodbye in the background, and warns when its loop ends before.
    """
    loop: Any = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            while len(loop._selector.get_map()) > 1:  # one is the loop's own
                await asyncio.sleep(0.005)


class OwnStore(CosmosStore):
    """Closes its credential with itself."""

    def __init__(
        self,
        endpoint: str,
        database: str,
        indexes: Sequence[Index],
        credential: AsyncTokenCredential,
        clock: Clock,
        *,
        meter: Meter | None = None,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(endpoint, database, indexes, credential, clock, meter=meter, patience=patience)
        self._credential = credential

    async def aclose(self) -> None:
        await super().aclose()
        if not isinstance(self._credential, str):
            await self._credential.close()


class StandInSite:
    """A stand-in of the service and one of the identity endpoint, each in a thread of its own."""

    def __init__(self, cuts: Sequence[str] = ()) -> None:
        self._started = ExitStack()
        self.identity = self._started.enter_context(hosted(IdentityStandIn))
        issuer = self.identity.issuer
        self.server = self._started.enter_context(hosted(lambda: CosmosStandIn({}, issuer=issuer, cuts=cuts)))
        self._numbers = itertools.count(1)

    def database(self, indexes: Sequence[Index]) -> str:
        """The name of a new one, with an empty container of documents."""
        name = f"slipway{next(self._numbers)}"
        self.server.add(name, documents_container(indexes))
        return name

    def store(
        self,
        indexes: Sequence[Index],
        clock: Clock,
        *,
        database: str | None = None,
        meter: Meter | None = None,
        patience: Patience | None = None,
    ) -> OwnStore:
        """A client of its own, as of one process, in a new database or in that one."""
        return OwnStore(
            self.server.url,
            database or self.database(indexes),
            indexes,
            self.credential(),
            clock,
            meter=meter,
            patience=patience,
        )

    def credential(self) -> ManagedIdentityCredential:
        """As in Azure: the SDK finds the identity endpoint in the environment when it is made."""
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.identity.environment.items():
                environment.setenv(name, value)
            return ManagedIdentityCredential()

    def close(self) -> None:
        self._started.close()


class EmulatorSite:
    """Microsoft's emulator, which takes keys only. Databases are left to whoever started it."""

    def __init__(self, endpoint: str, key: str) -> None:
        self._endpoint, self._key = endpoint, key
        self._numbers = itertools.count(1)

    def store(self, indexes: Sequence[Index], clock: Clock) -> OwnStore:
        name = f"slipway-{os.getpid()}-{next(self._numbers)}"
        wanted = documents_container(indexes)
        with CosmosClient(self._endpoint, self._key) as client:
            client.create_database(name).create_container(
                wanted["id"],
                PartitionKey(wanted["partitionKey"]["paths"], kind=wanted["partitionKey"]["kind"]),
                indexing_policy=wanted["indexingPolicy"],
                default_ttl=wanted["defaultTtl"],
            )
        credential = cast(AsyncTokenCredential, self._key)
        return OwnStore(self._endpoint, name, indexes, credential, clock)

    def close(self) -> None:
        """Nothing of it is ours."""


class Sites:
    """Started by the first test that needs one, and closed with the session."""

    def __init__(self) -> None:
        self._open: dict[str, StandInSite | EmulatorSite] = {}

    @property
    def any(self) -> StandInSite | EmulatorSite:
        """What the conformance suite runs against."""
        endpoint = os.environ.get(EMULATOR)
        if endpoint is None:
            return self.stand_in
        return self._open.setdefault("emulator", EmulatorSite(endpoint, os.environ[EMULATOR_KEY]))

    @property
    def stand_in(self) -> StandInSite:
        """For what only a stand-in does: faults."""
        if "stand-in" not in self._open:
            self._open["stand-in"] = StandInSite()
        return cast(StandInSite, self._open["stand-in"])

    def close(self) -> None:
        for site in self._open.values():
            site.close()
        self._open.clear()


SITES = Sites()
