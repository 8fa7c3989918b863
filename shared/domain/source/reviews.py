"""Decisions of people and of other systems about a pull request: reviews, who is asked for one, checks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.kernel.events import Event
from shared.domain.source.eligibility import is_open
from shared.domain.source.errors import (
    CheckRunning,
    CheckUnknown,
    ReviewStands,
    TooManyChecks,
    TooManyReviewers,
)
from shared.domain.source.model import (
    Check,
    CheckReports,
    CheckStatus,
    PullRequest,
    Review,
    ReviewDecision,
    StandingReview,
)
from shared.domain.source.policies import BUILD, POLICY_GATE
from shared.domain.source.pull_requests import PULL_REQUEST, decided, payload_of

MAX_REVIEWERS = 50
MAX_CHECKS = 50
OURS = (BUILD, POLICY_GATE)
"""Checks that no other system may report: their verdict is the platform's own."""


def review(
    request: PullRequest, by: Actor, decision: ReviewDecision, comment: str, review_id: str, at: datetime
) -> tuple[Change[PullRequest], Review]:
    """Take a review; it stands in place of the reviewer's last one. A comment leaves a verdict standing."""
    PULL_REQUEST.next(request.status, "update")
    given = Review(
        id=review_id,
        tenant=request.tenant,
        pull_request=request.id,
        reviewer=by.subject,
        decision=decision,
        comment=comment,
        sha=request.source_sha,
        created_at=at,
        reviewer_for=by.on_behalf_of,
    )
    known = {standing.reviewer: standing for standing in request.reviews}
    before = known.get(by.subject)
    is_remark = decision is ReviewDecision.COMMENTED
    if not is_remark or before is None or before.decision is ReviewDecision.COMMENTED:
        known[by.subject] = StandingReview(
            by.subject, decision, comment, request.source_sha, at, by.on_behalf_of
        )
    reviewers = tuple(dict.fromkeys((*request.reviewers, by.subject)))
    _check_number(reviewers)
    reviewed = replace(request, reviews=tuple(known.values()), reviewers=reviewers, updated_at=at)
    event = _fact(
        "PullRequestReviewed",
        reviewed,
        reviewId=f"review-{given.id}",
        reviewer=by.subject,
        decision=str(decision),
    )
    return decided(request, reviewed, "pull-request.reviewed", event), given


def ask_reviewers(request: PullRequest, wanted: Sequence[str], at: datetime) -> Change[PullRequest] | None:
    """Ask these for a review, besides those who were. None where all of them were asked already."""
    PULL_REQUEST.next(request.status, "update")
    reviewers = tuple(dict.fromkeys((*request.reviewers, *wanted)))
    if reviewers == request.reviewers:
        return None
    _check_number(reviewers)
    added = [name for name in reviewers if name not in request.reviewers]
    asked = replace(request, reviewers=reviewers, updated_at=at)
    event = _fact("PullRequestReviewRequested", asked, reviewers=added)
    return decided(request, asked, "pull-request.reviewers-added", event)


def release_reviewer(request: PullRequest, reviewer: str, at: datetime) -> Change[PullRequest] | None:
    """Ask this one no longer. ReviewStands where they have given their review; None where nobody asked."""
    PULL_REQUEST.next(request.status, "update")
    if any(standing.reviewer == reviewer for standing in request.reviews):
        raise ReviewStands(
            f"{reviewer} has reviewed it, and the review stands; only they can change it.", reviewer=reviewer
        )
    if reviewer not in request.reviewers:
        return None
    rest = tuple(name for name in request.reviewers if name != reviewer)
    event = _fact("PullRequestReviewRequestRemoved", request, reviewer=reviewer)
    return decided(
        request, replace(request, reviewers=rest, updated_at=at), "pull-request.reviewer-removed", event
    )


def _check_number(reviewers: Sequence[str]) -> None:
    if len(reviewers) > MAX_REVIEWERS:
        raise TooManyReviewers(f"A pull request has at most {MAX_REVIEWERS} reviewers.", limit=MAX_REVIEWERS)


def record_check(request: PullRequest, sha: str, check: Check, at: datetime) -> Change[PullRequest] | None:
    """Take a verdict on `sha`, then evaluate the policies. None where it changes nothing.

    A verdict on another head, or for a closed pull request, came too late and is ignored.
    """
    if sha != request.source_sha or not is_open(request):
        return None
    known = {each.name: each for each in request.checks}
    before = known.get(check.name)
    # Our own run says that it has begun; late, that would take its verdict back. Others may begin again.
    is_late = check.name in OURS and check.status is CheckStatus.PENDING
    if before is not None and is_late and before.status is not CheckStatus.PENDING:
        return None
    check = replace(check, required=check.name in request.requirements.required_checks)
    if before == check:
        return None
    gate = known.pop(POLICY_GATE)
    checked = replace(request, checks=(*{**known, check.name: check}.values(), gate), updated_at=at)
    return decided(request, checked, "pull-request.checked")


def report_check(request: PullRequest, reports: CheckReports, check: Check) -> Change[CheckReports] | None:
    """Keep what an external system says; the last word on a name counts. None where it said so before.

    Raises Invalid for the platform's own checks, TooManyChecks.
    """
    if check.name in OURS:
        hint = f"{check.name} is the platform's own check; report under another name."
        raise Invalid("The name of the check is taken.", Problem("name", hint, "reserved_check"))
    known = {each.name: each for each in reports.checks}
    if known.get(check.name) == check:
        return None
    known[check.name] = check
    if len(known) > MAX_CHECKS:
        raise TooManyChecks(f"A commit has at most {MAX_CHECKS} external checks.", limit=MAX_CHECKS)
    said = {"sha": reports.sha, "name": check.name, "status": str(check.status)}
    event = _fact("PullRequestCheckReported", request, **said)
    return Change(replace(reports, checks=tuple(known.values())), "check.reported", (event,))


def rerun(request: PullRequest, name: str | None, at: datetime) -> Change[PullRequest]:
    """Ask for checks anew: the one of that name, or every one that has failed. Raises CheckUnknown,
    CheckRunning."""
    PULL_REQUEST.next(request.status, "update")
    known = {check.name: check for check in request.checks if check.name != POLICY_GATE}
    if name is not None and name not in known:
        raise CheckUnknown(f"The pull request has no check {name}.", known=sorted(known))
    if name is not None and known[name].status is CheckStatus.PENDING:
        raise CheckRunning(f"The check {name} is not done yet; wait for its verdict.", check=name)
    wanted = (
        [name] if name is not None else [c.name for c in known.values() if c.status is CheckStatus.FAILED]
    )
    if not wanted:
        raise CheckUnknown("None of the checks has failed; name the one to run again.", known=sorted(known))
    again = "asked to run again"
    checks = tuple(
        Check(check.name, CheckStatus.PENDING, check.required, again, url=check.url)
        if check.name in wanted
        else check
        for check in request.checks
    )
    attempt = request.check_attempt + (BUILD in wanted)
    asked = replace(request, checks=checks, check_attempt=attempt, updated_at=at)
    event = _fact("RerunChecks", asked, checks=wanted, attempt=attempt)
    return decided(request, asked, "pull-request.checks-rerun", event)


def _fact(event_type: str, request: PullRequest, **more: object) -> Event:
    return Event(event_type, payload_of(request, **more), project=request.project)
