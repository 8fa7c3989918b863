"""Requests and views of infrastructure plans and stacks, in the words of the DevOps contract."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from functions.api.devops.models_releases import Comment, EnvironmentName
from functions.http.fields import Body, Name, PascalStatus, Query, View, WireId
from functions.http.lists import OneOf
from shared.domain.approvals.model import Decision
from shared.domain.infrastructure.errors import EngineNotSupported
from shared.domain.infrastructure.events import summary
from shared.domain.infrastructure.lifecycle import PlanDraft, StackDraft, first_status
from shared.domain.infrastructure.model import Engine, InfrastructurePlan
from shared.domain.kernel.errors import Problem
from shared.ports.provisioner import ACTIONS

InfrastructurePlanId = Annotated[str, WireId("infra")]
StackId = Annotated[str, WireId("stack")]

ProgramName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]
ConfigKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
ConfigValue = Annotated[str, Field(max_length=8192)]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class ProvisionInfrastructure(Body):
    """`config` is in the clear; `secrets` names secrets of the tenant's vault, less their prefix `iac-`."""

    tenant_id: str | None = None
    project_id: Name
    environment: EnvironmentName
    engine: Annotated[str, Field(min_length=1, max_length=50)]
    stack: Name
    program: ProgramName
    config: Annotated[dict[ConfigKey, ConfigValue], Field(max_length=100, default_factory=dict)]
    secrets: Annotated[dict[ConfigKey, SecretName], Field(max_length=20, default_factory=dict)]

    def place(self, environment: str) -> StackDraft:
        """In the environment of that name. EngineNotSupported."""
        if self.engine not in set(Engine):
            problem = Problem("engine", f"Use {', '.join(Engine)}.", "engine_not_supported")
            raise EngineNotSupported("Infrastructure is provisioned with Pulumi only.", problem)
        return StackDraft(
            project=self.project_id,
            environment=environment,
            engine=Engine(self.engine),
            program=self.program,
            name=self.stack,
        )

    def draft(self) -> PlanDraft:
        return PlanDraft(config=self.config, secrets=self.secrets)


class DecidePlan(Body):
    """`planDigest` is what the approver has looked at; where it is given, nothing else is approved."""

    tenant_id: str | None = None
    decision: Literal["Approved", "Rejected"]
    comment: Comment = ""
    plan_digest: Digest | None = None

    def verdict(self) -> Decision:
        return Decision(self.decision.lower())


class CancelPlan(Body):
    tenant_id: str | None = None
    reason: Comment = ""


class SummaryView(View):
    """Resources by what happens to them; a replacement is neither counted as created nor as deleted."""

    create: int
    update: int
    delete: int
    replace: int


class ViolationView(View):
    pack: str
    policy: str
    level: PascalStatus
    message: str
    urn: str | None


class ProvisionView(View):
    """A plan as its preview left it; what has become of it since is read with GET.

    `engineMode` is `local-simulation` where nothing outside this installation is changed.
    """

    infrastructure_plan_id: InfrastructurePlanId
    stack_id: StackId
    preview_summary: SummaryView | None = None
    status: PascalStatus
    operation: PascalStatus
    needs_approval: bool | None = None
    plan_digest: str | None = None
    engine_mode: str | None = None
    cause: str | None = None
    violations: tuple[ViolationView, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        if not isinstance(value, InfrastructurePlan):
            return value
        was_cleared = value.needs_approval is not None
        return {
            "infrastructure_plan_id": value.id,
            "stack_id": value.stack,
            "preview_summary": _summary(value),
            "status": first_status(value),
            "operation": value.operation,
            "needs_approval": value.needs_approval,
            "plan_digest": value.digest,
            "engine_mode": value.engine_mode,
            "cause": None if was_cleared else value.cause,
            "violations": value.violations,
        }


class VoteView(View):
    approver: str
    on_behalf_of: Annotated[str | None, Field(validation_alias="approver_for")]
    approver_kind: PascalStatus
    decision: PascalStatus
    comment: str
    plan_digest: Annotated[str, Field(validation_alias="digest")]
    decided_at: Annotated[datetime, Field(validation_alias="at")]


class PlanView(View):
    """`config` is what the caller set; `secrets` are names. `cause` says why it came to nothing."""

    infrastructure_plan_id: InfrastructurePlanId
    stack_id: StackId
    stack: str
    project_id: str
    environment: str
    engine: str
    program: str
    operation: PascalStatus
    status: PascalStatus
    preview_summary: SummaryView | None
    counts: dict[str, int] | None
    needs_approval: bool | None
    plan_digest: str | None
    engine_mode: str | None
    violations: tuple[ViolationView, ...]
    approval: VoteView | None
    config: dict[str, str]
    secrets: dict[str, str]
    outputs_ref: str | None
    reason: str | None
    cause: str | None
    superseded_by: InfrastructurePlanId | None
    requested_by: str
    on_behalf_of: str | None
    trace_id: str
    previewed_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @field_validator("counts", mode="before")
    @classmethod
    def _counted(cls, value: object) -> object:
        return {name: getattr(value, name) for name in ACTIONS} if value is not None else None

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        if not isinstance(value, InfrastructurePlan):
            return value
        shown: dict[str, Any] = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return shown | {
            "infrastructure_plan_id": value.id,
            "stack_id": value.stack,
            "stack": value.stack_name,
            "project_id": value.project,
            "environment": value.environment_name,
            "preview_summary": _summary(value),
            "plan_digest": value.digest,
            "approval": value.vote,
            "outputs_ref": value.outputs,
            "on_behalf_of": value.requested_for,
        }


class PropertyChangeView(View):
    """`[secret]` stands for a secret, `[unknown]` for what nobody can know before it is made."""

    path: str
    kind: PascalStatus
    old: Any = None
    new: Any = None


class ResourceChangeView(View):
    urn: str
    type: str
    name: str
    action: PascalStatus
    paths: tuple[PropertyChangeView, ...]
    dependencies: tuple[str, ...]
    reasons: tuple[str, ...]
    deleted_first: bool
    alias_of: str | None
    blocked: str | None


class ResourcesQuery(Query):
    action: Annotated[str, OneOf(action.capitalize() for action in ACTIONS)] | None = None


class StackSummaryView(View):
    """`activePlanId` is at work on it; `queue` are those that wait, oldest first."""

    stack_id: Annotated[StackId, Field(validation_alias="id")]
    name: str
    project_id: Annotated[str, Field(validation_alias="project")]
    environment: Annotated[str, Field(validation_alias="environment_name")]
    engine: str
    program: str
    status: PascalStatus
    engine_mode: str | None
    plan_digest: Annotated[str | None, Field(validation_alias="digest")]
    current_plan_id: Annotated[InfrastructurePlanId | None, Field(validation_alias="current")]
    last_plan_id: Annotated[InfrastructurePlanId | None, Field(validation_alias="last_plan")]
    active_plan_id: Annotated[InfrastructurePlanId | None, Field(validation_alias="lock")]
    queue: tuple[InfrastructurePlanId, ...]
    outputs_ref: Annotated[str | None, Field(validation_alias="outputs")]
    created_by: str
    applied_at: datetime | None
    created_at: datetime
    updated_at: datetime


class StackView(View):
    """A stack with what its program gave out at its last update; secrets read `[secret]`."""

    stack: StackSummaryView
    outputs: dict[str, Any]


def _summary(plan: InfrastructurePlan) -> dict[str, int] | None:
    return None if plan.counts is None else summary(plan.counts)
