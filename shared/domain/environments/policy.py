"""What an environment asks of those who come in, as data: strategies, soak time, rollout, freeze windows."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.environments.calendar import FreezeWindow, check_window
from shared.domain.environments.errors import TooManyFreezeWindows
from shared.domain.environments.model import Environment
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import NotFound
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record
from shared.domain.releases.strategies import RolloutSettings, Strategy, check_settings

MOST_WINDOWS = 50


@record("environment-policy", root="environment")
class EnvironmentPolicy(Entity):
    """`soak_seconds`: how long a release has to have run in the environment before this one."""

    id: str
    tenant: str
    environment: str
    environment_name: str
    allowed_strategies: tuple[Strategy, ...] = tuple(Strategy)
    soak_seconds: int = 0
    rollout: RolloutSettings = RolloutSettings()
    freezes: tuple[FreezeWindow, ...] = ()
    updated_by: str | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDraft:
    allowed_strategies: tuple[Strategy, ...]
    soak_seconds: int
    rollout: RolloutSettings


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


def set_policy(
    policy: EnvironmentPolicy, draft: PolicyDraft, by: Actor, at: datetime
) -> Change[EnvironmentPolicy]:
    check_settings(draft.rollout, field="rollout")
    changed = replace(
        policy,
        allowed_strategies=tuple(dict.fromkeys(draft.allowed_strategies)),
        soak_seconds=draft.soak_seconds,
        rollout=draft.rollout,
    )
    return _changed(changed, "environment.policy-set", by, at)


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
    policy: EnvironmentPolicy, action: str, by: Actor, at: datetime, **more: object
) -> Change[EnvironmentPolicy]:
    """Whoever waits at this environment is asked again."""
    moved = replace(policy, updated_by=by.subject, updated_at=at)
    told = {"environment": policy.environment_name, "change": action.partition(".")[2], **more}
    return Change(moved, action, (Event("EnvironmentRulesChanged", told),))
