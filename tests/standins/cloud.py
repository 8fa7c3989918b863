"""All stand-ins of a run, as one account of a cloud: started together, reached by the settings they give."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from shared.names import BLOBS, DATABASE, INDEXES
from tests.standins.azurite import azurite
from tests.standins.certificates import Certificate, make_certificate
from tests.standins.cosmos.server import CosmosStandIn
from tests.standins.identity import IdentityStandIn, Issuer
from tests.standins.keyvault.server import KeyVaultStandIn
from tests.standins.servicebus.server import ServiceBusServer

HERE = "http://127.0.0.1:7071"
"""Where `slipway serve` is unless it is told another port."""


@dataclass(frozen=True, slots=True)
class Cloud:
    cosmos: CosmosStandIn
    service_bus: ServiceBusServer
    key_vault: KeyVaultStandIn
    identity: IdentityStandIn
    certificate: Certificate
    blob_endpoint: str

    @property
    def meter_url(self) -> str:
        """Tells how much the document store was asked, and for how many request units."""
        return f"{self.cosmos.url}/_standin/counts"

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes a process of Slipway use it."""
        return {
            **self.identity.environment,
            **self.certificate.environment,
            "SLIPWAY_PLATFORM": "azure",
            "SLIPWAY_COSMOS_ENDPOINT": self.cosmos.url,
            "SLIPWAY_SERVICEBUS_NAMESPACE": self.service_bus.endpoint,
            "SLIPWAY_KEYVAULT_URL": self.key_vault.url,
            "SLIPWAY_BLOB_ENDPOINT": self.blob_endpoint,
            "SLIPWAY_PUBLIC_URL": HERE,
            "SLIPWAY_ISSUER": HERE,
        }


@asynccontextmanager
async def cloud(folder: Path) -> AsyncIterator[Cloud]:
    """Containers and queues are those that infrastructure would make. Raises azurite's CannotRun."""
    from shared.adapters.azure.cosmos_indexing import containers  # noqa: PLC0415 - the definitions, not the adapter
    from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES  # noqa: PLC0415

    queues = [{"name": each.name, **each.properties()} for each in QUEUE_ENTITIES]
    issuer, certificate = Issuer(), make_certificate(folder)
    certificate.trust_here()
    async with AsyncExitStack() as stack:
        begin = stack.enter_async_context
        made = Cloud(
            cosmos=await begin(
                CosmosStandIn({DATABASE: containers(INDEXES)}, issuer=issuer, certificate=certificate)
            ),
            service_bus=await begin(ServiceBusServer(queues, issuer)),
            key_vault=await begin(KeyVaultStandIn(issuer, certificate)),
            identity=await begin(IdentityStandIn(issuer)),
            certificate=certificate,
            blob_endpoint=await begin(azurite(certificate)),
        )
        await _make_container(made)
        yield made


async def _make_container(made: Cloud) -> None:
    token = made.identity.issuer.issue("https://storage.azure.com")
    headers = {"Authorization": f"Bearer {token}", "x-ms-version": "2024-11-04"}
    place = f"{made.blob_endpoint}/{BLOBS}?restype=container"
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.put(place, headers=headers):
        pass
