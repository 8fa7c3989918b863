"""Requests and views of what an environment asks of those who come in: policy, freeze windows, hold."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from functions.api.devops.models_promotions import DeploymentId, EnvironmentSummaryView
from functions.api.devops.models_strategies import Canary, Instances, Seconds
from functions.http.fields import Body, Reference, View, WireId
from shared.domain.environments.calendar import LONGEST, Day, FreezeWindow, Weekly
from shared.domain.environments.policy import OnDrift, PolicyDraft
from shared.domain.releases.strategies import (
    MOST_INSTANCES,
    Probe,
    RolloutSettings,
    Strategy,
)
from shared.services.freeze_windows import EnvironmentRules

EnvironmentPath = Annotated[str, Field(min_length=1, max_length=63), Reference()]
FreezeWindowId = Annotated[str, WireId("frz")]
MOST_APPROVALS = 20
Reason = Annotated[str, Field(min_length=1, max_length=2000)]


class ProbeBody(Body):
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    successes: Annotated[int, Field(ge=1, le=100)] = 1
    failures: Annotated[int, Field(ge=1, le=100)] = 1
    timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = 60

    def probe(self) -> Probe:
        return Probe(
            interval_seconds=self.interval_seconds,
            successes=self.successes,
            failures=self.failures,
            timeout_seconds=self.timeout_seconds,
        )


class RolloutBody(Body):
    instances: Instances = 1
    max_surge: Annotated[int, Field(ge=0, le=MOST_INSTANCES)] = 1
    max_unavailable: Annotated[int, Field(ge=0, le=MOST_INSTANCES)] = 0
    canary: Canary | None = None
    keep_seconds: Seconds = 600
    probe: ProbeBody | None = None

    def settings(self) -> RolloutSettings:
        known = RolloutSettings()
        return RolloutSettings(
            instances=self.instances,
            max_surge=self.max_surge,
            max_unavailable=self.max_unavailable,
            canary=known.canary if self.canary is None else tuple(step.step() for step in self.canary),
            keep_seconds=self.keep_seconds,
            probe=known.probe if self.probe is None else self.probe.probe(),
        )


class SetEnvironmentPolicy(Body):
    """The whole policy; what is left out has its default. That of `requiredApprovals` and `humanRequired` is
    the installation's. In production `reason` says why less is required than before."""

    tenant_id: str | None = None
    required_approvals: Annotated[int, Field(ge=0, le=MOST_APPROVALS)] | None = None
    human_required: bool | None = None
    reason: Annotated[str, Field(max_length=2000)] = ""
    allowed_strategies: Annotated[tuple[Strategy, ...], Field(min_length=1, max_length=4)] = tuple(Strategy)
    soak_seconds: Seconds = 0
    rollout: RolloutBody | None = None
    on_drift: OnDrift = OnDrift.HEAL

    def draft(self) -> PolicyDraft:
        return PolicyDraft(
            required_approvals=self.required_approvals,
            human_required=self.human_required,
            reason=self.reason,
            allowed_strategies=self.allowed_strategies,
            soak_seconds=self.soak_seconds,
            rollout=self.rollout.settings() if self.rollout else RolloutSettings(),
            on_drift=self.on_drift,
        )


class WeeklyBody(Body):
    """From `start` of each of the `days`, for `minutes` of the wall clock."""

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]
    start: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    minutes: Annotated[int, Field(ge=1, le=LONGEST)]


def _sane(value: datetime) -> datetime:
    if not 2000 <= value.year < 2200:
        raise ValueError("give a time of this century or the next")
    return value


_Moment = Annotated[AwareDatetime, AfterValidator(_sane)]


class AddFreezeWindow(Body):
    """Once, with `startsAt` and `endsAt`, or `weekly` by the clock of `timeZone`."""

    tenant_id: str | None = None
    name: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Annotated[str, Field(max_length=2000)] = ""
    time_zone: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = "UTC"
    starts_at: _Moment | None = None
    ends_at: _Moment | None = None
    weekly: WeeklyBody | None = None

    def window(self, now: datetime) -> FreezeWindow:
        """As asked for; its id and its maker are the service's to give."""
        weekly = self.weekly
        return FreezeWindow(
            id="",
            name=self.name,
            reason=self.reason,
            time_zone=self.time_zone,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            weekly=Weekly(days=weekly.days, start=weekly.start, minutes=weekly.minutes) if weekly else None,
            created_by="",
            created_at=now,
        )


class ReleaseHold(Body):
    tenant_id: str | None = None
    reason: Reason


class WeeklyView(View):
    days: tuple[Day, ...]
    start: str
    minutes: int


class FreezeWindowView(View):
    freeze_window_id: Annotated[FreezeWindowId, Field(validation_alias="id")]
    name: str
    reason: str
    time_zone: str
    starts_at: datetime | None
    ends_at: datetime | None
    weekly: WeeklyView | None
    created_by: str
    created_at: datetime


class CanaryStepView(View):
    weight: int
    pause_seconds: int | None


class ProbeView(View):
    interval_seconds: int
    successes: int
    failures: int
    timeout_seconds: int


class RolloutSettingsView(View):
    instances: int
    max_surge: int
    max_unavailable: int
    canary: tuple[CanaryStepView, ...]
    keep_seconds: int
    probe: ProbeView


class PolicyView(View):
    """What has been set; the environment itself shows what holds."""

    environment: Annotated[str, Field(validation_alias="environment_name")]
    required_approvals: int | None
    human_required: bool | None
    allowed_strategies: tuple[Strategy, ...]
    soak_seconds: int
    rollout: RolloutSettingsView
    on_drift: OnDrift
    freeze_windows: Annotated[tuple[FreezeWindowView, ...], Field(validation_alias="freezes")]
    updated_by: str | None


class HoldView(View):
    """Nothing is let in until a person releases it."""

    reason: str
    held_by: Annotated[str, Field(validation_alias="by")]
    since: Annotated[datetime, Field(validation_alias="at")]
    deployment_id: Annotated[DeploymentId, Field(validation_alias="deployment")]


class EnvironmentRulesView(View):
    """An environment with what it asks of those who come in. `waiting` counts the approved in their queue."""

    environment: EnvironmentSummaryView
    policy: PolicyView
    hold: HoldView | None = None
    is_deploying: bool
    waiting: int

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: Any) -> Any:
        if not isinstance(value, EnvironmentRules):
            return value
        return {
            "environment": value.environment,
            "policy": value.policy,
            "hold": value.lane.hold,
            "is_deploying": value.lane.lock is not None,
            "waiting": len(value.lane.queue),
        }
