"""What must hold before a release enters an environment: an ordered tuple of named, pure rules.

One `evaluate` serves preview, request, re-evaluation and the moment of start, so that what a preview says is
what is enforced. Facts are gathered before, so that a stored decision can be replayed.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from shared.domain.approvals.lifecycle import counts
from shared.domain.approvals.model import Approval
from shared.domain.approvals.model import Decision as Vote
from shared.domain.kernel.canonical import digest
from shared.domain.promotions.model import Outcome, Promotion, Result, Verdict
from shared.domain.releases.model import ReleaseStatus

EVALUATOR = "gates/1"
"""Names the rules that a stored decision was made by; counts up when their meaning changes."""


@dataclass(frozen=True, slots=True)
class Pass:
    pass


@dataclass(frozen=True, slots=True)
class Deny:
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """`until` is when it ends by itself, where that is known."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the gates look at, beside the promotion itself."""

    release_status: ReleaseStatus
    release_digest: str
    arrived_before: bool
    """The release was deployed in the environment before this one, or there is none before."""
    current_release: str | None
    """What runs of this component in the environment now."""
    others_open: bool
    """Another promotion of the same release into the same environment is open."""
    human_required: bool
    approvals: tuple[Approval, ...] = ()


type Gate = Callable[[Promotion, Facts, datetime], Pass | Deny | Wait]


def release_ready(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if facts.release_status is not ReleaseStatus.READY:
        return Deny(f"The release is {facts.release_status}; only a ready release is promoted.")
    if facts.release_digest != promotion.release_digest:
        return Deny("The release is not the content that this promotion was requested for.")
    return Pass()


def environment_order(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if facts.arrived_before:
        return Pass()
    return Wait(f"Waiting until the release is deployed in {promotion.source_environment}.")


def duplicate(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if facts.current_release == promotion.release:
        return Deny(f"The release runs in {promotion.environment_name} already.")
    if facts.others_open:
        return Deny(f"Another promotion of the release into {promotion.environment_name} is open.")
    return Pass()


def approvals(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    counted = counted_votes(promotion, facts)
    if refused := [f"{vote.approver}: {vote.comment}" for vote in counted if vote.decision is Vote.REJECTED]:
        return Deny(f"Rejected by {'; '.join(sorted(refused))}")
    missing = promotion.required_approvals - len(approvers(promotion, facts))
    if missing <= 0:
        return Pass()
    who = "a person's approval" if facts.human_required else "approval"
    return Wait(f"Waiting for {who}: {missing} of {promotion.required_approvals} still to come.")


GATES: tuple[tuple[str, Gate], ...] = (
    ("release_ready", release_ready),
    ("environment_order", environment_order),
    ("duplicate", duplicate),
    ("approvals", approvals),
)


def counted_votes(promotion: Promotion, facts: Facts) -> tuple[Approval, ...]:
    return tuple(
        approval
        for approval in facts.approvals
        if counts(approval, promotion.release_digest, human_required=facts.human_required)
    )


def approvers(promotion: Promotion, facts: Facts) -> tuple[str, ...]:
    """Whose approvals count, in the order they came."""
    counted = counted_votes(promotion, facts)
    return tuple(vote.approver for vote in counted if vote.decision is Vote.APPROVED)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Every gate's verdict, in order, and what they come to."""

    verdicts: tuple[Verdict, ...]
    result: Result
    approvers: tuple[str, ...]
    inputs_hash: str

    @property
    def granted(self) -> int:
        return len(self.approvers)

    @property
    def waits_for_votes_only(self) -> bool:
        return {row.gate for row in self.verdicts if row.outcome is not Outcome.PASSED} == {"approvals"}

    @property
    def reasons(self) -> str:
        """Why it is not allowed, in the order of the gates: what denies it, or else what it waits for."""
        decisive = Outcome.DENIED if self.result is Result.DENY else Outcome.WAITING
        return " ".join(row.reason for row in self.verdicts if row.outcome is decisive)


def evaluate(
    promotion: Promotion,
    facts: Facts,
    at: datetime,
    gates: tuple[tuple[str, Gate], ...] = GATES,
) -> Evaluation:
    """Ask every gate, also after one has said no, so that the whole answer to "why not" is known."""
    verdicts = tuple(_verdict(name, gate(promotion, facts, at)) for name, gate in gates)
    outcomes = {row.outcome for row in verdicts}
    if Outcome.DENIED in outcomes:
        result = Result.DENY
    else:
        result = Result.PENDING if Outcome.WAITING in outcomes else Result.ALLOW
    return Evaluation(verdicts, result, approvers(promotion, facts), inputs_hash(promotion, facts))


def inputs_hash(promotion: Promotion, facts: Facts) -> str:
    """The digest of what the gates looked at; the order of the votes is no part of it."""
    votes = sorted((vote.approver, str(vote.decision), vote.release_digest) for vote in facts.approvals)
    known = asdict(facts) | {
        "approvals": votes,
        "promotion": promotion.id,
        "bound_digest": promotion.release_digest,
        "required_approvals": promotion.required_approvals,
    }
    return digest(known)


def _verdict(name: str, answer: Pass | Deny | Wait) -> Verdict:
    match answer:
        case Pass():
            return Verdict(name, Outcome.PASSED)
        case Deny(reason):
            return Verdict(name, Outcome.DENIED, reason)
        case Wait(reason, until):
            return Verdict(name, Outcome.WAITING, reason, until)
