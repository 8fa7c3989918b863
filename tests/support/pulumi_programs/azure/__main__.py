"""A storage account, a bus with a queue and a right on it: enough of Azure to see names, lists and maps."""

import pulumi
from pulumi_azure_native import authorization, managedidentity, resources, servicebus, storage

config = pulumi.Config()
client = authorization.get_client_config_output()
group = resources.ResourceGroup("group", resource_group_name=config.get("group") or "rg-demo")
identity = managedidentity.UserAssignedIdentity(
    "identity", resource_group_name=group.name, resource_name_="id-demo"
)
account = storage.StorageAccount(
    "account",
    account_name="stdemo",
    resource_group_name=group.name,
    kind=storage.Kind.STORAGE_V2,
    sku=storage.SkuArgs(name=config.get("sku") or storage.SkuName.STANDARD_LRS),
    identity=storage.IdentityArgs(
        type=storage.IdentityType.USER_ASSIGNED, user_assigned_identities=[identity.id]
    ),
    allow_blob_public_access=config.get_bool("public") or False,
)
bus = servicebus.Namespace(
    "bus",
    namespace_name="sb-demo",
    resource_group_name=group.name,
    sku=servicebus.SBSkuArgs(name=servicebus.SkuName.STANDARD, tier=servicebus.SkuTier.STANDARD),
)
queue = servicebus.Queue(
    "queue",
    queue_name="work",
    namespace_name=bus.name,
    resource_group_name=group.name,
    requires_session=config.get_bool("session") or False,
    opts=pulumi.ResourceOptions(replace_on_changes=["requires_session"], delete_before_replace=True),
)
authorization.RoleAssignment(
    "right",
    principal_id=identity.principal_id,
    principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
    role_definition_id=client.subscription_id.apply(lambda id: f"/subscriptions/{id}/roles/receiver"),
    role_assignment_name="8d3f3c9a-0000-4000-8000-000000000000",
    scope=queue.id,
)
pulumi.export("blob", account.primary_endpoints.apply(lambda endpoints: endpoints.blob))
pulumi.export("principal", identity.principal_id)
pulumi.export("queue", queue.id)
