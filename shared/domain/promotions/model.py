"""The movement of one release into one environment: gates, votes, decision, then a deployment."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record
from shared.domain.releases.strategies import RolloutWish, Strategy


class PromotionStatus(StrEnum):
    PENDING = "pending"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


VOTING = frozenset({PromotionStatus.PENDING, PromotionStatus.AWAITING_APPROVAL})
"""The states in which votes are taken."""
OPEN = VOTING | {PromotionStatus.APPROVED, PromotionStatus.DEPLOYING}
"""The states in which it is still under way."""


class PromotionStep(StrEnum):
    GATE_CHECK = "gate_check"
    RENDERING_MANIFEST = "rendering_manifest"
    COMMITTING_DESIRED_STATE = "committing_desired_state"
    PROMOTING = "promoting"
    VERIFYING = "verifying"


class Outcome(StrEnum):
    PASSED = "passed"
    DENIED = "denied"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate said: a sentence, and a code for programs. `until` is when waiting ends by itself, where
    that is known."""

    gate: str
    outcome: Outcome
    reason: str = ""
    until: datetime | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """A person lets it in although starts are frozen."""

    by: str
    reason: str
    at: datetime


class Result(StrEnum):
    ALLOW = "allow"
    DENY = "deny"
    PENDING = "pending"


@record("promotion", root="environment")
class Promotion(Entity):
    """`environment` is the id, `environment_name` what people call it. The planner made the release; the
    requester asked for this hop; neither may vote. `approvals` are the ids of the votes cast."""

    id: str
    tenant: str
    release: str
    release_digest: str
    component: str
    project: str
    module: str
    version: str
    environment: str
    environment_name: str
    source_environment: str | None
    strategy: Strategy
    rollout: RolloutWish | None = None
    reason: str
    planned_by: str
    planned_for: str | None
    requested_by: str
    requested_for: str | None
    required_approvals: int
    human_required: bool = False
    """Only people's votes count."""
    status: PromotionStatus
    step: PromotionStep
    verdicts: tuple[Verdict, ...] = ()
    decisions: int = 0
    """How many decision records there are."""
    approvals: tuple[str, ...] = ()
    approvals_granted: int = 0
    has_quorum: bool = False
    """Enough votes, where votes are needed at all. Stored, because lists are filtered by it."""
    is_delayed: bool = False
    """A freeze or a hold is what it waits for. Stored, because lists are filtered by it."""
    wakes_at: datetime | None = None
    """When waiting ends by itself, where that is known."""
    override: Override | None = None
    deployment: str | None = None
    url: str | None = None
    cause: str | None = None
    """Why it was rejected, cancelled or failed."""
    superseded_by: str | None = None
    """The promotion that replaced it as what runs."""
    decided_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def planners(self) -> frozenset[str]:
        """Everyone whom segregation of duties bars from voting."""
        names = (self.planned_by, self.planned_for, self.requested_by, self.requested_for)
        return frozenset(name for name in names if name)

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_cleared(self) -> bool:
        """Every gate passed when it was last asked."""
        return all(verdict.outcome is Outcome.PASSED for verdict in self.verdicts)


@record("decision", root="environment")
class DecisionRecord(Entity):
    """One evaluation that changed something. Replaying the gates over the same inputs gives the same."""

    id: str
    tenant: str
    promotion: str
    number: int
    result: Result
    verdicts: tuple[Verdict, ...]
    release_digest: str
    inputs_hash: str
    evaluator: str
    decided_at: datetime
    revision: int = 0


def decision_id(promotion: str, number: int) -> str:
    return child_id(promotion, "decision", f"{number:06d}")
