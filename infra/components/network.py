"""Private networking: what holds data is reached from inside only, and the way out has one address."""

import pulumi
from pulumi_azure_native import network, privatedns

from infra.components.observability import Observability
from infra.components.site import Component, Site, Text

SPACE = "10.64.0.0/16"
ZONES = {
    "blob": "privatelink.blob.core.windows.net",
    "table": "privatelink.table.core.windows.net",
    "namespace": "privatelink.servicebus.windows.net",
    "Sql": "privatelink.documents.azure.com",
    "vault": "privatelink.vaultcore.azure.net",
}
"""What is connected to -> where its private name is found."""


class Network(Component):
    """`subnets` by name: `endpoints`, `containers`, and one for each role's function app."""

    def __init__(self, site: Site, observability: Observability) -> None:
        super().__init__(site, "network")
        self.network = network.VirtualNetwork(
            "network",
            virtual_network_name=site.names("vnet"),
            address_space=network.AddressSpaceArgs(address_prefixes=[SPACE]),
            opts=self.under(),
            **site.place,
        )
        self._way_out = self._nat(observability)
        self.subnets: dict[str, network.Subnet] = {}
        for name in ("endpoints", "containers", *site.settings.roles):
            self._add_subnet(name)
        self._zones = {group: self._zone(zone) for group, zone in ZONES.items()}
        self.endpoints: list[pulumi.Resource] = []
        observability.watch("network", self.network.id, self)
        self.register_outputs({})

    def _nat(self, observability: Observability) -> network.NatGateway:
        """Without it, subnets no longer reach the internet by default: no token, no telemetry."""
        address = network.PublicIPAddress(
            "way-out-address",
            public_ip_address_name=self.site.names("pip"),
            sku=network.PublicIPAddressSkuArgs(name=network.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            opts=self.under(),
            **self.site.place,
        )
        observability.watch("way-out-address", address.id, self)
        return network.NatGateway(
            "way-out",
            nat_gateway_name=self.site.names("ng"),
            sku=network.NatGatewaySkuArgs(name=network.NatGatewaySkuName.STANDARD),
            public_ip_addresses=[network.SubResourceArgs(id=address.id)],
            opts=self.under(),
            **self.site.place,
        )

    def _add_subnet(self, name: str) -> None:
        inside = name == "endpoints"
        # Azure changes a network's subnets one at a time, and refuses what comes in between.
        before = list(self.subnets.values())[-1:]
        self.subnets[name] = network.Subnet(
            f"subnet-{name}",
            subnet_name=name,
            virtual_network_name=self.network.name,
            address_prefix=f"10.64.{len(self.subnets)}.0/24",
            default_outbound_access=False,
            private_endpoint_network_policies=network.VirtualNetworkPrivateEndpointNetworkPolicies.ENABLED
            if inside
            else None,
            nat_gateway=None if inside else network.SubResourceArgs(id=self._way_out.id),
            delegations=None
            if inside
            else [network.DelegationArgs(name="apps", service_name="Microsoft.App/environments")],
            opts=self.under(depends_on=before),
            **self.site.inside,
        )

    def _zone(self, zone: str) -> privatedns.PrivateZone:
        made = privatedns.PrivateZone(
            zone, private_zone_name=zone, opts=self.under(), **{**self.site.place, "location": "global"}
        )
        privatedns.VirtualNetworkLink(
            f"{zone}-link",
            virtual_network_link_name="slipway",
            private_zone_name=made.name,
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=self.network.id),
            opts=self.under(),
            **{**self.site.place, "location": "global"},
        )
        return made

    def connect(self, name: str, resource_id: Text, group: str) -> None:
        """Give a resource an address inside, and its name the meaning of that address."""
        endpoint = network.PrivateEndpoint(
            f"endpoint-{name}",
            private_endpoint_name=self.site.names(f"pe-{name}"),
            subnet=network.SubnetArgs(id=self.subnets["endpoints"].id),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(
                    name=name, private_link_service_id=resource_id, group_ids=[group]
                )
            ],
            opts=self.under(),
            **self.site.place,
        )
        named = network.PrivateDnsZoneGroup(
            f"endpoint-{name}-name",
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            private_dns_zone_configs=[
                network.PrivateDnsZoneConfigArgs(
                    name=group.lower(), private_dns_zone_id=self._zones[group].id
                )
            ],
            opts=self.under(),
            **self.site.inside,
        )
        self.endpoints.append(named)
