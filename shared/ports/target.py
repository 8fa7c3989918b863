"""Where releases run: the embedded folder target, and later container apps, clusters and agents."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from shared.domain.kernel.errors import Conflict, Permanent


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
class Split:
    """A stage between two workloads: `instances` of the wanted one, `others` of the one that ran before it,
    and how many percent of the requests (0 to 100) go to the wanted one. With 100 it has taken the place
    over, and others that are left only stand by.

    So many of the others as `unavailable` may be stopped before the new instances are healthy. A target that
    has seen a higher `fence` refuses this one: it comes from somebody who was overtaken.
    """

    instances: int = 1
    others: int = 0
    weight: int = 100
    unavailable: int = 0
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workload that is being brought in beside what runs, with its share of the requests in percent."""

    revision: str
    weight: int
    health: Literal["healthy", "unhealthy"]
    message: str = ""


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is really there. `revision` is None when nothing is deployed; `url` is set for a running
    service; `altered` is a file of it that somebody has changed or removed since, where a target can tell."""

    revision: str | None
    digest: str | None
    version: str | None
    kind: Literal["none", "files", "service"]
    health: Literal["healthy", "unhealthy", "unknown"]
    url: str | None = None
    message: str = ""
    candidate: Candidate | None = None
    altered: str = ""


class Overtaken(Conflict):
    """Somebody who started later has changed the place."""

    code = "overtaken"


class DeployFailed(Permanent):
    """The target said no: digest mismatch, a broken bundle, a service that did not become healthy.

    The version before is what runs."""

    code = "deploy_failed"


class Target(Protocol):
    async def observe(self, tenant: str, environment: str, component: str) -> LiveState: ...

    async def apply(
        self, workload: Workload, artifact: Callable[[], Awaitable[Path]], split: Split | None = None
    ) -> LiveState:
        """Make the live state equal to `workload`, as far as `split` says; `artifact` gives the bundle
        (tar.gz or zip) when it is needed.

        Verify the digest, unpack beside, switch atomically, start a service and wait for its health, only
        then
        stop the one before; on failure switch back and raise DeployFailed. Equal state: nothing happens,
        but what was altered is made anew.

        Without a split the workload runs alone, in as many instances as before; one that is being brought in
        step by step is left to whoever does that. Raises Overtaken for a fence that is too low.
        """

    async def remove(self, tenant: str, environment: str, component: str) -> None: ...
