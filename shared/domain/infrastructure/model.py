"""Stacks and the plans that change them. A plan is previewed, approved where it must be, and then carried out
as it was shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.approvals.model import Decision
from shared.domain.kernel.actor import ActorKind
from shared.domain.kernel.ids import child_id, root_id
from shared.domain.kernel.record import Entity, record


class Engine(StrEnum):
    PULUMI = "Pulumi"


class Operation(StrEnum):
    UP = "up"
    DESTROY = "destroy"


class PlanStatus(StrEnum):
    REQUESTED = "requested"
    """Waits for its turn to be previewed."""
    PREVIEWING = "previewing"
    PREVIEWED = "previewed"
    """May be carried out, and waits for its turn."""
    AWAITING_APPROVAL = "awaiting_approval"
    APPLYING = "applying"
    APPLIED = "applied"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StackStatus(StrEnum):
    NEW = "new"
    """Nothing was ever applied."""
    ACTIVE = "active"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Resources by what happens to them. `discard`: no longer ours, and kept. `read`: only looked up."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    discard: int = 0
    read: int = 0
    same: int = 0

    @property
    def is_destructive(self) -> bool:
        """A replacement ends what it replaces."""
        return self.delete + self.replace > 0


@dataclass(frozen=True, slots=True)
class Violation:
    """`level` is `mandatory`, which no plan gets past, or `advisory`."""

    pack: str
    policy: str
    level: str
    message: str
    urn: str | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """The one decision on a plan, bound to the digest that its approver was shown."""

    approver: str
    approver_for: str | None
    approver_kind: ActorKind
    decision: Decision
    comment: str
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an engine says that a plan would do. `changes` is the path of the blob that lists it; `obstacles`
    are sentences, and a plan that has any is not carried out."""

    digest: str
    engine_mode: str
    counts: Counts
    changes: str
    violations: tuple[Violation, ...] = ()
    obstacles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What carrying a plan out has come to. `outputs` is the path of the blob that holds them."""

    counts: Counts
    outputs: str | None


@record("stack", root="stack")
class Stack(Entity):
    """One stack of a registered program, in one environment for good.

    `queue` are the plans that wait for their turn, oldest first; `lock` is the one that is being worked on,
    and `token` counts the turns: work under an older token is late and changes nothing. `current` is the plan
    that led to what is there.
    """

    id: str
    tenant: str
    project: str
    name: str
    engine: Engine
    program: str
    environment_name: str
    status: StackStatus
    engine_mode: str | None = None
    digest: str | None = None
    outputs: str | None = None
    current: str | None = None
    last_plan: str | None = None
    lock: str | None = None
    token: int = 0
    queue: tuple[str, ...] = ()
    created_by: str
    applied_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@record("infrastructure-plan", root="stack")
class InfrastructurePlan(Entity):
    """`secrets` maps configuration keys to names in the tenant's vault; values are read when they are used.
    `needs_approval` is known once the preview has found nothing against the plan. `reason` is a code, and
    `cause` a sentence that says why it came to nothing."""

    id: str
    tenant: str
    project: str
    stack: str
    stack_name: str
    engine: Engine
    program: str
    environment_name: str
    operation: Operation
    config: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    status: PlanStatus
    requested_by: str
    requested_for: str | None
    trace_id: str
    digest: str | None = None
    engine_mode: str | None = None
    counts: Counts | None = None
    changes: str | None = None
    violations: tuple[Violation, ...] = ()
    needs_approval: bool | None = None
    vote: Vote | None = None
    outputs: str | None = None
    reason: str | None = None
    cause: str | None = None
    superseded_by: str | None = None
    """The plan that changed the stack after this one."""
    previewed_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def requesters(self) -> frozenset[str]:
        """Everyone whom segregation of duties bars from deciding."""
        return frozenset(name for name in (self.requested_by, self.requested_for) if name)

    @property
    def folder(self) -> str:
        """Where the blobs of this plan are."""
        return f"infrastructure/{self.id}"

    @property
    def log(self) -> str:
        return f"{self.folder}/log.jsonl"


def stack_id(tenant: str, program: str, name: str) -> str:
    return root_id("stack", tenant, program, name)


def plan_id(stack: str, seed: str) -> str:
    return child_id(stack, "infrastructure-plan", seed)
