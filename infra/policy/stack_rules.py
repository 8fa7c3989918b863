"""What must hold of a stack as a whole: what belongs together is there together."""

from collections.abc import Callable, Iterator, Sequence

from infra.policy.seen import UNKNOWN, Seen

type Stack = Sequence[Seen]
type Finding = tuple[str | None, str]
"""URN of what it is about, and what to do."""
type StackRule = Callable[[Stack], Iterator[Finding]]

WATCHED = frozenset(
    {
        "app:ManagedEnvironment",
        "cdn:Profile",
        "cosmosdb:DatabaseAccount",
        "eventgrid:SystemTopic",
        "keyvault:Vault",
        "network:PublicIPAddress",
        "network:VirtualNetwork",
        "operationalinsights:Workspace",
        "servicebus:Namespace",
        "storage:StorageAccount",
        "web:WebApp",
    }
)
KEEPERS = {
    "cosmosdb:DatabaseAccount": "publicNetworkAccess",
    "keyvault:Vault": "properties.publicNetworkAccess",
    "servicebus:Namespace": "publicNetworkAccess",
    "storage:StorageAccount": "publicNetworkAccess",
}
"""What holds data, and where it says who may reach it."""


def diagnostics(stack: Stack) -> Iterator[Finding]:
    """Whatever serves or keeps data sends its logs to the workspace."""
    watched = {
        urn
        for each in _of(stack, "monitor:DiagnosticSetting")
        if each.items("logs")
        for urn in each.references.get("resourceUri", ())
    }
    for each in stack:
        if each.kind in WATCHED and each.urn not in watched:
            yield each.urn, f"{each.name}: add a diagnostic setting with allLogs."


def budget(stack: Stack) -> Iterator[Finding]:
    """Somebody hears of the bill before it comes."""
    budgets = _of(stack, "consumption:Budget")
    if not budgets:
        yield None, "The stack has no budget; add consumption.Budget for its resource group."
    for each in budgets:
        notifications = each.get("notifications")
        if notifications is UNKNOWN:
            continue
        kinds = {notification.get("thresholdType") for notification in (notifications or {}).values()}
        if not {"Actual", "Forecasted"} <= kinds:
            yield (
                each.urn,
                f"{each.name}: notify of what is spent (Actual) and of what is foreseen (Forecasted).",
            )


def dead_letters_alert(stack: Stack) -> Iterator[Finding]:
    """A message that was given up is a promise broken; somebody must be told."""
    if not _of(stack, "servicebus:Namespace"):
        return
    told = any(
        criterion.get("metricName") == "DeadletteredMessages"
        for each in _of(stack, "monitor:MetricAlert")
        if each.refuses("enabled", False)
        for criterion in each.items("criteria.allOf")
    )
    if not told:
        yield None, "No alert watches DeadletteredMessages of the bus; add one."


def private_is_closed(stack: Stack) -> Iterator[Finding]:
    """In a stack with a network, what holds data is reached from inside it only."""
    if not _of(stack, "network:VirtualNetwork"):
        return
    reached = {
        urn
        for each in _of(stack, "network:PrivateEndpoint")
        for urn in each.references.get("privateLinkServiceConnections", ())
    }
    for each in stack:
        if (path := KEEPERS.get(each.kind)) is None:
            continue
        if each.refuses(path, "Disabled"):
            yield each.urn, f"{each.name}: set {path} to Disabled; the stack is private."
        if each.urn not in reached:
            yield each.urn, f"{each.name}: add a private endpoint; nothing else reaches it."
    for app in _of(stack, "web:WebApp"):
        if not app.get("virtualNetworkSubnetId"):
            yield app.urn, f"{app.name}: set virtualNetworkSubnetId, or it reaches no data."


def edge_is_the_only_way(stack: Stack) -> Iterator[Finding]:
    """Where Front Door stands before the API, nobody goes around its firewall."""
    if not _of(stack, "cdn:Profile"):
        return
    if not _of(stack, "cdn:SecurityPolicy"):
        yield None, "Front Door has no firewall; add cdn.SecurityPolicy for its endpoint."
    for app in _of(stack, "web:WebApp"):
        if app.refuses("siteConfig.ipSecurityRestrictionsDefaultAction", "Deny"):
            yield app.urn, f"{app.name}: deny what does not come from Front Door."


def evidence_is_write_once(stack: Stack) -> Iterator[Finding]:
    """Evidence that could be changed proves nothing."""
    fixed = {
        urn
        for each in _of(stack, "storage:BlobContainerImmutabilityPolicy")
        for urn in each.references.get("containerName", ())
    }
    for each in _of(stack, "storage:BlobContainer"):
        if each.get("containerName") == "evidence" and each.urn not in fixed:
            yield each.urn, f"{each.name}: add an immutability policy."
    for policy in _of(stack, "storage:ManagementPolicy"):
        for rule in policy.items("policy.rules"):
            if "delete" in rule["definition"]["actions"].get("baseBlob", {}):
                yield (
                    policy.urn,
                    f"{policy.name}: rule {rule['name']} deletes what must be kept; tier it instead.",
                )


def production_is_protected(stack: Stack) -> Iterator[Finding]:
    """In production a wrong line in the program cannot destroy data."""
    for each in stack:
        tags = each.get("tags")
        if (
            each.kind in KEEPERS
            and isinstance(tags, dict)
            and tags.get("environment") == "prod"
            and not each.protect
        ):
            yield each.urn, f"{each.name}: protect it (slipway:protect)."


def _of(stack: Stack, kind: str) -> list[Seen]:
    return [each for each in stack if each.kind == kind]


STACK_RULES: dict[str, StackRule] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        diagnostics,
        budget,
        dead_letters_alert,
        private_is_closed,
        edge_is_the_only_way,
        evidence_is_write_once,
        production_is_protected,
    )
}
