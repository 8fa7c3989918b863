"""The vault of the tenants' secrets, and who hears that one is about to expire."""

from pulumi_azure_native import eventgrid, keyvault

from infra.components.observability import Observability
from infra.components.site import Component, Site, Text

NEAR_EXPIRY = ("Microsoft.KeyVault.SecretNearExpiry", "Microsoft.KeyVault.SecretExpired")


class Vault(Component):
    """`topic` tells of expiring secrets, once its identity may send to the queue: see `tell`."""

    def __init__(self, site: Site, observability: Observability) -> None:
        super().__init__(site, "vault")
        self.vault = keyvault.Vault(
            "vault",
            vault_name=site.names("kv"),
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=site.tenant,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=90,
                enable_purge_protection=True,
                public_network_access=site.public_access,
                network_acls=keyvault.NetworkRuleSetArgs(
                    bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
                    default_action=keyvault.NetworkRuleAction.DENY
                    if site.settings.private
                    else keyvault.NetworkRuleAction.ALLOW,
                ),
            ),
            opts=self.kept(),
            **site.place,
        )
        self.uri: Text = self.vault.properties.apply(lambda properties: properties.vault_uri or "")
        self.topic = eventgrid.SystemTopic(
            "secret-events",
            system_topic_name=site.names("egst"),
            topic_type="Microsoft.KeyVault.vaults",
            source=self.vault.id,
            identity=eventgrid.IdentityInfoArgs(type=eventgrid.IdentityType.SYSTEM_ASSIGNED),
            opts=self.under(),
            **site.place,
        )
        self.principal: Text = self.topic.identity.apply(
            lambda identity: (identity and identity.principal_id) or ""
        )
        observability.watch("vault", self.vault.id, self)
        observability.watch("secret-events", self.topic.id, self)
        self.register_outputs({})

    def tell(self, queue_id: Text, allowed: list[Component]) -> None:
        """Near expiry goes to that queue. The topic's identity must be allowed to send first, or the
        subscription is refused."""
        eventgrid.SystemTopicEventSubscription(
            "secret-near-expiry",
            event_subscription_name="secret-near-expiry",
            system_topic_name=self.topic.name,
            event_delivery_schema=eventgrid.EventDeliverySchema.CLOUD_EVENT_SCHEMA_V1_0,
            filter=eventgrid.EventSubscriptionFilterArgs(included_event_types=list(NEAR_EXPIRY)),
            delivery_with_resource_identity=eventgrid.DeliveryWithResourceIdentityArgs(
                identity=eventgrid.EventSubscriptionIdentityArgs(
                    type=eventgrid.EventSubscriptionIdentityType.SYSTEM_ASSIGNED
                ),
                destination=eventgrid.ServiceBusQueueEventSubscriptionDestinationArgs(
                    endpoint_type="ServiceBusQueue", resource_id=queue_id
                ),
            ),
            retry_policy=eventgrid.RetryPolicyArgs(
                max_delivery_attempts=30, event_time_to_live_in_minutes=1440
            ),
            opts=self.under(depends_on=allowed),
            **self.site.inside,
        )
