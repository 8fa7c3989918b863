"""What a stack costs in a month in which nobody uses it, by list prices: `python -m infra.costs dev`. The
floor: traffic, storage, logs, taxes and discounts are not in it.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.app_settings import DRIFT_MINUTES, SWEEP_MINUTES
from infra.recording import FOLDER, Recording, Resource, record

PRICES: dict[str, Any] = json.loads((FOLDER / "prices.json").read_text(encoding="utf-8"))
_PRICE: Mapping[str, float] = PRICES["prices"]
_FREE: Mapping[str, float] = PRICES["free"]
_HOURS: int = PRICES["hoursAMonth"]
_SECONDS = _HOURS * 3600

_TIMERS_SECONDS = (SWEEP_MINUTES * 60, DRIFT_MINUTES * 60)
"""How often the timers of the workers run, each of which wakes an instance for a second at least."""


@dataclass(frozen=True)
class Line:
    what: str
    monthly: float


type Pricing = Callable[[Resource], float]


def _service_bus(resource: Resource) -> float:
    sku = resource.inputs["sku"]
    if sku["name"] == "Premium":
        return int(sku["capacity"]) * _PRICE["serviceBusPremiumUnitHour"] * _HOURS
    return _PRICE["serviceBusStandardHour"] * _HOURS


def _database(resource: Resource) -> float:
    scale = resource.inputs.get("options", {}).get("autoscaleSettings")
    if not scale:
        return 0  # serverless: by the request
    floor = float(scale["maxThroughput"]) / 10
    return floor / 100 * _PRICE["cosmosAutoscale100RequestUnitsHour"] * _HOURS


def _function_app(resource: Resource) -> float:
    scale = resource.inputs["functionAppConfig"]["scaleAndConcurrency"]
    memory = float(scale["instanceMemoryMB"]) / 1024
    warm = sum(float(each["instanceCount"]) for each in scale["alwaysReady"])
    settings = {row["name"]: row["value"] for row in resource.inputs["siteConfig"]["appSettings"]}
    awake = 0.0 if settings["SLIPWAY_ROLE"] == "api" else _sweeps(memory)
    return warm * memory * _SECONDS * _PRICE["functionsAlwaysReadyGbSecond"] + awake


def _sweeps(memory: float) -> float:
    """The timers' runs of a month, at the shortest that is billed, less what is free."""
    runs = sum(_SECONDS / every for every in _TIMERS_SECONDS)
    gb_seconds = max(0.0, runs * memory - _FREE["functionsGbSeconds"])
    executions = max(0.0, runs - _FREE["functionsExecutions"])
    return (
        gb_seconds * _PRICE["functionsOnDemandGbSecond"]
        + executions / 1_000_000 * _PRICE["functionsMillionExecutions"]
    )


def _metric_alert(resource: Resource) -> float:
    series = 0
    for criterion in resource.inputs["criteria"].get("allOf", [{}]):
        values = [len(each["values"]) for each in criterion.get("dimensions", [])]
        series += max([1, *values])
    return series * _PRICE["metricAlertSeriesMonth"]


def _web_test(resource: Resource) -> float:
    runs = len(resource.inputs["locations"]) * _SECONDS / float(resource.inputs["frequency"])
    return runs * _PRICE["webTestRun"]


def _front_door(resource: Resource) -> float:
    is_premium = resource.inputs["sku"]["name"].startswith("Premium")
    return _PRICE["frontDoorPremiumMonth" if is_premium else "frontDoorStandardMonth"]


PRICED: dict[str, Pricing] = {
    "applicationinsights:WebTest": _web_test,
    "cdn:Profile": _front_door,
    "cosmosdb:SqlResourceSqlDatabase": _database,
    "monitor:MetricAlert": _metric_alert,
    "monitor:ScheduledQueryRule": lambda _: _PRICE["logAlertFiveMinutesMonth"],
    "network:NatGateway": lambda _: _PRICE["natGatewayHour"] * _HOURS,
    "network:PrivateEndpoint": lambda _: _PRICE["privateEndpointHour"] * _HOURS,
    "network:PublicIPAddress": lambda _: _PRICE["publicAddressHour"] * _HOURS,
    "privatedns:PrivateZone": lambda _: _PRICE["privateZoneMonth"],
    "servicebus:Namespace": _service_bus,
    "web:WebApp": _function_app,
}
FREE = frozenset(
    {
        "app:ContainerApp",  # starts at nought
        "app:Job",
        "app:ManagedEnvironment",
        "applicationinsights:Component",  # by what is sent
        "authorization:RoleAssignment",
        "cdn:AFDEndpoint",
        "cdn:AFDOrigin",
        "cdn:AFDOriginGroup",
        "cdn:Route",
        "cdn:SecurityPolicy",
        "consumption:Budget",
        "cosmosdb:DatabaseAccount",
        "cosmosdb:SqlResourceSqlContainer",
        "cosmosdb:SqlResourceSqlRoleAssignment",
        "eventgrid:SystemTopic",  # by the event
        "eventgrid:SystemTopicEventSubscription",
        "frontdoor:Policy",  # within Front Door's base fee
        "keyvault:Vault",  # by the call
        "managedidentity:FederatedIdentityCredential",
        "managedidentity:UserAssignedIdentity",
        "monitor:ActionGroup",
        "monitor:DiagnosticSetting",
        "network:PrivateDnsZoneGroup",
        "network:Subnet",
        "network:VirtualNetwork",
        "operationalinsights:Workspace",  # by the gigabyte
        "privatedns:VirtualNetworkLink",
        "resources:ResourceGroup",
        "servicebus:NamespaceNetworkRuleSet",
        "servicebus:Queue",
        "storage:BlobContainer",
        "storage:BlobContainerImmutabilityPolicy",
        "storage:BlobServiceProperties",
        "storage:ManagementPolicy",
        "storage:StorageAccount",  # by the gigabyte
        "web:AppServicePlan",
        "web:WebAppFtpAllowed",
        "web:WebAppScmAllowed",
    }
)
"""What costs nothing while it is not used. A type in neither table is a decision that nobody has made."""


def floor(recording: Recording) -> list[Line]:
    """What is paid whatever happens, dearest first; resources of one type together."""
    totals: defaultdict[str, float] = defaultdict(float)
    for resource in recording.resources:
        kind = resource.type.removeprefix("azure-native:")
        if pricing := PRICED.get(kind):
            totals[kind] += pricing(resource)
    lines = [Line(kind, monthly) for kind, monthly in totals.items() if monthly]
    return sorted(lines, key=lambda line: -line.monthly)


def report(recording: Recording) -> list[str]:
    """The floor, and how large the program is."""
    lines, custom = floor(recording), sum(each.custom for each in recording.resources)
    chain = recording.longest_chain()
    edges = len(list(recording.edges()))
    head = f"{PRICES['currency']} a month, idle, list prices of {PRICES['region']} as of {PRICES['asOf']}"
    return [
        f"{recording.stack}: {sum(each.monthly for each in lines):.2f} {head}",
        *(f"  {each.monthly:>9.2f}  {each.what}" for each in lines),
        f"{len(recording.resources)} resources ({custom} in Azure), {edges} edges",
        f"longest chain {len(chain)}: {' > '.join(chain)}",
        PRICES["note"],
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.costs", description=__doc__)
    parser.add_argument("stack", help="name of the stack, as in Pulumi.<stack>.yaml")
    sys.stdout.write("\n".join(report(record(parser.parse_args(arguments).stack))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
