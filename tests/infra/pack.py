"""The policy pack as Pulumi runs it: its own process, asked over its own protocol."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.recording import Recording, Resource
from tests.support.host import ROOT

MANDATORY = analyzer_pb2.MANDATORY


@dataclass(frozen=True)
class Violation:
    policy: str
    urn: str
    message: str


class Pack:
    """Asks a served pack what it has against a stack."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = analyzer_pb2_grpc.AnalyzerStub(channel)
        self._known: dict[int, _Asked] = {}

    @property
    def policies(self) -> set[str]:
        info = self._stub.GetAnalyzerInfo(Empty())
        return {policy.name for policy in info.policies if policy.enforcementLevel == MANDATORY}

    def judge(self, recording: Recording) -> list[Violation]:
        """Every resource by itself, then all of them together, as at the end of an update."""
        asked = [self._asked(resource) for resource in recording.resources]
        found = [violation for each in asked for violation in each.violations]
        together = analyzer_pb2.AnalyzeStackRequest(resources=[each.as_part for each in asked])
        return found + _violations(self._stub.AnalyzeStack(together))

    def _asked(self, resource: Resource) -> "_Asked":
        """What is the same object as before is not asked about again: most of a stack with one fault."""
        known = self._known.get(id(resource))
        if known is None:
            alone, as_part = _messages(resource)
            known = _Asked(resource, as_part, _violations(self._stub.Analyze(alone)))
            self._known[id(resource)] = known
        return known


@dataclass(frozen=True)
class _Asked:
    """Holds the resource, too: its id must not become another's."""

    resource: Resource
    as_part: analyzer_pb2.AnalyzerResource
    violations: list[Violation]


def _messages(resource: Resource) -> tuple[analyzer_pb2.AnalyzeRequest, analyzer_pb2.AnalyzerResource]:
    """A resource as it is asked about alone, and as part of its stack."""
    properties = Struct()
    properties.update(resource.inputs)
    told: dict[str, Any] = {
        "type": resource.type,
        "name": resource.name,
        "urn": resource.urn,
        "properties": properties,
        "options": analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect),
    }
    references = {
        name: analyzer_pb2.AnalyzerPropertyDependencies(urns=urns)
        for name, urns in resource.property_dependencies.items()
    }
    as_part = analyzer_pb2.AnalyzerResource(
        **told,
        parent=resource.parent,
        dependencies=resource.dependencies,
        propertyDependencies=references,
    )
    return analyzer_pb2.AnalyzeRequest(**told), as_part


def _violations(answer: analyzer_pb2.AnalyzeResponse) -> list[Violation]:
    return [Violation(each.policyName, each.urn, each.message) for each in answer.diagnostics]


@contextmanager
def served() -> Iterator[Pack]:
    """The pack in a process of its own, until the block ends."""
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", str(ROOT / "infra" / "policy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port.isdigit(), "the pack did not start; see its errors above"
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Pack(channel)
        finally:
            process.terminate()
