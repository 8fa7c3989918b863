"""What resources are called, and what Azure accepts as their names. Deterministic: a stack keeps its names,
and two stacks never share one.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

PROJECT = "slipway"
ENVIRONMENT = re.compile(r"[a-z][a-z0-9]{1,4}")
"""At most five characters, or the name of a storage account would not fit."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which input names a resource of one type, and what may stand there."""

    property: str
    shortest: int
    longest: int
    pattern: re.Pattern[str]

    def broken_by(self, name: str) -> str | None:
        if not self.shortest <= len(name) <= self.longest:
            return f"`{name}` has {len(name)} characters; {self.shortest} to {self.longest} are allowed"
        if not self.pattern.fullmatch(name):
            return f"`{name}` has characters that Azure refuses here ({self.pattern.pattern})"
        return None


_COMPACT = re.compile(r"[a-z0-9]+")
_LOWER = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_LETTER_FIRST = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9])*")
_WORDS = re.compile(r"[a-zA-Z0-9](?:[-._a-zA-Z0-9]*[_a-zA-Z0-9])?")

RULES: dict[str, Rule] = {
    "azure-native:app:ContainerApp": Rule("containerAppName", 2, 32, _LOWER),
    "azure-native:app:Job": Rule("jobName", 2, 32, _LOWER),
    "azure-native:app:ManagedEnvironment": Rule("environmentName", 2, 60, _LETTER_FIRST),
    "azure-native:applicationinsights:Component": Rule("resourceName", 1, 260, _WORDS),
    "azure-native:cdn:AFDEndpoint": Rule("endpointName", 1, 46, _LOWER),
    "azure-native:cdn:Profile": Rule("profileName", 1, 90, _LETTER_FIRST),
    "azure-native:cosmosdb:DatabaseAccount": Rule("accountName", 3, 44, _LOWER),
    "azure-native:consumption:Budget": Rule("budgetName", 1, 63, _WORDS),
    "azure-native:cosmosdb:SqlResourceSqlContainer": Rule("containerName", 1, 255, _WORDS),
    "azure-native:cosmosdb:SqlResourceSqlDatabase": Rule("databaseName", 1, 255, _WORDS),
    "azure-native:eventgrid:SystemTopic": Rule("systemTopicName", 3, 50, _LETTER_FIRST),
    "azure-native:frontdoor:Policy": Rule("policyName", 1, 80, re.compile(r"[a-zA-Z][a-zA-Z0-9]*")),
    "azure-native:keyvault:Vault": Rule("vaultName", 3, 24, _LETTER_FIRST),
    "azure-native:managedidentity:UserAssignedIdentity": Rule("resourceName", 3, 128, _WORDS),
    "azure-native:monitor:ActionGroup": Rule("actionGroupName", 1, 260, _WORDS),
    "azure-native:monitor:MetricAlert": Rule("ruleName", 1, 260, _WORDS),
    "azure-native:network:NatGateway": Rule("natGatewayName", 1, 80, _WORDS),
    "azure-native:network:PrivateEndpoint": Rule("privateEndpointName", 2, 64, _WORDS),
    "azure-native:network:PublicIPAddress": Rule("publicIpAddressName", 1, 80, _WORDS),
    "azure-native:network:Subnet": Rule("subnetName", 1, 80, _WORDS),
    "azure-native:network:VirtualNetwork": Rule("virtualNetworkName", 2, 64, _WORDS),
    "azure-native:operationalinsights:Workspace": Rule("workspaceName", 4, 63, _LETTER_FIRST),
    "azure-native:resources:ResourceGroup": Rule("resourceGroupName", 1, 90, _WORDS),
    "azure-native:servicebus:Namespace": Rule("namespaceName", 6, 50, _LETTER_FIRST),
    "azure-native:servicebus:Queue": Rule("queueName", 1, 260, _WORDS),
    "azure-native:storage:BlobContainer": Rule("containerName", 3, 63, _LOWER),
    "azure-native:storage:StorageAccount": Rule("accountName", 3, 24, _COMPACT),
    "azure-native:web:AppServicePlan": Rule("name", 1, 60, _LETTER_FIRST),
    # The host takes the first 32 characters as its id: two apps that share them share their locks.
    "azure-native:web:WebApp": Rule("name", 2, 32, _LETTER_FIRST),
}


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stack's resources. `suffix` makes them unique in the world."""

    environment: str
    suffix: str

    @classmethod
    def of(cls, organization: str, project: str, stack: str, environment: str) -> "Names":
        place = f"{organization}/{project}/{stack}"
        return cls(environment, sha256(place.encode()).hexdigest()[:6])

    def __call__(self, kind: str) -> str:
        """`kv` -> `kv-slipway-dev-1a2b3c`."""
        return f"{kind}-{PROJECT}-{self.environment}-{self.suffix}"

    def compact(self, kind: str) -> str:
        """The same where no dash is allowed: `st` -> `stslipwaydev1a2b3c`."""
        return self(kind).replace("-", "")


def camel(name: str) -> str:
    """`budget_from` as the configuration writes it: `budgetFrom`."""
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)
