"""Infrastructure stacks: what a program would change, and changing it. Programs are registered by name; a
caller never brings code or a path.

Three backends fit: the embedded simulation, the Automation API beside a CLI, and a deployment service.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from shared.domain.kernel.errors import Conflict, Invalid, NotFound, Permanent, RuleBroken, Transient

type Value = bool | int | float | str | list[Value] | dict[str, Value] | None
"""JSON. Where a value is secret it reads `[secret]`, where nobody can know it yet `[unknown]`."""

type Action = Literal["create", "update", "delete", "replace", "same", "discard", "read"]
"""discard: forgotten here and kept in the cloud. read: looked up, not owned."""

type Operation = Literal["up", "destroy"]
type Level = Literal["advisory", "mandatory"]
type EngineMode = Literal["local-simulation", "automation", "deployments"]
"""local-simulation has changed nothing outside its own state; never show it as applied infrastructure."""

ACTIONS: tuple[Action, ...] = ("create", "update", "replace", "delete", "discard", "read", "same")


@dataclass(frozen=True, slots=True)
class Program:
    """A registered program: a Pulumi project in `folder`, and the policy packs that every run must pass."""

    name: str
    folder: Path
    policy_packs: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of a registered program. The tenant is Pulumi's organization: tenants never share a state."""

    tenant: str
    program: str
    name: str


@dataclass(frozen=True, slots=True)
class Config:
    """What the caller sets above `Pulumi.<stack>.yaml`. A key without a namespace is the project's own."""

    values: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """`path` is dotted, with `[n]` for elements."""

    path: str
    kind: Literal["added", "changed", "removed"]
    old: Value = None
    new: Value = None


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """What happens to one resource. `blocked` says why it must not happen; such a plan cannot be applied.

    `reasons` are the paths that force a replacement.
    """

    urn: str
    type: str
    name: str
    action: Action
    paths: tuple[PropertyChange, ...] = ()
    dependencies: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    deleted_first: bool = False
    alias_of: str | None = None
    blocked: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    severity: Literal["info", "warning", "error"]
    message: str
    urn: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyViolation:
    pack: str
    policy: str
    level: Level
    message: str
    urn: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation would do. `digest` (`sha256:` and 64 hex digits) covers operation, stack, changes,
    outputs and the configuration; approve it, then hand it to `apply` or `destroy`.

    `counts` has a number per action. Equal programs on an equal state with an equal configuration give equal
    digests.
    """

    stack: Stack
    operation: Operation
    engine_mode: EngineMode
    digest: str
    counts: Mapping[Action, int]
    changes: tuple[ResourceChange, ...]
    outputs: Mapping[str, Value]
    diagnostics: tuple[Diagnostic, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why this plan may not be applied, in sentences; empty when it may."""
        blocked = [f"{change.urn}: {change.blocked}" for change in self.changes if change.blocked]
        denied = [
            f"{violation.policy} ({violation.pack}): {violation.message}"
            for violation in self.violations
            if violation.level == "mandatory"
        ]
        return (*blocked, *denied)


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply or a destroy did. `repeated`: this digest had been applied before; nothing happened."""

    stack: Stack
    operation: Operation
    engine_mode: EngineMode
    digest: str
    counts: Mapping[Action, int]
    changes: tuple[ResourceChange, ...]
    outputs: Mapping[str, Value]
    diagnostics: tuple[Diagnostic, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class StackResource:
    urn: str
    type: str
    name: str
    id: str | None
    inputs: Mapping[str, Value]
    dependencies: tuple[str, ...]
    protect: bool


@dataclass(frozen=True, slots=True)
class StackState:
    """What the last successful update recorded. `digest` is the plan's that led here."""

    stack: Stack
    engine_mode: EngineMode
    digest: str
    updated_at: datetime
    resources: tuple[StackResource, ...]
    outputs: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Progress:
    """Something that happened during a run, as it happens. `line` is for people and holds no secret."""

    kind: Literal["phase", "resource", "diagnostic", "output", "violation"]
    line: str
    urn: str | None = None
    action: Action | None = None


type OnEvent = Callable[[Progress], Awaitable[None]]


class UnknownProgram(NotFound):
    """No program of this name is registered."""

    code = "program_not_found"


class UnknownStack(NotFound):
    """The stack has never been applied, or was destroyed."""

    code = "stack_not_found"


class BadConfig(Invalid):
    """The project file, the stack's file or a value above it cannot be used."""

    code = "invalid_stack_config"


class ProgramFailed(Permanent):
    """The program did not come to its end. `diagnostics` holds its errors and its traceback."""

    code = "program_failed"

    def __init__(self, message: str, *diagnostics: Diagnostic, **facts: object) -> None:
        super().__init__(message, **facts)
        self.diagnostics = diagnostics


class EngineUnavailable(Permanent):
    """What the backend needs is not installed here."""

    code = "engine_unavailable"


class EngineLost(Transient):
    """The run was ended from outside. The state is as it was; try again."""

    code = "engine_lost"


class StackBusy(Transient):
    """Another update of this stack is under way."""

    code = "stack_busy"


class UpdateCancelled(Conflict):
    """Somebody cancelled the update. The state is as it was."""

    code = "update_cancelled"


class PlanChanged(RuleBroken):
    """The plan is no longer the approved one: the program, its configuration or the stack changed since."""

    code = "plan_changed"


class PlanBlocked(RuleBroken):
    """A protected resource or a mandatory policy forbids the plan."""

    code = "plan_blocked"


class Provisioner(Protocol):
    async def preview(
        self, stack: Stack, config: Config, *, on_event: OnEvent, destroy: bool = False
    ) -> Plan:
        """What an update (or the destruction) of the stack would do. Changes nothing.

        Obstacles are in the plan, not raised. Raises UnknownProgram, BadConfig, ProgramFailed, StackBusy,
        UpdateCancelled, EngineUnavailable; a destruction of nothing raises UnknownStack.
        """

    async def apply(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """Compute the plan again and carry it out if its digest is still `digest`.

        The state changes in one step and only when all went well. The digest that led to the current state
        is answered with `repeated` and changes nothing. Raises PlanChanged and PlanBlocked beside what
        preview raises.
        """

    async def destroy(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """Delete what the stack holds, as `preview(..., destroy=True)` said. Repeating it changes nothing."""

    async def cancel(self, stack: Stack) -> bool:
        """End the run under way, whichever process it is in; False when there is none. Its caller gets
        UpdateCancelled."""

    async def state(self, stack: Stack) -> StackState:
        """Raises UnknownStack."""

    async def log(self, stack: Stack) -> tuple[Progress, ...]:
        """The events of the last run, or of the one under way; empty when there was none."""
