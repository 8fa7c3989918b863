"""What must hold before a release enters an environment: an ordered tuple of named, pure rules.

One `evaluate` serves preview, request, re-evaluation and the moment of start, so that what a preview says is
what is enforced. Facts are gathered before, so that a stored decision can be replayed.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from shared.domain.approvals.lifecycle import counts
from shared.domain.approvals.model import Approval
from shared.domain.approvals.model import Decision as Vote
from shared.domain.environments.calendar import FreezeWindow, frozen
from shared.domain.kernel.actor import ActorKind
from shared.domain.kernel.canonical import digest
from shared.domain.promotions.model import Outcome, Promotion, Result, Verdict
from shared.domain.releases.model import ReleaseStatus
from shared.domain.releases.strategies import Strategy

EVALUATOR = "gates/2"
"""Names the rules that a stored decision was made by; counts up when their meaning changes."""


@dataclass(frozen=True, slots=True)
class Pass:
    pass


@dataclass(frozen=True, slots=True)
class Deny:
    reason: str
    code: str = ""
    """For programs; the gate's own name where it is left out."""


@dataclass(frozen=True, slots=True)
class Wait:
    """`until` is when it ends by itself, where that is known."""

    reason: str
    until: datetime | None = None
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the gates look at, beside the promotion itself."""

    release_status: ReleaseStatus
    release_digest: str
    arrived_before: bool
    """The release was deployed in the environment before this one, or there is none before."""
    arrived_at: datetime | None = None
    """When it was, there."""
    withdrawn_before: str | None = None
    """Why it was rolled back there since."""
    sick_before: bool = False
    """What runs there of this component is not as git wants it."""
    current_release: str | None
    """What runs of this component in the environment now."""
    others_open: bool
    """Another promotion of the same release into the same environment is open."""
    human_required: bool
    approvals: tuple[Approval, ...] = ()
    image_objections: tuple[str, ...] = ()
    """Why images of the build keep the release out, a sentence each."""
    images_awaited: tuple[str, ...] = ()
    """Images of the build that have not been pushed and scanned yet."""
    hold: str | None = None
    """Why nothing is let in at all, where a person has to look first."""
    freezes: tuple[FreezeWindow, ...] = ()
    soak_seconds: int = 0
    allowed_strategies: tuple[Strategy, ...] = tuple(Strategy)


type Gate = Callable[[Promotion, Facts, datetime], Pass | Deny | Wait]


def release_ready(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if facts.release_status is not ReleaseStatus.READY:
        return Deny(
            f"The release is {facts.release_status}; only a ready release is promoted.", "release_not_ready"
        )
    if facts.release_digest != promotion.release_digest:
        return Deny(
            "The release is not the content that this promotion was requested for.", "content_changed"
        )
    return Pass()


def environment_order(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    before = promotion.source_environment
    if not facts.arrived_before:
        return Wait(f"Waiting until the release is deployed in {before}.")
    if facts.withdrawn_before is not None:
        return Wait(
            f"The release was rolled back in {before}; it has to be deployed there again.",
            code="rolled_back_before",
        )
    return Pass()


def duplicate(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if facts.current_release == promotion.release:
        return Deny(f"The release runs in {promotion.environment_name} already.", "already_deployed")
    if facts.others_open:
        return Deny(
            f"Another promotion of the release into {promotion.environment_name} is open.", "already_planned"
        )
    return Pass()


def hold(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if facts.hold is None:
        return Pass()
    return Wait(
        f"{promotion.environment_name} is on hold until a person releases it: {facts.hold}",
        code="environment_on_hold",
    )


def freeze(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    found = frozen(facts.freezes, at)
    if found is None or promotion.override is not None:
        return Pass()
    until = f"{found.until:%Y-%m-%d %H:%M} UTC"
    return Wait(
        f"{promotion.environment_name} is frozen until {until} ({found.window.name}).", found.until, "frozen"
    )


def soak(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    before = promotion.source_environment
    if before is None or not facts.arrived_before:
        return Pass()
    if facts.sick_before:
        return Wait(f"Waiting until {before} runs as it should again.", code="previous_environment_unhealthy")
    if facts.arrived_at is not None:
        until = facts.arrived_at + timedelta(seconds=facts.soak_seconds)
        if at < until:
            return Wait(
                f"The release has to run in {before} until {until:%Y-%m-%d %H:%M} UTC.", until, "soaking"
            )
    return Pass()


def strategy(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if promotion.strategy in facts.allowed_strategies:
        return Pass()
    allowed = " or ".join(facts.allowed_strategies)
    return Deny(
        f"{promotion.environment_name} does not allow the strategy {promotion.strategy}; use {allowed}.",
        "strategy_unavailable",
    )


def images(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    if facts.image_objections:
        return Deny(" ".join(facts.image_objections), "image_quarantined")
    if facts.images_awaited:
        waiting = ", ".join(facts.images_awaited)
        return Wait(
            f"Waiting until these images are pushed and scanned: {waiting}.", code="image_not_scanned"
        )
    return Pass()


def approvals(promotion: Promotion, facts: Facts, at: datetime) -> Pass | Deny | Wait:
    counted = counted_votes(promotion, facts)
    if refused := [f"{vote.approver}: {vote.comment}" for vote in counted if vote.decision is Vote.REJECTED]:
        return Deny(f"Rejected by {'; '.join(sorted(refused))}", "rejected")
    missing = promotion.required_approvals - len(approvers(promotion, facts))
    if missing <= 0:
        return Pass()
    still = f"{missing} of {promotion.required_approvals} still to come"
    if not facts.human_required:
        return Wait(f"Waiting for approval: {still}.", code="approvals_missing")
    reason = f"Waiting for a person's approval: {still}."
    if others := sorted(vote.approver for vote in facts.approvals if vote.approver_kind != ActorKind.HUMAN):
        reason += f" Not a person's, and so without effect: the vote of {', '.join(others)}."
    return Wait(reason, code="human_approval_required")


GATES: tuple[tuple[str, Gate], ...] = (
    ("release_ready", release_ready),
    ("environment_order", environment_order),
    ("duplicate", duplicate),
    ("images", images),
    ("hold", hold),
    ("freeze", freeze),
    ("soak", soak),
    ("strategy", strategy),
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
    def is_delayed(self) -> bool:
        """Its turn in the order of environments has come, and the environment lets nobody in."""
        waiting = {row.gate for row in self.verdicts if row.outcome is Outcome.WAITING}
        return bool(waiting & {"hold", "freeze"}) and "environment_order" not in waiting

    @property
    def wakes_at(self) -> datetime | None:
        """When it is worth asking again though nothing happens: the first end of a wait that is known."""
        ends = [row.until for row in self.verdicts if row.until is not None]
        return min(ends) if ends and self.result is Result.PENDING else None

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
        "arrived_at": facts.arrived_at.isoformat() if facts.arrived_at else None,
        "freezes": sorted(window.id for window in facts.freezes),
        "override": promotion.override.by if promotion.override else None,
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
        case Deny(reason, code):
            return Verdict(name, Outcome.DENIED, reason, None, code or name)
        case Wait(reason, until, code):
            return Verdict(name, Outcome.WAITING, reason, until, code or name)
