"""Whether a pull request may be merged: what each policy says, what they come to, and every reason why not.

One set of pure functions for the view, the merge and the automatic merge.
"""

from collections.abc import Iterable, Sequence

from shared.domain.source.errors import (
    ChecksNotPassed,
    DraftPullRequest,
    MergeConflicts,
    NotMergeable,
    StrategyNotAllowed,
)
from shared.domain.source.model import (
    Blocker,
    Check,
    CheckStatus,
    Mergeability,
    PolicyEvaluation,
    PolicyResult,
    PolicyStatus,
    PullRequest,
    PullRequestStatus,
    ReviewDecision,
    StandingReview,
)
from shared.domain.source.policies import MergeStrategy

CHECK = "check:"
REVIEWERS = "reviewers"
CHANGES_REQUESTED = "changes-requested"
UP_TO_DATE = "up-to-date"

NOT_OPEN, DRAFT, CONFLICTS, STRATEGY = "not_open", "draft", "merge_conflict", "strategy_not_allowed"
OPEN_STATES = (PullRequestStatus.OPEN, PullRequestStatus.BLOCKED)


def is_open(request: PullRequest) -> bool:
    return request.status in OPEN_STATES


def evaluate(request: PullRequest) -> tuple[PolicyResult, ...]:
    """What each policy of the target branch says, in a fixed order, a waiver included."""
    results = [
        *(_check(request, name) for name in request.requirements.required_checks),
        *_reviewers(request),
        *_changes_requested(request),
        *_up_to_date(request),
    ]
    waiver = request.waiver
    if waiver is None or waiver.sha != request.source_sha:
        return tuple(results)
    reason = f"waived by {waiver.by}: {waiver.reason}"
    return tuple(
        result
        if result.status is PolicyStatus.PASSED
        else PolicyResult(result.policy, PolicyStatus.WAIVED, f"{reason} ({result.reason})")
        for result in results
    )


def verdict_of(results: Iterable[PolicyResult]) -> PolicyEvaluation:
    """What the policies come to: the worst of them."""
    states = {result.status for result in results}
    for state, verdict in (
        (PolicyStatus.FAILED, PolicyEvaluation.FAILED),
        (PolicyStatus.PENDING, PolicyEvaluation.PENDING),
        (PolicyStatus.WAIVED, PolicyEvaluation.WAIVED),
    ):
        if state in states:
            return verdict
    return PolicyEvaluation.PASSED


def blockers_of(
    request: PullRequest, strategy: MergeStrategy = MergeStrategy.MERGE, *, is_bypassed: bool = False
) -> tuple[Blocker, ...]:
    """Every reason why it cannot be merged now; none means it can. A bypass passes over the policies only."""
    found: list[Blocker] = []
    if not is_open(request):
        found.append(Blocker(NOT_OPEN, f"it is {request.status}"))
    if request.is_draft:
        found.append(Blocker(DRAFT, "it is a draft; mark it ready"))
    if not is_bypassed:
        found += [
            Blocker(result.policy, result.reason)
            for result in evaluate(request)
            if result.status not in (PolicyStatus.PASSED, PolicyStatus.WAIVED)
        ]
    if request.mergeability is Mergeability.CONFLICTING:
        paths = ", ".join(request.conflicts[:5]) or "some files"
        hint = f"merge {request.target_branch} into {request.source_branch} first"
        found.append(Blocker(CONFLICTS, f"both branches changed {paths}; {hint}"))
    if strategy not in request.requirements.allowed_merge_strategies:
        allowed = ", ".join(request.requirements.allowed_merge_strategies) or "none that all policies allow"
        found.append(Blocker(STRATEGY, f"{strategy} is not allowed here; allowed: {allowed}"))
    return tuple(found)


def passes_policies(request: PullRequest) -> bool:
    """Whether the policies alone would let it pass."""
    return len(blockers_of(request)) == len(blockers_of(request, is_bypassed=True))


def require_no_blockers(request: PullRequest, blockers: Sequence[Blocker]) -> None:
    """The error of the first reason, with all of them in its sentence and its facts."""
    if not blockers:
        return
    reasons = "; ".join(blocker.reason for blocker in blockers)
    facts: dict[str, object] = {
        "blockers": [{"code": blocker.code, "reason": blocker.reason} for blocker in blockers],
        "checks": {check.name: str(check.status) for check in request.checks},
    }
    if request.conflicts:
        facts["paths"] = list(request.conflicts)
    kinds: dict[str, type[NotMergeable]] = {
        NOT_OPEN: NotMergeable,
        DRAFT: DraftPullRequest,
        CONFLICTS: MergeConflicts,
        STRATEGY: StrategyNotAllowed,
    }
    kind = kinds.get(blockers[0].code, ChecksNotPassed)
    raise kind(f"Pull request #{request.number} cannot be merged yet: {reasons}.", **facts)


def approvers(request: PullRequest) -> tuple[str, ...]:
    """Whose approvals count: each person once, however many agents act for them, and the author only where
    the policy lets them."""
    counted: dict[str, None] = {}
    for review in request.reviews:
        if review.decision is ReviewDecision.APPROVED and (
            request.requirements.author_may_approve or not _by_author(request, review)
        ):
            counted[review.reviewer_for or review.reviewer] = None
    return tuple(counted)


def _by_author(request: PullRequest, review: StandingReview) -> bool:
    return bool(request.author & {review.reviewer, review.reviewer_for})


def _check(request: PullRequest, name: str) -> PolicyResult:
    check = next((known for known in request.checks if known.name == name), None)
    policy = CHECK + name
    if check is None:
        return PolicyResult(policy, PolicyStatus.PENDING, f"{name} is pending: {NOT_REPORTED}")
    status = {
        CheckStatus.PENDING: PolicyStatus.PENDING,
        CheckStatus.SUCCEEDED: PolicyStatus.PASSED,
        CheckStatus.FAILED: PolicyStatus.FAILED,
    }[check.status]
    return PolicyResult(policy, status, _sentence(check))


NOT_REPORTED = "nobody has reported it for this commit"


def _sentence(check: Check) -> str:
    said = check.name + (" succeeded" if check.status is CheckStatus.SUCCEEDED else f" is {check.status}")
    return f"{said}: {check.detail}" if check.detail else said


def _reviewers(request: PullRequest) -> Iterable[PolicyResult]:
    needed = request.requirements.minimum_reviewers
    if needed == 0:
        return
    found = approvers(request)
    if len(found) >= needed:
        yield PolicyResult(REVIEWERS, PolicyStatus.PASSED, f"approved by {', '.join(found)}")
        return
    reason = f"{len(found)} of {needed} approvals"
    if any(r.decision is ReviewDecision.APPROVED and _by_author(request, r) for r in request.reviews):
        reason += "; the author's own does not count"
    yield PolicyResult(REVIEWERS, PolicyStatus.PENDING, reason)


def _changes_requested(request: PullRequest) -> Iterable[PolicyResult]:
    asking = [
        review.reviewer
        for review in request.reviews
        if review.decision is ReviewDecision.CHANGES_REQUESTED and not _by_author(request, review)
    ]
    if asking:
        reason = f"{', '.join(asking)} asked for changes"
        yield PolicyResult(CHANGES_REQUESTED, PolicyStatus.FAILED, reason)


def _up_to_date(request: PullRequest) -> Iterable[PolicyResult]:
    if not request.requirements.require_up_to_date:
        return
    source, target = request.source_branch, request.target_branch
    if request.is_behind is None:
        yield PolicyResult(UP_TO_DATE, PolicyStatus.PENDING, f"{source} is not compared with {target} yet")
    elif request.is_behind:
        reason = f"{target} has commits that {source} lacks; merge it into {source}"
        yield PolicyResult(UP_TO_DATE, PolicyStatus.FAILED, reason)
    else:
        yield PolicyResult(UP_TO_DATE, PolicyStatus.PASSED, f"{source} has all that {target} has")
