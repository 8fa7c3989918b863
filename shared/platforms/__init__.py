"""What an installation stands on: the adapters behind its ports, chosen by the settings."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.oidc import OidcTokens
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.adapters.targets.folder import FolderTarget
from shared.ports.blobs import Blobs
from shared.ports.bus import Bus
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.signer import Signer
from shared.ports.store import ChangeFeed, Feed, Store
from shared.ports.telemetry import OFF, Telemetry
from shared.ports.tokens import TokenVerifier
from shared.ports.vault import Vault
from shared.settings import Settings

type Replacements = Mapping[str, Any]
"""What stands in for a port, by its name."""


class Documents(Store, Feed, Protocol):
    """The store together with its feed."""


class Messages(Bus, Protocol):
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What stands behind the ports of one installation.

    `ordered_feed` is there where the feed has one order for the whole store, so that lists can wait for it.
    `tidy` frees what the platform does not free by itself; `refresh`, where there is one, is due every few
    minutes in every process; `release` closes what only the adapters know of.
    """

    settings: Settings
    clock: Clock
    ids: Ids
    store: Documents
    ordered_feed: ChangeFeed | None
    bus: Messages
    telemetry: Telemetry
    blobs: Blobs
    vault: Vault
    signer: Signer
    tokens: TokenVerifier
    source_host: EmbeddedGit
    runner: SubprocessRunner
    target: FolderTarget
    tidy: Callable[[], Awaitable[object]]
    refresh: Callable[[], Awaitable[object]] | None
    release: Callable[[], Awaitable[object]]


async def nothing() -> None:
    """What a platform does that has nothing to tidy or to release."""


def tokens_of(settings: Settings, clock: Clock) -> TokenVerifier:
    """Of the directories of Entra ID that the settings name, or of the one issuer."""
    if not settings.entra_directories:
        return OidcTokens(settings.token_issuer, settings.audience, clock, jwks_url=settings.jwks_url)
    from shared.adapters.azure.entra import EntraTokens  # noqa: PLC0415

    return EntraTokens(
        settings.entra_directories,
        settings.audience,
        clock,
        v1_audience=settings.entra_v1_audience,
        tenant_claim=settings.tenant_claim,
    )


def telemetry_of(settings: Settings) -> Telemetry:
    """Off, or what the settings ask for; the SDK is loaded only then."""
    if settings.telemetry == "off":
        return OFF
    from shared.adapters.telemetry import exporting  # noqa: PLC0415

    endpoint, sample = settings.telemetry_endpoint, settings.telemetry_sample
    return exporting(settings.telemetry, endpoint, sample, settings.role)
