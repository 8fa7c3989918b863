"""The sample product's resources: a group, storage with one container, and a bus with its queues."""

import pulumi
from pulumi_azure_native import resources, servicebus, storage

config = pulumi.Config()
name = pulumi.get_stack()
tags = {"product": "booking-saas", "stack": name}

group = resources.ResourceGroup(f"rg-{name}", location=config.require("location"), tags=tags)
account = storage.StorageAccount(
    "storage",
    resource_group_name=group.name,
    kind=storage.Kind.STORAGE_V2,
    sku=storage.SkuArgs(name=config.get("redundancy") or "Standard_LRS"),
    allow_blob_public_access=config.get_bool("publicBlobs") or False,
    minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
    tags=tags,
)
storage.BlobContainer("receipts", resource_group_name=group.name, account_name=account.name)
namespace = servicebus.Namespace(
    "bus",
    resource_group_name=group.name,
    sku=servicebus.SBSkuArgs(name=servicebus.SkuName.STANDARD),
    minimum_tls_version=servicebus.TlsVersion.TLS_VERSION_1_2,
    tags=tags,
)
for queue in config.require_object("queues"):
    servicebus.Queue(queue, queue_name=queue, resource_group_name=group.name, namespace_name=namespace.name)

pulumi.export("group", group.name)
pulumi.export("blobs", account.primary_endpoints.apply(lambda endpoints: endpoints.blob))
if config.get("apiKey"):
    pulumi.export("apiKey", config.require_secret("apiKey"))
