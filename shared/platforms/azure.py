"""The Azure platform: Cosmos DB, Service Bus, Key Vault and Blob Storage, asked as a managed identity.

Repositories, the runs in work and what is deployed are kept in the data folder, as on the embedded platform.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from shared.adapters.azure.blobs import AzureBlobs
from shared.adapters.azure.cosmos import CosmosStore
from shared.adapters.azure.identity import credential
from shared.adapters.azure.keyvault import KeyVault
from shared.adapters.azure.servicebus import ServiceBus
from shared.adapters.azure.signer import KeyVaultSigner
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.adapters.targets.folder import FolderTarget
from shared.names import BLOBS, DATABASE, INDEXES
from shared.platforms import (
    Ports,
    Replacements,
    nothing,
    provisioner_of,
    registries_of,
    telemetry_of,
    tokens_of,
    vendors_of,
)
from shared.ports.clock import Clock
from shared.settings import Settings


def ports(settings: Settings, replacements: Replacements) -> Ports:
    """Constructs, and reads the signing keys; every other service is asked when it is needed."""
    folder, port = settings.data_dir, replacements.get
    folder.mkdir(parents=True, exist_ok=True)
    clock: Clock = port("clock") or SystemClock()
    identity = credential(settings.client_id)
    vault = KeyVault(settings.keyvault_url, identity, clock)
    blobs = AzureBlobs(settings.blob_endpoint, BLOBS, identity, clock)
    signer = _signer(settings, clock).over(vault)
    health = settings.health_timeout_seconds

    async def release() -> None:
        await asyncio.gather(vault.aclose(), blobs.aclose())
        await identity.close()

    return Ports(
        settings=settings,
        clock=clock,
        ids=port("ids") or RandomIds(),
        store=port("store") or CosmosStore(settings.cosmos_endpoint, DATABASE, INDEXES, identity, clock),
        ordered_feed=None,
        bus=port("bus") or ServiceBus(settings.servicebus_namespace, identity),
        telemetry=port("telemetry") or telemetry_of(settings),
        blobs=port("blobs") or blobs,
        vault=port("vault") or vault,
        signer=port("signer") or signer,
        tokens=port("tokens") or tokens_of(settings, clock),
        source_host=port("source_host") or EmbeddedGit(folder / "git", clock),
        vendors=port("vendors") or vendors_of(settings, port("vault") or vault, RandomIds()),
        runner=port("runner") or SubprocessRunner(folder / "work", output_cap=settings.step_output_bytes),
        target=port("target") or FolderTarget(folder / "environments", clock, health_timeout=health),
        provisioner=port("provisioner") or provisioner_of(settings, clock),
        registries=port("registries") or registries_of(settings, port("vault") or vault),
        secret_owner=vault.owner,
        tidy=nothing,
        refresh=signer.refresh,
        release=release,
    )


def _signer(settings: Settings, clock: Clock) -> KeyVaultSigner:
    """With its keys. The composition is made between two awaits of a running loop, so they are fetched in a
    loop of their own; clients stay in the loop that made them, and these end with it."""

    async def load() -> KeyVaultSigner:
        async with (
            credential(settings.client_id) as identity,
            aclosing(KeyVault(settings.keyvault_url, identity, clock)) as vault,
        ):
            return await KeyVaultSigner.load(vault, clock)

    with ThreadPoolExecutor(1, "signing-keys") as thread:
        return thread.submit(asyncio.run, load()).result()
