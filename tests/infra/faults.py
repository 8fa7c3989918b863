"""Mistakes that people make in such a program, each as a small change of what was recorded of a sound one."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from infra.recording import SUBSCRIPTION, Recording, Resource

type Fault = Callable[[Recording], Recording]
GONE = object()


@dataclass(frozen=True)
class Seeded:
    """A mistake, in which variant it is made, and the policy or the check that must name it."""

    mistake: str
    variant: str
    make: Fault
    caught_by: str

    def __str__(self) -> str:
        return self.mistake.replace(" ", "-")


def setting(name: str, path: str, value: Any) -> Fault:
    """An input of the resource of that name is another, or GONE. Numbers in the path are places of a list."""

    def change(resource: Resource) -> Resource:
        inputs = deepcopy(resource.inputs)
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        inside: Any = inputs
        for part in way:
            inside = inside[part]
        if value is GONE:
            del inside[last]
        else:
            inside[last] = value
        return replace(resource, inputs=inputs)

    return _changed(name, change)


def app_setting(app: str, name: str, value: str | None) -> Fault:
    """One more setting of a function app, another value of one that it has, or None: it has it no more."""

    def change(resource: Resource) -> Resource:
        inputs = deepcopy(resource.inputs)
        config = inputs["siteConfig"]
        config["appSettings"] = [row for row in config["appSettings"] if row["name"] != name]
        config["appSettings"] += [{"name": name, "value": value}] if value is not None else []
        return replace(resource, inputs=inputs)

    return _changed(app, change)


def without(name: str) -> Fault:
    def make(recording: Recording) -> Recording:
        kept = tuple(each for each in recording.resources if each.name != name)
        assert len(kept) == len(recording.resources) - 1, f"there is no {name}"
        return replace(recording, resources=kept)

    return make


def unprotected(name: str) -> Fault:
    return _changed(name, lambda resource: replace(resource, protect=False))


def in_a_hurry(name: str) -> Fault:
    """It waits for nothing."""
    return _changed(name, lambda resource: replace(resource, dependencies=()))


def _changed(name: str, change: Callable[[Resource], Resource]) -> Fault:
    def make(recording: Recording) -> Recording:
        meant = {each.urn for each in recording.resources if each.name == name and each.custom}
        assert len(meant) == 1, f"there is no {name}, or several"
        changed = tuple(change(each) if each.urn in meant else each for each in recording.resources)
        return replace(recording, resources=changed)

    return make


_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
_CONNECTION = "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=bm90IGEga2V5"

FAULTS = (
    Seeded(
        "a container is public",
        "dev",
        setting("container-blobs", "publicAccess", "Blob"),
        "no-public-blobs",
    ),
    Seeded(
        "an account allows public blobs",
        "dev",
        setting("storage-data", "allowBlobPublicAccess", True),
        "no-public-blobs",
    ),
    Seeded(
        "storage opens by key",
        "dev",
        setting("storage-host", "allowSharedKeyAccess", GONE),
        "no-local-auth",
    ),
    Seeded(
        "the bus opens by key", "prod", setting("service-bus", "disableLocalAuth", False), "no-local-auth"
    ),
    Seeded("the store opens by key", "dev", setting("cosmos", "disableLocalAuth", GONE), "no-local-auth"),
    Seeded(
        "publishing by password", "dev", setting("app-all-no-ftp-password", "allow", True), "no-local-auth"
    ),
    Seeded(
        "the vault goes by access policies",
        "dev",
        setting("vault", "properties.enableRbacAuthorization", False),
        "no-local-auth",
    ),
    Seeded("TLS 1.0 on storage", "dev", setting("storage-data", "minimumTlsVersion", "TLS1_0"), "tls-1-2"),
    Seeded("TLS 1.0 on the bus", "dev", setting("service-bus", "minimumTlsVersion", "1.0"), "tls-1-2"),
    Seeded("plain http to the app", "dev", setting("app-all", "httpsOnly", GONE), "tls-1-2"),
    Seeded("nobody logs the store", "dev", without("cosmos-diagnostics"), "diagnostics"),
    Seeded("nobody logs the app", "prod", without("app-worker-diagnostics"), "diagnostics"),
    Seeded(
        "a work queue without sessions",
        "dev",
        setting("queue-runs", "requiresSession", False),
        "queues_of_functions_exist_with_their_sessions",
    ),
    Seeded(
        "a queue is called otherwise",
        "dev",
        setting("queue-checks", "queueName", "check"),
        "queues_of_functions_exist_with_their_sessions",
    ),
    Seeded(
        "nothing is parked beside a queue", "dev", without("queue-gitops-parked"), "queues_of_the_relay_exist"
    ),
    Seeded("no leases", "dev", without("container-leases"), "containers_of_functions_exist"),
    Seeded(
        "what expires is dropped",
        "dev",
        setting("queue-source", "deadLetteringOnMessageExpiration", GONE),
        "queues-dead-letter",
    ),
    Seeded(
        "a queue drops no repeats",
        "dev",
        setting("queue-source", "requiresDuplicateDetection", False),
        "queues-dead-letter",
    ),
    Seeded("nobody hears of dead letters", "dev", without("alert-dead-letters"), "dead-letters-alert"),
    Seeded(
        "one alert for all queues",
        "dev",
        setting("alert-checks-stands-still", "criteria.allOf.0.dimensions.0.values", ["*"]),
        "alerts-are-accepted",
    ),
    Seeded(
        "a connection string",
        "dev",
        app_setting("app-all", "ServiceBus", _CONNECTION),
        "identity-connections",
    ),
    Seeded(
        "a connection of nothing",
        "dev",
        app_setting("app-all", "Cosmos__accountEndpoint", None),
        "connections_of_triggers_are_set",
    ),
    Seeded(
        "an api that works queues",
        "prod",
        app_setting("app-api", "SLIPWAY_ROLE", "all"),
        "roles_are_covered_once",
    ),
    Seeded(
        "the package is read by key",
        "dev",
        setting(
            "app-all",
            "functionAppConfig.deployment.storage.authentication.type",
            "StorageAccountConnectionString",
        ),
        "identity-connections",
    ),
    Seeded(
        "a secret by its value",
        "dev",
        app_setting("app-all", "SLIPWAY_UPSTREAM", _CONNECTION),
        "no-secrets-in-settings",
    ),
    Seeded(
        "a secret by its name",
        "dev",
        app_setting("app-all", "GITHUB_TOKEN", "hunter2"),
        "no-secrets-in-settings",
    ),
    Seeded(
        "a secret in a container",
        "everything",
        setting("job-runs", "template.containers.0.env.0", {"name": "DB_PASSWORD", "value": "hunter2"}),
        "no-secrets-in-settings",
    ),
    Seeded(
        "a setting nobody reads", "dev", app_setting("app-all", "SLIPWAY_COSMOS_URL", "x"), "settings_load"
    ),
    Seeded(
        "a setting the app refuses", "dev", app_setting("app-all", "SLIPWAY_ROLE", "both"), "settings_load"
    ),
    Seeded(
        "a job for another queue",
        "everything",
        setting("job-runs", "template.containers.0.args.0", "checks"),
        "jobs_work_the_queue_that_starts_them",
    ),
    Seeded(
        "a job that nobody starts",
        "everything",
        without("job-runs"),
        "every_queue_has_one_worker",
    ),
    Seeded(
        "a setting of another plan",
        "dev",
        app_setting("app-all", "FUNCTIONS_WORKER_RUNTIME", "python"),
        "flex-consumption",
    ),
    Seeded(
        "what the SDK's class adds",
        "dev",
        setting("app-all", "siteConfig.netFrameworkVersion", "v4.6"),
        "flex-consumption",
    ),
    Seeded(
        "an older Python",
        "dev",
        setting("app-all", "functionAppConfig.runtime.version", "3.12"),
        "the_runtime_is_ours",
    ),
    Seeded(
        "a version that is none",
        "dev",
        setting("app-all", "functionAppConfig.runtime.version", "3.13.0"),
        "flex-consumption",
    ),
    Seeded(
        "instances are warm for nothing",
        "prod",
        setting("app-api", "functionAppConfig.scaleAndConcurrency.alwaysReady.0.name", "function:run_worker"),
        "warm_functions_exist",
    ),
    Seeded(
        "a role on the resource group",
        "dev",
        setting("app-storage-blob-data-contributor-blobs", "scope", _GROUP),
        "narrow-roles",
    ),
    Seeded(
        "an owner",
        "dev",
        setting(
            "app-key-vault-secrets-officer-vault",
            "roleDefinitionId",
            f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/"
            "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        ),
        "narrow-roles",
    ),
    Seeded(
        "all documents of all databases",
        "dev",
        setting("app-cosmos-db-built-in-data-contributor-database", "scope", f"{_GROUP}/providers/x"),
        "narrow-roles",
    ),
    Seeded(
        "a role was forgotten",
        "dev",
        without("app-storage-blob-delegator-data-storage"),
        "grants_are_the_table",
    ),
    Seeded("an app before its roles", "dev", in_a_hurry("app-all"), "grants_come_before_what_needs_them"),
    Seeded(
        "nothing expires",
        "dev",
        setting("container-documents", "resource.defaultTtl", GONE),
        "documents_expire_and_lie_by_root",
    ),
    Seeded(
        "documents lie by tenant only",
        "dev",
        setting("container-documents", "resource.partitionKey.paths", ["/tenantId"]),
        "documents_expire_and_lie_by_root",
    ),
    Seeded(
        "an index is missing",
        "dev",
        setting("container-documents", "resource.indexingPolicy.compositeIndexes", []),
        "every_index_is_served",
    ),
    Seeded(
        "a name too long",
        "dev",
        setting("vault", "vaultName", "kv-slipway-development-0a1b2c"),
        "names-are-accepted",
    ),
    Seeded("a name of Azure's own", "dev", setting("cosmos", "accountName", GONE), "names-are-accepted"),
    Seeded("no budget", "dev", without("budget"), "budget"),
    Seeded(
        "a budget that looks back only", "dev", setting("budget", "notifications.foreseen", GONE), "budget"
    ),
    Seeded("nobody's resource", "dev", setting("service-bus", "tags.owner", GONE), "tagged"),
    Seeded(
        "secrets can be purged",
        "dev",
        setting("vault", "properties.enablePurgeProtection", GONE),
        "cannot-be-lost",
    ),
    Seeded(
        "an open door in a private stack",
        "private",
        setting("cosmos", "publicNetworkAccess", "Enabled"),
        "private-is-closed",
    ),
    Seeded("no way to the store", "private", without("endpoint-cosmos"), "private-is-closed"),
    Seeded(
        "an app outside its network",
        "prod",
        setting("app-api", "virtualNetworkSubnetId", GONE),
        "private-is-closed",
    ),
    Seeded(
        "a way around the firewall",
        "prod",
        setting("app-api", "siteConfig.ipSecurityRestrictionsDefaultAction", GONE),
        "edge-is-the-only-way",
    ),
    Seeded("no firewall", "prod", without("firewall-of-endpoint"), "edge-is-the-only-way"),
    Seeded("evidence can be changed", "dev", without("evidence-write-once"), "evidence-is-write-once"),
    Seeded("production can be destroyed", "prod", unprotected("cosmos"), "production-is-protected"),
    Seeded(
        "an image by its tag",
        "everything",
        setting("gateway", "template.containers.0.image", "slipway.azurecr.io/slipway-gateway:latest"),
        "images-by-digest",
    ),
)
