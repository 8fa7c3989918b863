"""Where releases run: the embedded folder target, and later container apps, clusters and agents."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from shared.domain.kernel.errors import Permanent


@dataclass(frozen=True, slots=True)
class Workload:
    """Desired state of one component in one environment. Equal workloads have equal `revision`s.

    `digest` is `sha256:` of the artifact. `environment` reaches the service's processes.
    """

    tenant: str
    environment: str
    component: str
    version: str
    digest: str
    revision: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is really there. `revision` is None when nothing is deployed; `url` is set for a running
    service."""

    revision: str | None
    digest: str | None
    version: str | None
    kind: Literal["none", "files", "service"]
    health: Literal["healthy", "unhealthy", "unknown"]
    url: str | None = None
    message: str = ""


class DeployFailed(Permanent):
    """The target said no: digest mismatch, a broken bundle, a service that did not become healthy.

    The version before is what runs."""

    code = "deploy_failed"


class Target(Protocol):
    async def observe(self, tenant: str, environment: str, component: str) -> LiveState: ...

    async def apply(self, workload: Workload, artifact: Callable[[], Awaitable[Path]]) -> LiveState:
        """Make the live state equal to `workload`; `artifact` gives the bundle (tar.gz or zip) when it is
        needed.

        Verify the digest, unpack beside, switch atomically, start a service and wait for its health, only
        then
        stop the one before; on failure switch back and raise DeployFailed. Equal state: nothing happens.
        """

    async def remove(self, tenant: str, environment: str, component: str) -> None: ...
