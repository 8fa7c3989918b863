"""The bus: one Service Bus namespace with the queues that the app's code describes."""

import pulumi
from pulumi_azure_native import servicebus

from infra.components.observability import Observability
from infra.components.site import Component, Site
from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES, QueueEntity


class Messaging(Component):
    """`queues` by name: those with workers, what is parked beside them, and the vault's news."""

    def __init__(self, site: Site, observability: Observability) -> None:
        super().__init__(site, "messaging")
        settings = site.settings
        premium = settings.service_bus == "Premium"
        sku = servicebus.SkuName(settings.service_bus)
        self.namespace = servicebus.Namespace(
            "service-bus",
            namespace_name=site.names("sb"),
            sku=servicebus.SBSkuArgs(
                name=sku,
                tier=servicebus.SkuTier(settings.service_bus),
                capacity=settings.messaging_units if premium else None,
            ),
            premium_messaging_partitions=1 if premium else None,
            disable_local_auth=True,
            minimum_tls_version=servicebus.TlsVersion.TLS_VERSION_1_2,
            public_network_access=site.public_access,
            opts=self.kept(),
            **site.place,
        )
        self.host = self.namespace.name.apply(lambda name: f"{name}.servicebus.windows.net")
        self.queues = {each.name: self._queue(each) for each in QUEUE_ENTITIES}
        if settings.private:
            self._close()
        observability.watch("service-bus", self.namespace.id, self)
        self.register_outputs({})

    def _queue(self, entity: QueueEntity) -> servicebus.Queue:
        return servicebus.Queue(
            f"queue-{entity.name}",
            queue_name=entity.name,
            namespace_name=self.namespace.name,
            requires_session=entity.requires_session,
            default_message_time_to_live=entity.default_message_time_to_live,
            lock_duration=entity.lock_duration,
            max_delivery_count=entity.max_delivery_count,
            requires_duplicate_detection=entity.requires_duplicate_detection,
            duplicate_detection_history_time_window=entity.duplicate_detection_history_time_window,
            dead_lettering_on_message_expiration=entity.dead_lettering_on_message_expiration,
            enable_partitioning=entity.enable_partitioning,
            # Azure changes none of these in place: the update would fail in the middle of a deployment.
            opts=self.kept(
                replace_on_changes=["requiresSession", "requiresDuplicateDetection", "enablePartitioning"],
                delete_before_replace=True,
            ),
            **self.site.inside,
        )

    def _close(self) -> None:
        """Nobody from outside but Azure's trusted services: Event Grid has no private way to a queue."""
        servicebus.NamespaceNetworkRuleSet(
            "service-bus-network",
            namespace_name=self.namespace.name,
            public_network_access=servicebus.PublicNetworkAccessFlag.DISABLED,
            default_action=servicebus.DefaultAction.DENY,
            trusted_service_access_enabled=True,
            opts=self.under(depends_on=list(self.queues.values())),
            **self.site.inside,
        )


def queue_ids(messaging: Messaging, names: tuple[str, ...]) -> list[tuple[str, pulumi.Output[str]]]:
    """Names and resource ids of some queues, as a scope of grants."""
    return [(name, messaging.queues[name].id) for name in names]
