"""The function apps: one on a Flex Consumption plan of its own for each role."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import web

from infra.app_settings import Backends, function_settings
from infra.components.edge import Edge
from infra.components.observability import Observability
from infra.components.site import Component, Site, Text
from infra.components.storage import Storage

PYTHON = "3.13"


def host_name(site: Site, role: str) -> str:
    """What Azure calls the app's host; known before the app, which is told its own URL."""
    return f"{site.names(f'func-{role}')}.azurewebsites.net"


@dataclass(frozen=True, kw_only=True)
class Around:
    """What an app is set in: who it is, what it talks to, and how it is reached."""

    identity_id: Text
    backends: Backends
    storage: Storage
    observability: Observability
    edge: Edge | None
    subnet: Text | None


class FunctionApp(Component):
    """One role of the package. Everything it may do must be granted before: see `after`."""

    def __init__(self, site: Site, role: str, around: Around, after: Sequence[pulumi.Resource]) -> None:
        super().__init__(site, f"function-app-{role}")
        self._role, self._around = role, around
        plan = web.AppServicePlan(
            f"plan-{role}",
            name=site.names(f"asp-{role}"),
            kind="functionapp",
            reserved=True,
            sku=web.SkuDescriptionArgs(name="FC1", tier="FlexConsumption"),
            zone_redundant=site.settings.zone_redundant,
            opts=self.under(),
            **site.place,
        )
        self.site_resource = web.WebApp(
            f"app-{role}",
            name=site.names(f"func-{role}"),
            kind="functionapp,linux",
            reserved=True,
            server_farm_id=plan.id,
            https_only=True,
            identity=web.ManagedServiceIdentityArgs(
                type=web.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[around.identity_id],
            ),
            key_vault_reference_identity=around.identity_id,
            function_app_config=self._config(around.storage),
            site_config=self._site_config(),
            virtual_network_subnet_id=around.subnet,
            outbound_vnet_routing=web.OutboundVnetRoutingArgs(all_traffic=True) if around.subnet else None,
            opts=self.under(depends_on=list(after)),
            **site.place,
        )
        self._no_passwords()
        around.observability.watch(f"app-{role}", self.site_resource.id, self)
        self.register_outputs({})

    def _config(self, storage: Storage) -> web.FunctionAppConfigArgs:
        settings = self.site.settings
        container = pulumi.Output.concat(
            storage.host.primary_endpoints.apply(lambda endpoints: endpoints.blob), storage.deployments.name
        )
        warm = settings.always_ready.get(self._role, {})
        concurrency = web.FunctionsScaleAndConcurrencyTriggersHttpArgs(
            per_instance_concurrency=settings.http_concurrency
        )
        return web.FunctionAppConfigArgs(
            runtime=web.FunctionsRuntimeArgs(name=web.RuntimeName.PYTHON, version=PYTHON),
            deployment=web.FunctionsDeploymentArgs(
                storage=web.FunctionsDeploymentStorageArgs(
                    type=web.FunctionsDeploymentStorageType.BLOB_CONTAINER,
                    value=container,
                    authentication=web.FunctionsDeploymentStorageAuthenticationArgs(
                        type=web.AuthenticationType.USER_ASSIGNED_IDENTITY,
                        user_assigned_identity_resource_id=self._around.identity_id,
                    ),
                )
            ),
            scale_and_concurrency=web.FunctionsScaleAndConcurrencyArgs(
                instance_memory_mb=settings.instance_memory_mb,
                maximum_instance_count=settings.maximum_instances,
                always_ready=[
                    web.FunctionsAlwaysReadyConfigArgs(name=name, instance_count=count)
                    for name, count in sorted(warm.items())
                ],
                triggers=web.FunctionsScaleAndConcurrencyTriggersArgs(http=concurrency)
                if self._role != "worker"
                else None,
            ),
        )

    def _site_config(self) -> Any:
        """A plain mapping: the SDK's class adds `netFrameworkVersion`, which Flex Consumption refuses."""
        given = function_settings(self._role, self.site.settings, self._around.backends)
        config: dict[str, Any] = {
            "app_settings": [{"name": name, "value": value} for name, value in sorted(given.items())],
            "min_tls_version": "1.2",
        }
        if self._role == "worker":
            config["ip_security_restrictions_default_action"] = "Deny"
        elif self._around.edge:
            config["ip_security_restrictions_default_action"] = "Deny"
            config["ip_security_restrictions"] = [
                {
                    "name": "front-door",
                    "priority": 100,
                    "action": "Allow",
                    "tag": "ServiceTag",
                    "ip_address": "AzureFrontDoor.Backend",
                    # Everybody's Front Door comes from these addresses; only ours carries our id.
                    "headers": {"x-azure-fdid": [self._around.edge.profile.front_door_id]},
                }
            ]
        return config

    def _no_passwords(self) -> None:
        """Publishing is by token only; the passwords that Azure makes for every app open nothing."""
        for kind, switch in (("scm", web.WebAppScmAllowed), ("ftp", web.WebAppFtpAllowed)):
            switch(
                f"app-{self._role}-no-{kind}-password",
                name=self.site_resource.name,
                allow=False,
                opts=self.under(),
                **self.site.inside,
            )
