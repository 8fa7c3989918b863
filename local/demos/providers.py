"""Whether a walk's tenant can have its repositories where it is asked to have them."""

from local.data_folder import CannotStart
from local.secrets import opened_vault
from shared.adapters.hosts import azure_devops_places, github_api
from shared.domain.source.model import Provider
from shared.settings import Settings


async def require_ready(settings: Settings, provider: Provider, tenant: str) -> None:
    """CannotStart with what to set, where the tenant has no place or no token on a vendor's host."""
    if provider is Provider.EMBEDDED:
        return
    setting, organizations, secret = {
        Provider.GITHUB: (
            "SLIPWAY_GITHUB_ORGANIZATIONS",
            settings.github_organizations,
            github_api.SECRET,
        ),
        Provider.AZURE_DEVOPS: (
            "SLIPWAY_AZURE_DEVOPS_ORGANIZATIONS",
            settings.azure_devops_organizations,
            azure_devops_places.TOKEN,
        ),
    }[provider]
    if tenant not in organizations:
        raise CannotStart(
            f"The tenant {tenant} has no organization on {provider}:"
            f" set {setting}={tenant}:<your organization>."
        )
    async with opened_vault(settings) as vault:
        known = await vault.versions(tenant, secret)
    if not known:
        raise CannotStart(
            f"The tenant {tenant} has no token for {provider}: pipe it into"
            f" `slipway secrets set {secret} --tenant {tenant} --data-dir {settings.data_dir}`."
        )
