"""The rollout of one deployment, step by step: one state machine for every strategy, which only differ in
their steps. What a step does at a target is none of its business."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from shared.domain.deployments.errors import NothingToAdvance
from shared.domain.deployments.model import Deployment
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event, with_reminders
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.machine import Machine
from shared.domain.kernel.record import Entity, record
from shared.domain.releases.strategies import Probe, RolloutSettings, Strategy


class RolloutStatus(StrEnum):
    SHIFTING = "shifting"
    VERIFYING = "verifying"
    PAUSED = "paused"
    COMPLETED = "completed"
    RETURNING = "returning"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


S = RolloutStatus

MACHINE = Machine(
    "rollout",
    S,
    initial=(S.SHIFTING,),
    moves={
        "verify": ((S.SHIFTING,), S.VERIFYING),
        "pause": ((S.VERIFYING,), S.PAUSED),
        "advance": ((S.VERIFYING, S.PAUSED), S.SHIFTING),
        "complete": ((S.VERIFYING,), S.COMPLETED),
        "return": ((S.SHIFTING, S.VERIFYING, S.PAUSED), S.RETURNING),
        "roll_back": ((S.RETURNING,), S.ROLLED_BACK),
        "fail": ((S.RETURNING,), S.FAILED),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`instances` of the new version and `others` of the one before, and how many percent of the requests the
    new one gets. So many of the others as `unavailable` may be gone before the new ones are there. After it
    has passed, a pause: 0 for none, None until somebody goes on."""

    instances: int
    others: int
    weight: int
    unavailable: int = 0
    pause_seconds: int | None = 0


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """What came of looking at one step."""

    step: int
    weight: int
    healthy: bool
    reason: str
    at: datetime


@record("rollout", root="environment")
class ProgressiveRollout(Entity):
    """`position` is the step being worked on, `weight` what the new version gets of the requests, `due` when
    there is something to do by itself. `since` is when the looking at this step began."""

    id: str
    tenant: str
    deployment: str
    promotion: str
    environment: str
    environment_name: str
    strategy: Strategy
    steps: tuple[Step, ...]
    probe: Probe
    keep_seconds: int
    status: RolloutStatus
    position: int = 0
    weight: int = 0
    successes: int = 0
    failures: int = 0
    since: datetime | None = None
    due: datetime | None = None
    verdicts: tuple[StepVerdict, ...] = ()
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def step(self) -> Step:
        return self.steps[self.position]

    @property
    def is_last(self) -> bool:
        return self.position == len(self.steps) - 1

    @property
    def is_over(self) -> bool:
        return self.status in MACHINE.terminal

    def rests(self, at: datetime) -> bool:
        """Nothing is to be done now: a message that came early or twice changes nothing."""
        if self.status is S.PAUSED:
            return self.due is None or at < self.due
        return self.status is S.VERIFYING and self.due is not None and at < self.due


def rollout_id(deployment: str) -> str:
    return child_id(deployment, "rollout")


def steps_of(strategy: Strategy, settings: RolloutSettings, *, first: bool) -> tuple[Step, ...]:
    """What a strategy does. Where nothing ran before (`first`) there is nothing to be careful with."""
    whole = Step(instances=settings.instances, others=0, weight=100)
    if first:
        return (whole,)
    match strategy:
        case Strategy.RECREATE:
            return (replace(whole, unavailable=settings.instances),)
        case Strategy.BLUE_GREEN:
            beside = replace(whole, others=settings.instances, weight=0)
            return (beside, replace(beside, weight=100))
        case Strategy.CANARY:
            return (*_canary(settings), whole)
        case Strategy.ROLLING_UPDATE:
            return _rolling(settings)


def _canary(settings: RolloutSettings) -> tuple[Step, ...]:
    return tuple(
        Step(
            instances=max(1, -(-settings.instances * step.weight // 100)),
            others=settings.instances,
            weight=step.weight,
            pause_seconds=step.pause_seconds,
        )
        for step in settings.canary
    )


def _rolling(settings: RolloutSettings) -> tuple[Step, ...]:
    wanted = settings.instances
    unavailable = min(settings.max_unavailable, wanted)
    reached = [*range(settings.max_surge + unavailable, wanted, settings.max_surge + unavailable), wanted]
    return tuple(
        Step(
            instances=new,
            others=wanted - new,
            weight=100 * new // wanted,
            unavailable=unavailable,
        )
        for _, new in pairwise([0, *reached])
    )


def begin(
    deployment: Deployment, settings: RolloutSettings, at: datetime, *, first: bool
) -> Change[ProgressiveRollout]:
    rollout = ProgressiveRollout(
        id=rollout_id(deployment.id),
        tenant=deployment.tenant,
        deployment=deployment.id,
        promotion=deployment.promotion,
        environment=deployment.environment,
        environment_name=deployment.environment_name,
        strategy=deployment.strategy,
        steps=steps_of(deployment.strategy, settings, first=first),
        probe=settings.probe,
        keep_seconds=settings.keep_seconds,
        status=S.SHIFTING,
        created_at=at,
        updated_at=at,
    )
    return Change(rollout, "rollout.started")


def shifted(rollout: ProgressiveRollout, at: datetime) -> ProgressiveRollout:
    """The target has done the step; what runs is about to be looked at."""
    return replace(
        rollout,
        status=MACHINE.next(rollout.status, "verify"),
        weight=rollout.step.weight,
        successes=0,
        failures=0,
        since=at,
        due=None,
        updated_at=at,
    )


def looked(rollout: ProgressiveRollout, wrong: str, at: datetime) -> ProgressiveRollout:
    """One look at the step: healthy where nothing is `wrong`. The verdict comes when it is clear."""
    probe = rollout.probe
    successes = 0 if wrong else rollout.successes + 1
    failures = rollout.failures + 1 if wrong else 0
    known = replace(rollout, successes=successes, failures=failures, due=None, updated_at=at)
    waited = at - (rollout.since or at)
    if not wrong and successes >= probe.successes:
        return _judged(known, True, f"It was healthy {successes} times in a row.", at)
    if failures >= probe.failures:
        return _judged(known, False, wrong, at)
    if waited >= timedelta(seconds=probe.timeout_seconds):
        reason = (
            f"It was not healthy {probe.successes} times in a row within {probe.timeout_seconds} seconds."
        )
        return _judged(known, False, f"{reason} {wrong}".strip(), at)
    return replace(known, due=at + timedelta(seconds=probe.interval_seconds))


def verdict(rollout: ProgressiveRollout) -> StepVerdict | None:
    """Of the step being worked on; None while it is not clear."""
    found = rollout.verdicts[-1] if rollout.verdicts else None
    return found if found is not None and found.step == rollout.position else None


def move_on(rollout: ProgressiveRollout, at: datetime) -> Change[ProgressiveRollout]:
    """After a step has passed, or to look once more: pause, go to the next step, or come again."""
    judged = verdict(rollout)
    if rollout.status is S.VERIFYING and judged is None:
        return Change(rollout, "rollout.looked-at", _due(rollout, at, rollout.due))
    pause = rollout.step.pause_seconds
    if rollout.status is S.VERIFYING and pause != 0:
        due = None if pause is None else at + timedelta(seconds=pause)
        paused = replace(rollout, status=MACHINE.next(rollout.status, "pause"), due=due, updated_at=at)
        return Change(paused, "rollout.paused", () if due is None else _due(paused, at, due))
    return _advanced(rollout, at)


def advance(rollout: ProgressiveRollout, by: str, reason: str, at: datetime) -> Change[ProgressiveRollout]:
    """Somebody goes on before the pause is over, or ends one that has no end."""
    if rollout.status is not S.PAUSED:
        raise NothingToAdvance(
            f"The rollout is {rollout.status.replace('_', ' ')}; it can be advanced while it is paused.",
            status=str(rollout.status),
        )
    return _advanced(rollout, at, advancedBy=by, reason=reason)


def complete(rollout: ProgressiveRollout, at: datetime) -> Change[ProgressiveRollout]:
    """The last step has passed. The old side of a blue-green switch is stopped when its time has come."""
    status = MACHINE.next(rollout.status, "complete")
    done = replace(rollout, status=status, due=None, updated_at=at)
    if not rollout.step.others:
        return Change(done, "rollout.completed")
    retire = Event("RetirementDue", _told(done), not_before=at + timedelta(seconds=rollout.keep_seconds))
    return Change(done, "rollout.completed", (retire,))


def turn_back(rollout: ProgressiveRollout, at: datetime) -> ProgressiveRollout:
    return replace(rollout, status=MACHINE.next(rollout.status, "return"), due=None, updated_at=at)


def turned_back(rollout: ProgressiveRollout, at: datetime, *, runs: bool) -> Change[ProgressiveRollout]:
    """What ran before runs again, alone (`runs`), or nobody knows."""
    verb = "roll_back" if runs else "fail"
    back = replace(rollout, status=MACHINE.next(rollout.status, verb), weight=0, updated_at=at)
    return Change(back, f"rollout.{back.status.replace('_', '-')}")


def _judged(rollout: ProgressiveRollout, healthy: bool, reason: str, at: datetime) -> ProgressiveRollout:
    found = StepVerdict(rollout.position, rollout.step.weight, healthy, reason, at)
    return replace(rollout, verdicts=(*rollout.verdicts, found))


def _advanced(rollout: ProgressiveRollout, at: datetime, **more: object) -> Change[ProgressiveRollout]:
    moved = replace(
        rollout,
        status=MACHINE.next(rollout.status, "advance"),
        position=rollout.position + 1,
        due=None,
        updated_at=at,
    )
    fact = Event("RolloutAdvanced", {**_told(moved), "nextWeight": moved.step.weight, **more})
    return Change(moved, "rollout.advanced", (fact, *_due(moved, at, None)))


def _due(rollout: ProgressiveRollout, at: datetime, due: datetime | None) -> tuple[Event, ...]:
    """The next turn, at once where no time is `due`; a reminder takes it up where its message was lost with
    three dying processes."""
    return with_reminders(Event("RolloutDue", _told(rollout), not_before=due), due or at)


def _told(rollout: ProgressiveRollout) -> dict[str, object]:
    return {
        "deploymentId": f"dep-{rollout.deployment}",
        "promotionId": f"prom-{rollout.promotion}",
        "environment": rollout.environment_name,
        "strategy": str(rollout.strategy),
        "step": rollout.position,
        "weight": rollout.weight,
    }
