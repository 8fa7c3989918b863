"""Runs the program with no cloud and no engine, and keeps what it asked for. For tests and estimates; what
Azure would refuse is not found here.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import Mocks, rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, set_mocks
from pulumi.runtime.stack import run_pulumi_func

from infra.names import PROJECT, RULES

FOLDER = Path(__file__).parent
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
TENANT = "00000000-0000-0000-0000-00000000bbbb"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as the program asked for it. Inputs are camelCase, as the provider gets them."""

    urn: str
    type: str
    name: str
    custom: bool
    protect: bool
    inputs: dict[str, Any]
    parent: str
    dependencies: tuple[str, ...]
    property_dependencies: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One run of the program."""

    stack: str
    resources: tuple[Resource, ...]
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Resource]:
        """By type without its provider, as in `storage:StorageAccount`."""
        return [each for each in self.resources if each.type == f"azure-native:{kind}"]

    def edges(self) -> Iterator[tuple[str, str]]:
        """(resource, one that it needs): by its inputs, by `depends_on`, or as its parent."""
        for each in self.resources:
            needed = {*each.dependencies, each.parent} - {""}
            yield from ((each.urn, other) for other in sorted(needed))

    def longest_chain(self) -> list[str]:
        """Names of the resources that have to be made one after another."""
        needs: dict[str, list[str]] = {each.urn: [] for each in self.resources}
        for urn, other in self.edges():
            if other in needs:
                needs[urn].append(other)
        chains: dict[str, list[str]] = {}
        for each in self.resources:
            longest = max(
                (chains[other] for other in needs[each.urn] if other in chains), key=len, default=[]
            )
            chains[each.urn] = [*longest, each.name]
        return max(chains.values(), key=len)


def stack_config(stack: str) -> dict[str, Any]:
    """What a stack's file says, by full name."""
    text = (FOLDER / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["config"])


def record(stack: str, overrides: Mapping[str, Any] | None = None) -> Recording:
    """Run the program as that stack. `overrides` are settings without their prefix; None takes one away.

    Raises RunError as the program does. Not for two threads at once: Pulumi's state is the process's.
    """
    config = stack_config(stack) | {f"{PROJECT}:{key}": value for key, value in (overrides or {}).items()}
    pulumi.runtime.set_all_config(
        {key: _as_text(value) for key, value in config.items() if value is not None}
    )
    monitor = _Recorder()
    with _own_loop() as loop:
        set_mocks(_Cloud(), project=PROJECT, stack=stack, organization="slipway", monitor=monitor)
        outputs = loop.run_until_complete(_run())
    return Recording(stack=stack, resources=tuple(monitor.recorded), outputs=outputs)


@contextmanager
def _own_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for one run, and one for the thread in which Pulumi asks its engine: it would make that one by
    itself, and never close it."""
    loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    engine = ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(other,))
    loop.set_default_executor(engine)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        engine.shutdown()
        asyncio.set_event_loop(None)
        loop.close()
        other.close()


async def _run() -> dict[str, Any]:
    # Imported here, so that what only reads a recording does without the SDK.
    from infra.program import build  # noqa: PLC0415

    outputs: dict[str, Any] = {}

    async def run() -> None:
        pulumi.Output.all(**build()).apply(outputs.update)

    await run_pulumi_func(lambda: asyncio.ensure_future(run()))
    return outputs


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)


_DEPLOYER = "azure-native:authorization:getClientConfig"


class _Recorder(MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Cloud())
        self.recorded: list[Resource] = []

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            needed = {key: tuple(each.urns) for key, each in request.propertyDependencies.items()}
            self.recorded.append(
                Resource(
                    urn=answer.urn,
                    type=request.type,
                    name=request.name,
                    custom=request.custom,
                    protect=request.protect,
                    inputs=rpc.deserialize_properties(request.object),
                    parent="" if "Stack::" in request.parent else request.parent,
                    dependencies=tuple(request.dependencies),
                    property_dependencies=needed,
                )
            )
        return answer


class _Cloud(Mocks):
    """Gives what Azure would: an id, and the few outputs that the program reads."""

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if args.token == _DEPLOYER:
            return {
                "clientId": "",
                "objectId": "",
                "subscriptionId": SUBSCRIPTION,
                "tenantId": TENANT,
            }, []
        raise NotImplementedError(f"the program asks the cloud for {args.token}; say here what it answers")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:
            return "", dict(args.inputs)
        rule = RULES.get(args.typ)
        name = str(args.inputs[rule.property]) if rule else args.name
        kind = args.typ.removeprefix("azure-native:").replace(":", "/")
        place = f"/subscriptions/{SUBSCRIPTION}"
        group = args.inputs.get("resourceGroupName")
        is_group = args.typ.endswith(":ResourceGroup")
        uri = f"{place}/resourceGroups/{group}" + ("" if is_group else f"/providers/{kind}/{name}")
        outputs = {**args.inputs, "name": name, **_outputs(args.typ, name, args.inputs)}
        identity = outputs.get("identity")
        if isinstance(identity, dict) and "userAssignedIdentities" in identity:
            # A list on the way in, a map on the way back.
            given: dict[str, Any] = {each: {} for each in identity["userAssignedIdentities"]}
            outputs["identity"] = {**identity, "userAssignedIdentities": given}
        return uri, outputs


def _outputs(kind: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    properties = inputs.get("properties", {})
    known: dict[str, dict[str, Any]] = {
        "storage:StorageAccount": {"primaryEndpoints": {"blob": f"https://{name}.blob.core.windows.net/"}},
        "cosmosdb:DatabaseAccount": {"documentEndpoint": f"https://{name}.documents.azure.com:443/"},
        "keyvault:Vault": {"properties": {**properties, "vaultUri": f"https://{name}.vault.azure.net/"}},
        "managedidentity:UserAssignedIdentity": {
            "clientId": f"client-of-{name}",
            "principalId": f"of-{name}",
        },
        "eventgrid:SystemTopic": {"identity": {"type": "SystemAssigned", "principalId": f"of-{name}"}},
        "applicationinsights:Component": {
            "connectionString": "InstrumentationKey=0;IngestionEndpoint=https://in"
        },
        "web:WebApp": {"defaultHostName": f"{name}.azurewebsites.net"},
        "cdn:Profile": {"frontDoorId": f"id-of-{name}"},
        "cdn:AFDEndpoint": {"hostName": f"{name}-0a1b2c3d.z01.azurefd.net"},
    }
    return known.get(kind.removeprefix("azure-native:"), {})
