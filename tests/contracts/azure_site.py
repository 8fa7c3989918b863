"""Where the suites find Key Vault and Blob Storage: stand-ins, or the services that the environment names.

SLIPWAY_TEST_KEYVAULT_URL and SLIPWAY_TEST_BLOB_ENDPOINT name real ones, used as whoever runs the tests.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.adapters.azure.blobs import AzureBlobs
from shared.adapters.azure.identity import credential
from shared.adapters.azure.keyvault import KeyVault
from shared.ports.clock import Clock
from shared.ports.vault import Secret, SecretVersion, Vault
from tests.standins.azurite import CannotRun, azurite
from tests.standins.certificates import Certificate, make_certificate
from tests.standins.hosting import hosted
from tests.standins.identity import IdentityStandIn
from tests.standins.keyvault.server import KeyVaultStandIn

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

KEYVAULT_URL, BLOB_ENDPOINT = "SLIPWAY_TEST_KEYVAULT_URL", "SLIPWAY_TEST_BLOB_ENDPOINT"


class RealClock:
    """The machine's time, moved on by a test: the services live in the present."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, **delta: float) -> None:
        self._ahead += timedelta(**delta)


class AzureSite:
    """Each stand-in is started by the first test that needs it, and stops with the session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = ExitStack()
        self._certificate: Certificate | None = None
        self._identity: IdentityStandIn | None = None
        self._key_vault: KeyVaultStandIn | None = None
        self._azurite: str | None = None

    def close(self) -> None:
        self._started.close()

    @property
    def certificate(self) -> Certificate:
        """Of the stand-ins that are https; trusted in this process."""
        if self._certificate is None:
            self._certificate = make_certificate(self._folder)
            self._certificate.trust_here()
        return self._certificate

    @property
    def identity(self) -> IdentityStandIn:
        if self._identity is None:
            self._identity = self._started.enter_context(hosted(IdentityStandIn))
        return self._identity

    @property
    def key_vault(self) -> KeyVaultStandIn:
        if self._key_vault is None:
            issuer, certificate = self.identity.issuer, self.certificate
            self._key_vault = self._started.enter_context(
                hosted(lambda: KeyVaultStandIn(issuer, certificate))
            )
        return self._key_vault

    @property
    def azurite(self) -> str:
        """The endpoint of its account. Skips the test where there is no Node.js, but never in CI."""
        if self._azurite is None:
            certificate = self.certificate
            try:
                self._azurite = self._started.enter_context(hosted(lambda: azurite(certificate)))
            except CannotRun as error:
                if os.environ.get("CI"):
                    raise
                pytest.skip(str(error))
        return self._azurite

    def credential(self) -> "AsyncTokenCredential":
        """As in Azure: the SDK finds the identity endpoint in the environment when it is made."""
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.identity.environment.items():
                environment.setenv(name, value)
            return credential()

    @asynccontextmanager
    async def vault(self, clock: Clock) -> AsyncIterator[Vault]:
        """One whose tenants are nobody else's."""
        url = os.environ.get(KEYVAULT_URL)
        async with credential() if url else self.credential() as identity:
            vault = KeyVault(url or self.key_vault.url, identity, clock)
            try:
                yield TenantsApart(vault, f"t{uuid.uuid4().hex[:12]}-")
            finally:
                await vault.aclose()

    @asynccontextmanager
    async def blobs(self, clock: Clock) -> AsyncIterator[AzureBlobs]:
        """Over a container of its own."""
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415

        endpoint, name = os.environ.get(BLOB_ENDPOINT), f"t{uuid.uuid4().hex}"
        async with credential() if endpoint else self.credential() as identity:
            place = endpoint or self.azurite
            async with ContainerClient(place, name, identity) as container:
                await container.create_container()
                blobs = AzureBlobs(place, name, identity, clock)
                try:
                    yield blobs
                finally:
                    await blobs.aclose()
                    await container.delete_container()


@dataclass
class TenantsApart:
    """A vault for one test among others: every tenant's name has the test's own beginning."""

    vault: Vault
    prefix: str

    async def set(self, tenant: str, name: str, value: str) -> SecretVersion:
        return await self.vault.set(self.prefix + tenant, name, value)

    async def get(self, tenant: str, name: str, version: str | None = None) -> Secret:
        return await self.vault.get(self.prefix + tenant, name, version)

    async def versions(self, tenant: str, name: str) -> list[SecretVersion]:
        return await self.vault.versions(self.prefix + tenant, name)

    async def disable(self, tenant: str, name: str, version: str) -> None:
        await self.vault.disable(self.prefix + tenant, name, version)

    async def delete(self, tenant: str, name: str) -> None:
        await self.vault.delete(self.prefix + tenant, name)
