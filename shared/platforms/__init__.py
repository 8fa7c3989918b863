"""What an installation stands on: the adapters behind its ports, chosen by the settings."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.oidc import OidcTokens
from shared.adapters.registries.oci_layout import LayoutRegistry
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.adapters.targets.folder import FolderTarget
from shared.domain.images.model import EMBEDDED
from shared.domain.source.model import Provider
from shared.ports.blobs import Blobs
from shared.ports.bus import Bus
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.provisioner import Program, Provisioner
from shared.ports.registry import Registries, Registry
from shared.ports.signer import Signer
from shared.ports.store import ChangeFeed, Feed, Store
from shared.ports.telemetry import OFF, Telemetry
from shared.ports.tokens import TokenVerifier
from shared.ports.vault import SecretOwner, Vault
from shared.ports.vendor import Vendor
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
    `secret_owner` says whose secret the vault tells of, by the vault's own name for it.
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
    vendors: Mapping[Provider, Vendor]
    runner: SubprocessRunner
    target: FolderTarget
    provisioner: Provisioner
    registries: Registries
    secret_owner: Callable[[str], Awaitable[SecretOwner | None]]
    tidy: Callable[[], Awaitable[object]]
    refresh: Callable[[], Awaitable[object]] | None
    release: Callable[[], Awaitable[object]]


def vendors_of(settings: Settings, vault: Vault, ids: Ids) -> Mapping[Provider, Vendor]:
    """The vendors that the settings name organizations of; of others nothing is loaded."""
    found: dict[Provider, Vendor] = {}
    if settings.github_organizations:
        from shared.adapters.hosts.github import github  # noqa: PLC0415

        found[Provider.GITHUB] = github(settings.github_url, settings.github_organizations, vault, ids)
    if settings.azure_devops_organizations:
        from shared.adapters.hosts.azure_devops import azure_devops  # noqa: PLC0415

        found[Provider.AZURE_DEVOPS] = azure_devops(
            settings.azure_devops_url,
            settings.azure_devops_organizations,
            vault,
            ids,
            create_projects=settings.azure_devops_create_projects,
        )
    return found


async def nothing() -> None:
    """What a platform does that has nothing to tidy or to release."""


async def nobody(key: str) -> SecretOwner | None:
    """Of a platform whose vault tells nothing by itself."""
    return None


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


def provisioner_of(settings: Settings, clock: Clock) -> Provisioner:
    """Who carries out infrastructure plans; only the backend that is asked for is loaded."""
    packs = settings.iac_policy_packs
    programs = {name: Program(name, folder, packs) for name, folder in settings.iac_programs.items()}
    match settings.iac_backend:
        case "automation":
            from shared.adapters.provisioners.automation import AutomationProvisioner  # noqa: PLC0415

            return AutomationProvisioner(
                root=settings.data_dir / "infrastructure",
                programs=programs,
                clock=clock,
                state_url=settings.iac_state_url,
                secrets_provider=settings.iac_secrets_provider,
            )
        case "deployments":
            from shared.adapters.provisioners.deployments import DeploymentsProvisioner  # noqa: PLC0415

            return DeploymentsProvisioner(
                programs=programs,
                url=settings.iac_service_url,
                organization=settings.iac_organization,
                token=settings.iac_access_token,
                source=settings.iac_source,
            )
        case "local":
            from shared.adapters.provisioners.embedded import EmbeddedProvisioner  # noqa: PLC0415

            return EmbeddedProvisioner(
                root=settings.data_dir / "infrastructure", programs=programs, clock=clock
            )


def registries_of(settings: Settings, vault: Vault) -> Registries:
    """The platform's own registry, and those of the settings, with credentials in the tenant's vault."""
    registries: dict[str, Registry] = {EMBEDDED: LayoutRegistry(settings.data_dir / "registry")}
    if settings.registries:
        from shared.adapters.registries.oci_auth import Credentials  # noqa: PLC0415
        from shared.adapters.registries.oci_client import OciRegistry  # noqa: PLC0415

        for name, url in settings.registries.items():
            registries[name] = OciRegistry(url, Credentials(vault, f"kv://registry-{name}"))
    return registries


def telemetry_of(settings: Settings) -> Telemetry:
    """Off, or what the settings ask for; the SDK is loaded only then."""
    if settings.telemetry == "off":
        return OFF
    from shared.adapters.telemetry import exporting  # noqa: PLC0415

    endpoint, sample = settings.telemetry_endpoint, settings.telemetry_sample
    return exporting(settings.telemetry, endpoint, sample, settings.role)
