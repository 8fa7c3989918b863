"""Asks CrossGuard policy packs about the resources of a run, over their own protocol. Needs pulumi, grpcio.

A pack keeps the machine's network, because it listens on a loopback port; its environment is scrubbed as a
program's is.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from shared.adapters.processes import Group, Scratch
from shared.adapters.provisioners.embedded.process import Limits, start_child
from shared.adapters.provisioners.embedded.properties import Properties
from shared.adapters.provisioners.embedded.simulation import Simulation
from shared.adapters.provisioners.embedded.state import Resource
from shared.adapters.provisioners.embedded.urns import name_of
from shared.domain.kernel.errors import Permanent
from shared.ports.provisioner import Level, PolicyViolation, Stack

_PATIENCE = 60.0
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
]


class PolicyPackFailed(Permanent):
    """A policy pack did not start or broke while it was asked. What it would have said is not known, so
    nothing may be applied."""

    code = "policy_pack_failed"


@dataclass(frozen=True, slots=True)
class _Pack:
    """A pack's process. It prints its port, then serves."""

    folder: Path
    scratch: Scratch
    group: Group
    printed: Path

    async def port(self) -> int:
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            text = self.printed.read_bytes()
            numbers = [line for line in text.split(b"\n")[:-1] if line.isdigit()]  # warnings may come first
            if numbers:
                return int(numbers[0])
            if self.group.exit_code() is not None or asyncio.get_running_loop().time() >= deadline:
                raise PolicyPackFailed(self._story("did not start", text))
            await asyncio.sleep(0.02)

    def _story(self, what: str, text: bytes) -> str:
        last = text.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return f"The policy pack {self.folder.name!r} {what}: {last[0]}"

    async def ask(
        self, stack: Stack, project: str, preview: bool, simulation: Simulation
    ) -> list[PolicyViolation]:
        address = f"127.0.0.1:{await self.port()}"
        async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
            analyzer = analyzer_pb2_grpc.AnalyzerStub(channel)
            try:
                return await self._ask(analyzer, stack, project, preview, simulation)
            except grpc.aio.AioRpcError as error:
                details = (error.details() or "").strip().splitlines()[-1:] or ["it went away"]
                raise PolicyPackFailed(f"The policy pack {self.folder.name!r} broke: {details[0]}") from None

    async def _ask(
        self, analyzer: Any, stack: Stack, project: str, preview: bool, simulation: Simulation
    ) -> list[PolicyViolation]:
        await analyzer.ConfigureStack(
            analyzer_pb2.AnalyzerStackConfigureRequest(
                stack=stack.name, project=project, organization=stack.tenant, dry_run=preview
            ),
            timeout=_PATIENCE,
        )
        found: list[PolicyViolation] = []
        asked = []
        for resource in simulation.resources():
            inputs, answered = simulation.sent(resource.urn)
            request = analyzer_pb2.AnalyzeRequest(
                type=resource.type,
                urn=resource.urn,
                name=name_of(resource.urn),
                properties=_struct(inputs),
                options=_options(resource),
            )
            answer = await analyzer.Analyze(request, timeout=_PATIENCE)
            found += [_violation(diagnostic, resource.urn) for diagnostic in answer.diagnostics]
            asked.append(_resource(resource, {**inputs, **answered}))
        request = analyzer_pb2.AnalyzeStackRequest(resources=asked)
        answer = await analyzer.AnalyzeStack(request, timeout=_PATIENCE)
        found += [_violation(diagnostic, None) for diagnostic in answer.diagnostics]
        return found


def _struct(values: Properties) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def _options(resource: Resource) -> analyzer_pb2.AnalyzerResourceOptions:
    return analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect, parent=resource.parent)


def _resource(resource: Resource, properties: Properties) -> analyzer_pb2.AnalyzerResource:
    return analyzer_pb2.AnalyzerResource(
        type=resource.type,
        urn=resource.urn,
        name=name_of(resource.urn),
        properties=_struct(properties),
        options=_options(resource),
        parent=resource.parent,
        dependencies=list(resource.dependencies),
        propertyDependencies={
            name: analyzer_pb2.AnalyzerPropertyDependencies(urns=list(found))
            for name, found in resource.property_dependencies.items()
        },
    )


def _violation(diagnostic: Any, urn: str | None) -> PolicyViolation:
    level: Level = "advisory" if diagnostic.enforcementLevel == analyzer_pb2.ADVISORY else "mandatory"
    return PolicyViolation(
        diagnostic.policyPackName, diagnostic.policyName, level, diagnostic.message, diagnostic.urn or urn
    )


@dataclass(frozen=True, slots=True)
class Packs:
    """The packs of a run; their processes start together and are asked one after the other."""

    packs: Sequence[_Pack]

    async def ask(
        self, stack: Stack, project: str, preview: bool, simulation: Simulation
    ) -> tuple[PolicyViolation, ...]:
        """Every violation, in a settled order. Raises PolicyPackFailed."""
        found = [
            violation
            for pack in self.packs
            for violation in await pack.ask(stack, project, preview, simulation)
        ]
        return tuple(
            sorted(found, key=lambda v: (v.level != "mandatory", v.pack, v.policy, v.urn or "", v.message))
        )


@contextlib.asynccontextmanager
async def serving(folders: Sequence[Path], work: Path, limits: Limits) -> AsyncIterator[Packs]:
    """Start the packs; they load while the program runs. They are ended with the block."""
    packs: list[_Pack] = []
    try:
        for number, folder in enumerate(folders):
            packs.append(await asyncio.to_thread(_start, folder.absolute(), work / f"pack{number}", limits))
        yield Packs(packs)
    finally:
        for pack in packs:
            await asyncio.shield(pack.scratch.discard(0))


def _start(folder: Path, work: Path, limits: Limits) -> _Pack:
    if not (folder / "PulumiPolicy.yaml").is_file() or not (folder / "__main__.py").is_file():
        raise PolicyPackFailed(
            f"The policy pack {folder.name!r} needs a PulumiPolicy.yaml and a __main__.py in its folder."
        )
    scratch = Scratch(work)
    scratch.create()
    printed = work / "printed"
    handle = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        group = start_child(scratch, limits, folder, handle, {"pack": str(folder)})
    finally:
        os.close(handle)
    return _Pack(folder, scratch, group, printed)
