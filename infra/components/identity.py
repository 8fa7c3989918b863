"""Who acts: a user-assigned identity per part of the system. Nobody here has a password."""

from collections.abc import Mapping

from pulumi_azure_native import managedidentity

from infra.access import APP, DEPLOY, JOBS
from infra.components.site import Component, Site, Text

GITHUB = "https://token.actions.githubusercontent.com"


class Identities(Component):
    """Those that this stack has a use for. They exist before what they may touch, and before what runs as
    them, so no first start meets a role that has not been granted.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site, "identities")
        settings = site.settings
        wanted = {APP: True, JOBS: bool(settings.jobs_image), DEPLOY: bool(settings.deploy_from)}
        self.by_role: Mapping[str, managedidentity.UserAssignedIdentity] = {
            who: managedidentity.UserAssignedIdentity(
                f"identity-{who}",
                resource_name_=site.names(f"id-{who}"),
                opts=self.under(),
                **site.place,
            )
            for who, is_wanted in wanted.items()
            if is_wanted
        }
        if settings.deploy_from:
            managedidentity.FederatedIdentityCredential(
                "deploy-from",
                federated_identity_credential_resource_name="workflow",
                resource_name_=self.by_role[DEPLOY].name,
                issuer=GITHUB,
                subject=settings.deploy_from,
                audiences=["api://AzureADTokenExchange"],
                opts=self.under(),
                **site.inside,
            )
        self.register_outputs({})

    def __getitem__(self, who: str) -> managedidentity.UserAssignedIdentity:
        return self.by_role[who]

    @property
    def principals(self) -> dict[str, Text]:
        return {who: identity.principal_id for who, identity in self.by_role.items()}
