"""Secrets by name, each with versions. Values never leave through a log, an event or a response."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Secret:
    name: str
    version: str
    value: str
    created_at: datetime
    enabled: bool = True

    def __repr__(self) -> str:
        return f"Secret(name={self.name!r}, version={self.version!r}, value=***)"


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """What may be shown of a secret."""

    name: str
    version: str
    created_at: datetime
    enabled: bool


@dataclass(frozen=True, slots=True)
class SecretOwner:
    """Whose secret something is, and what the tenant calls it."""

    tenant: str
    name: str


class Vault(Protocol):
    """Names are 1-127 of letters, digits and dashes, as Key Vault's; each tenant has its own space."""

    async def set(self, tenant: str, name: str, value: str) -> SecretVersion:
        """A new version, which becomes the current one."""

    async def get(self, tenant: str, name: str, version: str | None = None) -> Secret:
        """The current version, or the named one. NotFound; Forbidden when that version is disabled."""

    async def versions(self, tenant: str, name: str) -> list[SecretVersion]:
        """Newest first; empty when the name is unknown."""

    async def disable(self, tenant: str, name: str, version: str) -> None: ...

    async def delete(self, tenant: str, name: str) -> None:
        """Every version. Deleting what is not there is fine."""
