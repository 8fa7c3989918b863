"""The environment that containers run in. Made only where the stack has an image to run."""

from collections.abc import Mapping

from pulumi_azure_native import app

from infra.app_settings import Setting
from infra.components.observability import Observability
from infra.components.site import Component, Site, Text


class Containers(Component):
    """Consumption only: nothing is paid for while nothing runs."""

    def __init__(self, site: Site, observability: Observability, subnet: Text | None) -> None:
        super().__init__(site, "containers")
        self.environment = app.ManagedEnvironment(
            "container-environment",
            environment_name=site.names("cae"),
            # By diagnostic setting, so that no workspace key is handed around.
            app_logs_configuration=app.AppLogsConfigurationArgs(destination="azure-monitor"),
            workload_profiles=[
                app.WorkloadProfileArgs(name="Consumption", workload_profile_type="Consumption")
            ],
            vnet_configuration=app.VnetConfigurationArgs(infrastructure_subnet_id=subnet, internal=False)
            if subnet
            else None,
            zone_redundant=site.settings.zone_redundant and subnet is not None,
            opts=self.under(),
            **site.place,
        )
        observability.watch("container-environment", self.environment.id, self)
        self.register_outputs({})


def registries(site: Site, identity_id: Text) -> list[app.RegistryCredentialsArgs] | None:
    """How an image is pulled: as the identity that runs it; a public image needs nobody."""
    if not site.settings.registry:
        return None
    server = f"{site.settings.registry_name}.azurecr.io"
    return [app.RegistryCredentialsArgs(server=server, identity=identity_id)]


def variables(
    environment: Mapping[str, Setting], secrets: Mapping[str, Setting]
) -> list[app.EnvironmentVarArgs]:
    """What a container is started with; the values of `secrets` come out of the vault."""
    plain = [app.EnvironmentVarArgs(name=name, value=value) for name, value in sorted(environment.items())]
    return [
        *plain,
        *(app.EnvironmentVarArgs(name=name, secret_ref=_reference(name)) for name in sorted(secrets)),
    ]


def references(secrets: Mapping[str, Setting], identity_id: Text) -> list[app.SecretArgs] | None:
    """Where the platform fetches the secrets, as the container's own identity."""
    return [
        app.SecretArgs(name=_reference(name), key_vault_url=place, identity=identity_id)
        for name, place in sorted(secrets.items())
    ] or None


def _reference(name: str) -> str:
    return name.lower().replace("_", "-")
