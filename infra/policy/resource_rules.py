"""What must hold of a resource by itself. Each rule tells what is wrong and what to set instead."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.access import COSMOS_ROLES, ROLES
from infra.names import RULES
from infra.policy.seen import UNKNOWN, Seen

type ResourceRule = Callable[[Seen], Iterator[str]]
type Demands = Mapping[str, tuple[tuple[str, tuple[Any, ...]], ...]]
"""Kind -> the inputs that must have one of these values."""

RUNTIME = ("python", "3.13")
TAGS = frozenset({"application", "environment", "owner", "cost-center", "managed-by"})
MOST_DELIVERIES = 10

_PRIVATE: Demands = {
    "storage:StorageAccount": (("allowBlobPublicAccess", (False,)),),
    "storage:BlobContainer": (("publicAccess", ("None",)),),
}
_TLS: Demands = {
    "storage:StorageAccount": (
        ("minimumTlsVersion", ("TLS1_2", "TLS1_3")),
        ("enableHttpsTrafficOnly", (True,)),
    ),
    "servicebus:Namespace": (("minimumTlsVersion", ("1.2", "1.3")),),
    "cosmosdb:DatabaseAccount": (("minimalTlsVersion", ("Tls12",)),),
    "web:WebApp": (("siteConfig.minTlsVersion", ("1.2", "1.3")), ("httpsOnly", (True,))),
    "app:ContainerApp": (("configuration.ingress.allowInsecure", (False,)),),
    "cdn:Route": (("forwardingProtocol", ("HttpsOnly",)), ("supportedProtocols", (["Https"],))),
}
_NO_KEYS: Demands = {
    "storage:StorageAccount": (("allowSharedKeyAccess", (False,)),),
    "servicebus:Namespace": (("disableLocalAuth", (True,)),),
    "cosmosdb:DatabaseAccount": (
        ("disableLocalAuth", (True,)),
        ("disableKeyBasedMetadataWriteAccess", (True,)),
    ),
    "keyvault:Vault": (("properties.enableRbacAuthorization", (True,)),),
    "applicationinsights:Component": (("disableLocalAuth", (True,)),),
    "operationalinsights:Workspace": (("features.disableLocalAuth", (True,)),),
    "web:WebAppScmAllowed": (("allow", (False,)),),
    "web:WebAppFtpAllowed": (("allow", (False,)),),
}
_UNDELETABLE: Demands = {
    "keyvault:Vault": (
        ("properties.enablePurgeProtection", (True,)),
        ("properties.enableSoftDelete", (True,)),
    ),
    "cosmosdb:DatabaseAccount": (("backupPolicy.type", ("Continuous",)),),
}
_FLEX_SETTINGS = re.compile(
    "FUNCTIONS_WORKER_RUNTIME(_VERSION)?|FUNCTIONS_EXTENSION_VERSION|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_CONTENT.*"
    "|SCM_DO_BUILD_DURING_DEPLOYMENT|ENABLE_ORYX_BUILD|WEBSITE_VNET_ROUTE_ALL"
    "|WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT"
)
_FLEX_CONFIG = frozenset(
    {
        "alwaysOn",
        "ftpsState",
        "functionAppScaleLimit",
        "functionsRuntimeScaleMonitoringEnabled",
        "linuxFxVersion",
        "localMySqlEnabled",
        "netFrameworkVersion",
        "preWarmedInstanceCount",
        "use32BitWorkerProcess",
    }
)
_SECRET_NAME = re.compile(r"(?i)(^|_)(password|passwd|secret|token|key|credentials?)$")
_SECRET_VALUE = re.compile(
    r"(?i)(accountkey|sharedaccesskey|sharedaccesssignature|password|pwd|client_?secret)\s*="
    r"|[?&]sig=|-----BEGIN|\beyJ[\w-]{10,}\.|(?<![\w/+-])[\w/+-]{43,}={0,2}(?![\w/+=-])|\bgh[pousr]_\w{20,}"
)
_SAFE_VALUE = re.compile(r"managedidentity|@Microsoft\.KeyVault\(.+\)|https://[\w.:/-]+")
_CONNECTIONS = frozenset({"AzureWebJobsStorage", "ServiceBus", "Cosmos"})
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


def _demand(demands: Demands, seen: Seen) -> Iterator[str]:
    for path, allowed in demands.get(seen.kind, ()):
        if seen.refuses(path, *allowed):
            wanted = " or ".join(map(str, allowed))
            yield f"{seen.name}: set {path} to {wanted}; it is {seen.get(path)}."


def no_public_blobs(seen: Seen) -> Iterator[str]:
    """No blob is readable without a token."""
    yield from _demand(_PRIVATE, seen)


def tls_1_2(seen: Seen) -> Iterator[str]:
    """Everything is spoken over TLS 1.2 or later, and nothing beside it."""
    yield from _demand(_TLS, seen)


def no_local_auth(seen: Seen) -> Iterator[str]:
    """Nothing opens by a key or a password that could be copied."""
    yield from _demand(_NO_KEYS, seen)


def cannot_be_lost(seen: Seen) -> Iterator[str]:
    """Secrets cannot be purged, and documents can be had as they were a minute ago."""
    yield from _demand(_UNDELETABLE, seen)


def identity_connections(seen: Seen) -> Iterator[str]:
    """Functions reach storage, the bus and the store as their identity."""
    if seen.kind != "web:WebApp":
        return
    settings = _settings(seen)
    for name in sorted(_CONNECTIONS & settings.keys()):
        yield f"{seen.name}: {name} is a connection string; use {name}__credential=managedidentity."
    for connection in sorted({name.partition("__")[0] for name in settings if "__" in name}):
        if settings.get(f"{connection}__credential") not in {"managedidentity", UNKNOWN}:
            yield f"{seen.name}: set {connection}__credential to managedidentity."
        if f"{connection}__clientId" not in settings:
            yield f"{seen.name}: set {connection}__clientId, or the host takes an identity it lacks."
    way = "functionAppConfig.deployment.storage.authentication.type"
    if seen.refuses(way, "UserAssignedIdentity"):
        yield f"{seen.name}: set {way} to UserAssignedIdentity; it is {seen.get(way)}."


def no_secrets_in_settings(seen: Seen) -> Iterator[str]:
    """A setting is readable by whoever may see the app; a secret is a Key Vault reference."""
    for name, value in _settings(seen).items():
        if not isinstance(value, str) or not value or _SAFE_VALUE.fullmatch(value):
            continue
        if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
            yield f"{seen.name}: {name} looks like a secret; put it into the vault and refer to it."
    if seen.kind in {"app:Job", "app:ContainerApp"}:
        for secret in seen.items("configuration.secrets"):
            if isinstance(secret, Mapping) and not secret.get("keyVaultUrl"):
                yield f"{seen.name}: its secret {secret.get('name')} must be a reference to the vault."


def flex_consumption(seen: Seen) -> Iterator[str]:
    """What Flex Consumption refuses, ignores, or starts dead with."""
    if seen.kind != "web:WebApp":
        return
    for name in _settings(seen):
        if _FLEX_SETTINGS.fullmatch(name):
            yield f"{seen.name}: remove the setting {name}, which Flex Consumption does not have."
    config = seen.get("siteConfig")
    for name in sorted(_FLEX_CONFIG & set(config if isinstance(config, Mapping) else ())):
        yield f"{seen.name}: remove siteConfig.{name}, which Flex Consumption refuses."
    runtime = tuple(seen.get(f"functionAppConfig.runtime.{part}") for part in ("name", "version"))
    if UNKNOWN not in runtime and runtime != RUNTIME:
        yield f"{seen.name}: the runtime must be {' '.join(RUNTIME)}; another is accepted, and never starts."


def queues_dead_letter(seen: Seen) -> Iterator[str]:
    """What cannot be handled is kept and counted, and never dropped."""
    if seen.kind != "servicebus:Queue":
        return
    if seen.refuses("deadLetteringOnMessageExpiration", True):
        yield f"{seen.name}: set deadLetteringOnMessageExpiration, or what expires is gone."
    count = seen.get("maxDeliveryCount")
    if count is not UNKNOWN and not 1 <= (count or 0) <= MOST_DELIVERIES:
        yield f"{seen.name}: maxDeliveryCount must be 1 to {MOST_DELIVERIES}; it is {count}."
    if seen.refuses("requiresDuplicateDetection", True) and seen.refuses("requiresSession", False):
        yield f"{seen.name}: set requiresDuplicateDetection; the relay sends a batch again after a failure."


def tagged(seen: Seen) -> Iterator[str]:
    """Whoever finds a resource finds out whose it is. What stands in a region can be tagged."""
    if "location" not in seen.inputs or seen.get("tags") is UNKNOWN:
        return
    tags = seen.get("tags") or {}
    if missing := TAGS - {name for name, value in tags.items() if value}:
        yield f"{seen.name}: tags are missing: {', '.join(sorted(missing))}."


def narrow_roles(seen: Seen) -> Iterator[str]:
    """A role reaches one resource, and is one of those that the table of grants knows."""
    if seen.kind not in {"authorization:RoleAssignment", "cosmosdb:SqlResourceSqlRoleAssignment"}:
        return
    cosmos = seen.kind.startswith("cosmosdb")
    scope, definition = seen.get("scope"), seen.get("roleDefinitionId")
    beyond = "/dbs/" if cosmos else "/providers/"
    if scope is not UNKNOWN and beyond not in str(scope):
        yield f"{seen.name}: the scope {scope} is too broad; grant on one resource."
    known = set((COSMOS_ROLES if cosmos else ROLES).values())
    if definition is not UNKNOWN and str(definition).rpartition("/")[2] not in known:
        yield f"{seen.name}: the role {definition} is not in infra/access.py; say there who needs it."
    if not cosmos and seen.refuses("principalType", "ServicePrincipal"):
        yield f"{seen.name}: set principalType to ServicePrincipal; a new identity is not found without."


def names_are_accepted(seen: Seen) -> Iterator[str]:
    """A name that Azure refuses is refused in the middle of a deployment."""
    rule = RULES.get(f"azure-native:{seen.kind}")
    name = seen.get(rule.property) if rule else None
    if rule and name is None:
        yield f"{seen.name}: set {rule.property}; a name of Pulumi's own changes whenever it is replaced."
    elif rule and isinstance(name, str) and (broken := rule.broken_by(name)):
        yield f"{seen.name}: {broken}."


def images_by_digest(seen: Seen) -> Iterator[str]:
    """A tag can be moved to other code than what was tested."""
    for container in seen.items("template.containers"):
        image = container.get("image") if isinstance(container, Mapping) else None
        if isinstance(image, str) and not _DIGEST.fullmatch(image):
            yield f"{seen.name}: name the image {image} with its digest, as in name:tag@sha256:..."


def alerts_are_accepted(seen: Seen) -> Iterator[str]:
    """Azure takes an alert of several conditions only with one value for each dimension."""
    conditions = seen.items("criteria.allOf") if seen.kind == "monitor:MetricAlert" else []
    if len(conditions) < 2:
        return
    for condition in conditions:
        for dimension in condition.get("dimensions") or []:
            values = dimension.get("values")
            if values is not UNKNOWN and (len(values) != 1 or values == ["*"]):
                yield f"{seen.name}: give {dimension.get('name')} one value, and make an alert for each."


def _settings(seen: Seen) -> dict[str, Any]:
    """Settings of a function app, or the environment of a container."""
    rows = seen.items("siteConfig.appSettings")
    for container in seen.items("template.containers"):
        rows = [*rows, *(container.get("env") or [])]
    return {str(row["name"]): row.get("value") for row in rows if isinstance(row, Mapping) and "name" in row}


RESOURCE_RULES: dict[str, ResourceRule] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        no_public_blobs,
        tls_1_2,
        no_local_auth,
        cannot_be_lost,
        identity_connections,
        no_secrets_in_settings,
        flex_consumption,
        queues_dead_letter,
        tagged,
        narrow_roles,
        names_are_accepted,
        images_by_digest,
        alerts_are_accepted,
    )
}
