"""What an environment asks of those who come in, as data: votes, strategies, soak time, rollout, freezes."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.environments.calendar import FreezeWindow, check_window
from shared.domain.environments.errors import BadEnvironmentPolicy, PersonRequired, TooManyFreezeWindows
from shared.domain.environments.model import Environment
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import NotFound, Problem
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record
from shared.domain.releases.strategies import RolloutSettings, Strategy, check_settings

MOST_WINDOWS = 50


class OnDrift(StrEnum):
    """What a look that finds drift does about it."""

    HEAL = "Heal"
    REPORT = "Report"


@record("environment-policy", root="environment")
class EnvironmentPolicy(Entity):
    """`soak_seconds`: how long a release has to have run in the environment before this one. None of
    `required_approvals` or `human_required`: as the settings have it."""

    id: str
    tenant: str
    environment: str
    environment_name: str
    required_approvals: int | None = None
    human_required: bool | None = None
    allowed_strategies: tuple[Strategy, ...] = tuple(Strategy)
    soak_seconds: int = 0
    rollout: RolloutSettings = RolloutSettings()
    on_drift: OnDrift = OnDrift.HEAL
    freezes: tuple[FreezeWindow, ...] = ()
    updated_by: str | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDraft:
    """`reason` is why less is asked of releases than before, where it is."""

    required_approvals: int | None = None
    human_required: bool | None = None
    reason: str = ""
    allowed_strategies: tuple[Strategy, ...]
    soak_seconds: int
    rollout: RolloutSettings
    on_drift: OnDrift = OnDrift.HEAL


def policy_id(environment: str) -> str:
    return child_id(environment, "environment-policy")


def first_policy(environment: Environment, at: datetime) -> EnvironmentPolicy:
    """What holds where nobody has set anything."""
    return EnvironmentPolicy(
        id=policy_id(environment.id),
        tenant=environment.tenant,
        environment=environment.id,
        environment_name=environment.name,
        created_at=at,
        updated_at=at,
    )


def under(environment: Environment, policy: EnvironmentPolicy | None) -> Environment:
    """The environment as its policy has it; what nobody has set is as the settings declare it."""
    if policy is None:
        return environment
    required, human = policy.required_approvals, policy.human_required
    return replace(
        environment,
        required_approvals=environment.required_approvals if required is None else required,
        human_required=environment.human_required if human is None else human,
    )


def set_policy(
    policy: EnvironmentPolicy, draft: PolicyDraft, environment: Environment, by: Actor, at: datetime
) -> Change[EnvironmentPolicy]:
    """`environment` is as the settings declare it. Who planned under the policy before keeps what it asked;
    what is raised is asked of everyone who still takes votes.

    Raises Invalid; PersonRequired where automation would ask less of people.
    """
    check_settings(draft.rollout, field="rollout")
    changed = replace(
        policy,
        required_approvals=draft.required_approvals,
        human_required=draft.human_required,
        allowed_strategies=tuple(dict.fromkeys(draft.allowed_strategies)),
        soak_seconds=draft.soak_seconds,
        rollout=draft.rollout,
        on_drift=draft.on_drift,
    )
    before, after = under(environment, policy), under(environment, changed)
    is_lower = _check_votes(before, after, draft, by)
    told = {"requiredApprovals": after.required_approvals, "humanRequired": after.human_required}
    action = "environment.approvals-lowered" if is_lower else "environment.policy-set"
    return _changed(changed, action, by, at, draft.reason.strip(), **told)


def _check_votes(before: Environment, after: Environment, draft: PolicyDraft, by: Actor) -> bool:
    """Whether fewer votes, or other than people's, are enough from now on."""
    names_votes = draft.required_approvals is not None or draft.human_required is not None
    if names_votes and after.human_required and not after.required_approvals:
        hint = "Require an approval, or set humanRequired to false."
        raise BadEnvironmentPolicy(
            "A person's approval cannot be required where none is.",
            Problem("requiredApprovals", hint, "approvals_missing"),
        )
    is_lower = after.required_approvals < before.required_approvals or (
        before.human_required and not after.human_required
    )
    if is_lower and before.human_required and not by.is_human:
        # An agent that may set the policy would otherwise approve what only people may.
        raise PersonRequired(
            f"Only a person may lower what {before.name} requires of approvals; ask one who runs it."
        )
    if is_lower and before.is_production and not draft.reason.strip():
        hint = f"Say why {before.name} requires less than before."
        raise BadEnvironmentPolicy("A reason is required.", Problem("reason", hint, "reason_required"))
    return is_lower


def add_freeze(
    policy: EnvironmentPolicy, window: FreezeWindow, by: Actor, at: datetime
) -> Change[EnvironmentPolicy]:
    """The window counts from now on, also for what was asked for before it."""
    check_window(window)
    if len(policy.freezes) >= MOST_WINDOWS:
        raise TooManyFreezeWindows(
            f"{policy.environment_name} has {MOST_WINDOWS} freeze windows; delete those that are over."
        )
    changed = replace(policy, freezes=(*policy.freezes, window))
    return _changed(changed, "environment.freeze-window-added", by, at, freezeWindowId=f"frz-{window.id}")


def remove_freeze(
    policy: EnvironmentPolicy, window_id: str, by: Actor, at: datetime
) -> Change[EnvironmentPolicy]:
    left = tuple(window for window in policy.freezes if window.id != window_id)
    if left == policy.freezes:
        raise NotFound("There is no such freeze window.")
    changed = replace(policy, freezes=left)
    return _changed(changed, "environment.freeze-window-removed", by, at, freezeWindowId=f"frz-{window_id}")


def freeze_id(environment: str, seed: str) -> str:
    return child_id(environment, "freeze-window", seed)


def _changed(
    policy: EnvironmentPolicy, action: str, by: Actor, at: datetime, reason: str = "", **more: object
) -> Change[EnvironmentPolicy]:
    """Whoever waits at this environment is asked again."""
    moved = replace(policy, updated_by=by.subject, updated_at=at)
    told = {"environment": policy.environment_name, "change": action.partition(".")[2], **more}
    if reason:
        told["reason"] = reason
    return Change(moved, action, (Event("EnvironmentRulesChanged", told),), reason)
