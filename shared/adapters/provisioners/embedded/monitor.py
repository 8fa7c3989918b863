"""The engine's side of Pulumi's protocol: translates between its messages and a simulation. Needs pulumi and
grpcio; only imported when a run begins."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from shared.adapters.provisioners.embedded import urns
from shared.adapters.provisioners.embedded.properties import Properties, plain
from shared.adapters.provisioners.embedded.simulation import Registered, Registration, Simulation
from shared.domain.kernel.errors import Invalid
from shared.ports.provisioner import Diagnostic, Progress

type Emit = Callable[[Progress], Awaitable[None]]
type Invoke = Callable[[Properties], Properties]

_FEATURES = {
    "secrets": resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    "resourceReferences": resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    "outputValues": resource_pb2.RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES,
    "aliasSpecs": resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    "deletedWith": resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    "replaceWith": resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    "resourceHooks": resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
    "errorHooks": resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS,
    "parameterization": resource_pb2.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
}
_MOST_DIAGNOSTICS = 1000
_LAST_LINES = 30
_SEVERITIES: Mapping[int, str] = {
    engine_pb2.INFO: "info",
    engine_pb2.WARNING: "warning",
    engine_pb2.ERROR: "error",
}
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
]


def _properties(struct: struct_pb2.Struct) -> Properties:
    values: Properties = plain(json_format.MessageToDict(struct))
    return values


def _struct(values: Properties) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def _alias(alias: Any) -> urns.Alias:
    if alias.WhichOneof("alias") == "urn":
        return str(alias.urn)
    spec = alias.spec
    return urns.AliasSpec(
        spec.name, spec.type, spec.stack, spec.project, spec.parentUrn or None, bool(spec.noParent)
    )


def _unsupported(request: resource_pb2.RegisterResourceRequest) -> str:
    """What this engine would have to pass over in silence."""
    if request.remote:
        return "is a component of another process, which needs a provider plugin"
    if request.importId:
        return f"is to be imported ({request.importId}), which needs a provider plugin"
    if request.transforms:
        return "has transforms, which this engine does not call back"
    if request.state_migrations:
        return "has state migrations, which this engine does not call back"
    if request.type.startswith("pulumi-python:dynamic"):
        return "is a dynamic resource, which needs the dynamic provider of the real engine"
    return ""


def registration(request: resource_pb2.RegisterResourceRequest) -> Registration:
    trigger = request.replacement_trigger if request.HasField("replacement_trigger") else None
    return Registration(
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=request.custom,
        inputs=_properties(request.object),
        dependencies=tuple(request.dependencies),
        property_dependencies={
            name: tuple(sorted(found.urns)) for name, found in sorted(request.propertyDependencies.items())
        },
        provider=request.provider,
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        replace_with=tuple(request.replace_with),
        replacement_trigger=plain(json_format.MessageToDict(trigger)) if trigger is not None else None,
        deleted_with=request.deletedWith,
        aliases=(*(_alias(alias) for alias in request.aliases), *request.aliasURNs),
        secret_outputs=frozenset(request.additionalSecretOutputs),
    )


class Monitor(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """Both services a program talks to, and ours that hands it its order."""

    def __init__(
        self,
        simulation: Simulation,
        order: Mapping[str, Any],
        invokes: Mapping[str, Invoke],
        emit: Emit,
        hide: Callable[[str], str],
    ) -> None:
        self._simulation = simulation
        self._order = order
        self._invokes = invokes
        self._emit = emit
        self._hide = hide
        self._root = ""
        self._turn = asyncio.Lock()  # one registration at a time; reading assets leaves the event loop
        self._printed: deque[str] = deque(maxlen=_LAST_LINES)
        self.diagnostics: list[Diagnostic] = []

    @property
    def finished(self) -> bool:
        """Whether the program came as far as its outputs."""
        return self._simulation.finished

    def serve(self, address: str) -> Any:
        """A server on `address`, not yet started."""
        server = grpc.aio.server(options=_OPTIONS)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self, server)
        engine_pb2_grpc.add_EngineServicer_to_server(self, server)
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(method)
            for name, method in (("Order", self.hand_order), ("Describe", self.describe))
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("slipway.Program", handlers),))
        server.add_insecure_port(address)
        return server

    async def say(self, severity: Any, message: str, urn: str | None = None) -> None:
        message = self._hide(message)
        if len(self.diagnostics) < _MOST_DIAGNOSTICS or severity == "error":
            self.diagnostics.append(Diagnostic(severity, message, urn))
        await self._emit(Progress("diagnostic", f"{severity}: {message}", urn))

    async def printed(self, line: str) -> None:
        """A line that the program printed, to either stream."""
        line = self._hide(line)
        self._printed.append(line)
        await self._emit(Progress("output", line))

    @property
    def last_words(self) -> str:
        """What the program printed last: why it failed, if it never came as far as the engine's log."""
        return "\n".join(self._printed)

    async def hand_order(self, request: bytes, _context: Any) -> bytes:
        if reason := json.loads(request)["network"]:
            text = f"The program ran with this machine's network: it could not be taken away ({reason})."
            await self.say("warning", text)
        return json.dumps(self._order).encode()

    async def describe(self, request: bytes, _context: Any) -> bytes:
        message = json.loads(request)
        self._simulation.describe(message["type"], message["shape"])
        return b"{}"

    async def _refuse(self, context: Any, message: str, urn: str | None = None) -> NoReturn:
        await self.say("error", message, urn)
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        raise AssertionError("abort raises")

    async def GetDeploymentInfo(self, request: empty_pb2.Empty, context: Any) -> resource_pb2.DeploymentInfo:
        order = self._order
        return resource_pb2.DeploymentInfo(
            project=order["project"],
            stack=order["stack"],
            organization=order["organization"],
            config=order["config"],
            configSecretKeys=order["secret_keys"],
            dryRun=order["dry_run"],
            supportedFeatures=list(_FEATURES.values()),
        )

    async def SupportsFeature(
        self, request: resource_pb2.SupportsFeatureRequest, context: Any
    ) -> resource_pb2.SupportsFeatureResponse:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURES)

    async def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest, context: Any
    ) -> resource_pb2.RegisterResourceResponse:
        if missing := _unsupported(request):
            await self._refuse(context, f"{request.name} ({request.type}) {missing}; use another backend.")
        wanted = registration(request)
        try:
            async with self._turn:
                answer = await asyncio.to_thread(self._simulation.register, wanted)
        except Invalid as error:
            await self._refuse(context, error.message)
        await self._announce(answer.urn)
        return resource_pb2.RegisterResourceResponse(
            urn=answer.urn, id=answer.id, object=_struct(answer.outputs)
        )

    async def _announce(self, urn: str) -> None:
        change = self._simulation.change(urn)
        line = f"{change.action} {change.type} {change.name}"
        await self._emit(Progress("resource", line, urn, change.action))

    async def ReadResource(
        self, request: resource_pb2.ReadResourceRequest, context: Any
    ) -> resource_pb2.ReadResourceResponse:
        wanted = Registration(
            type=request.type,
            name=request.name,
            parent=request.parent,
            inputs=_properties(request.properties),
            dependencies=tuple(request.dependencies),
            secret_outputs=frozenset(request.additionalSecretOutputs),
        )
        try:
            async with self._turn:
                answer: Registered = await asyncio.to_thread(self._simulation.read, wanted, request.id)
        except Invalid as error:
            await self._refuse(context, error.message)
        await self._announce(answer.urn)
        return resource_pb2.ReadResourceResponse(
            urn=answer.urn, id=answer.id, properties=_struct(answer.outputs)
        )

    async def RegisterResourceOutputs(
        self, request: resource_pb2.RegisterResourceOutputsRequest, context: Any
    ) -> empty_pb2.Empty:
        try:
            async with self._turn:
                values = _properties(request.outputs)
                await asyncio.to_thread(self._simulation.complete, request.urn, values)
        except Invalid as error:
            await self._refuse(context, error.message, request.urn)
        return empty_pb2.Empty()

    async def Invoke(
        self, request: resource_pb2.ResourceInvokeRequest, context: Any
    ) -> resource_pb2.ResourceInvokeResponse:
        response = resource_pb2.ResourceInvokeResponse()
        invoke = self._invokes.get(request.tok)
        if invoke is None:
            reason = (
                f"{request.tok} asks the cloud, which this engine does not have; give it a row in `invokes`."
            )
            await self.say("error", reason)
            response.failures.append(provider_pb2.CheckFailure(reason=reason))
        else:
            getattr(response, "return").update(invoke(_properties(request.args)))
        return response

    async def Call(self, request: resource_pb2.ResourceCallRequest, context: Any) -> NoReturn:
        await self._refuse(
            context, f"{request.tok} calls a provider plugin, which this engine does not have."
        )

    async def ExistsResource(self, request: resource_pb2.ExistsResourceRequest, context: Any) -> NoReturn:
        await self._refuse(context, f"Whether {request.id!r} exists, only the cloud could say.")

    async def RegisterStackTransform(self, request: Any, context: Any) -> NoReturn:
        await self._refuse(context, "Stack transforms are not called back by this engine.")

    async def RegisterStackInvokeTransform(self, request: Any, context: Any) -> NoReturn:
        await self._refuse(context, "Invoke transforms are not called back by this engine.")

    async def RegisterResourceHook(
        self, request: resource_pb2.RegisterResourceHookRequest, context: Any
    ) -> empty_pb2.Empty:
        return await self._note_hook(request.name)

    async def RegisterErrorHook(
        self, request: resource_pb2.RegisterErrorHookRequest, context: Any
    ) -> empty_pb2.Empty:
        return await self._note_hook(request.name)

    async def _note_hook(self, name: str) -> empty_pb2.Empty:
        await self.say("warning", f"The hook {name!r} is known and never run: nothing is really changed.")
        return empty_pb2.Empty()

    async def RegisterPackage(
        self, request: resource_pb2.RegisterPackageRequest, context: Any
    ) -> resource_pb2.RegisterPackageResponse:
        parameter = request.parameterization.name or request.extension.name
        return resource_pb2.RegisterPackageResponse(ref=f"{request.name}@{request.version}/{parameter}")

    async def SignalAndWaitForShutdown(self, request: empty_pb2.Empty, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()  # no hook will need the program any more

    async def Log(self, request: engine_pb2.LogRequest, context: Any) -> empty_pb2.Empty:
        severity = _SEVERITIES.get(request.severity)
        if severity and request.ephemeral:
            await self._emit(Progress("output", self._hide(request.message), request.urn or None))
        elif severity:
            await self.say(severity, request.message.rstrip(), request.urn or None)
        return empty_pb2.Empty()

    async def RequirePulumiVersion(
        self, request: engine_pb2.RequirePulumiVersionRequest, context: Any
    ) -> engine_pb2.RequirePulumiVersionResponse:
        text = f"The program wants Pulumi {request.pulumi_version_range}; there is no CLI here to ask."
        await self.say("warning", text)
        return engine_pb2.RequirePulumiVersionResponse()

    async def GetRootResource(
        self, request: engine_pb2.GetRootResourceRequest, context: Any
    ) -> engine_pb2.GetRootResourceResponse:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    async def SetRootResource(
        self, request: engine_pb2.SetRootResourceRequest, context: Any
    ) -> engine_pb2.SetRootResourceResponse:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()
