"""Decisions about pull requests. Pure: what the host holds and what others reported comes in as facts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event
from shared.domain.kernel.machine import Machine
from shared.domain.source.eligibility import (
    NOT_REPORTED,
    blockers_of,
    evaluate,
    is_open,
    require_no_blockers,
    verdict_of,
)
from shared.domain.source.errors import (
    BypassNotAllowed,
    OwnPullRequest,
    PullRequestExists,
    SameBranch,
)
from shared.domain.source.links import links_in
from shared.domain.source.mirroring import mirrored
from shared.domain.source.model import (
    AutoComplete,
    Bypass,
    Check,
    CheckStatus,
    Mergeability,
    OpenPullRequest,
    PolicyEvaluation,
    PullRequest,
    PullRequestIndex,
    PullRequestStatus,
    ReviewDecision,
    StandingReview,
    Waiver,
)
from shared.domain.source.policies import BUILD, POLICY_GATE, MergeStrategy, Requirements

P = PullRequestStatus
MAX_CONFLICTS = 100
"""Paths kept of a conflict; whoever merges the branches sees them all."""

PULL_REQUEST = Machine(
    "pull request",
    P,
    initial=[P.OPEN],
    moves={
        "update": ((P.OPEN, P.BLOCKED), P.OPEN),
        "block": ((P.OPEN, P.BLOCKED), P.BLOCKED),
        "merge": ((P.OPEN, P.BLOCKED), P.MERGED),
        "abandon": ((P.OPEN, P.BLOCKED), P.ABANDONED),
        "reopen": ((P.ABANDONED,), P.OPEN),
    },
)
_GATE = {
    PolicyEvaluation.PENDING: CheckStatus.PENDING,
    PolicyEvaluation.FAILED: CheckStatus.FAILED,
    PolicyEvaluation.PASSED: CheckStatus.SUCCEEDED,
    PolicyEvaluation.WAIVED: CheckStatus.SUCCEEDED,
}


def check_branch_pair(source: str, target: str) -> None:
    if source == target:
        raise SameBranch("A pull request needs two different branches.", branch=source)


def open_pull_request(
    wanted: PullRequest, index: PullRequestIndex
) -> tuple[Change[PullRequest], PullRequestIndex]:
    """Give the next number and start the checks. `wanted.number` is ignored."""
    number = index.last_number + 1
    opened = replace(
        wanted,
        number=number,
        checks=fresh_checks(wanted.requirements),
        closes=links_in(wanted.description),
    )
    index = _with_row(replace(index, last_number=number), opened)
    event = _fact("PullRequestOpened", opened, isDraft=opened.is_draft)
    return decided(wanted, opened, "pull-request.opened", event), index


def reopen(
    request: PullRequest, index: PullRequestIndex, *, sha: str, requirements: Requirements, at: datetime
) -> tuple[Change[PullRequest], PullRequestIndex]:
    """Take an abandoned one up again, at what its source branch is now. PullRequestExists where another took
    its place."""
    status = PULL_REQUEST.next(request.status, "reopen")
    again = _moved(replace(request, status=status, requirements=requirements, updated_at=at), sha, ())
    event = _fact("PullRequestReopened", again, isDraft=again.is_draft)
    return decided(request, again, "pull-request.reopened", event), _with_row(index, again)


def _with_row(index: PullRequestIndex, opened: PullRequest) -> PullRequestIndex:
    for row in index.open:
        if (row.source_branch, row.target_branch) == (opened.source_branch, opened.target_branch):
            raise PullRequestExists(
                f"#{row.number} is open from {row.source_branch} into {row.target_branch} already.",
                pullRequestId=f"pr-{row.id}",
                number=row.number,
            )
    row = OpenPullRequest(opened.id, opened.number, opened.source_branch, opened.target_branch)
    return replace(index, open=(*index.open, row))


def fresh_checks(requirements: Requirements, reported: Sequence[Check] = ()) -> tuple[Check, ...]:
    """The checks of a head that was never looked at: the build, what is required, what was reported early."""
    known = {check.name: check for check in reported}
    names = dict.fromkeys((BUILD, *requirements.required_checks, *known))
    checks = [known.get(name) or _unreported(name) for name in names]
    return (*(_marked(check, requirements) for check in checks), Check(POLICY_GATE, CheckStatus.PENDING))


def _unreported(name: str) -> Check:
    return Check(name, CheckStatus.PENDING, detail="" if name == BUILD else NOT_REPORTED)


def _marked(check: Check, requirements: Requirements) -> Check:
    return replace(check, required=check.name == POLICY_GATE or check.name in requirements.required_checks)


def update_source(
    request: PullRequest, sha: str, by: Actor, at: datetime, reported: Sequence[Check] = ()
) -> Change[PullRequest]:
    """The source branch moved: what was checked, approved and waived is no longer what would be merged.

    A push by others than whoever asked for the automatic merge takes that back. `reported` is what external
    systems have said about the new head already.
    """
    moved = _moved(replace(request, updated_at=at), sha, reported)
    events = [_fact("PullRequestUpdated", moved)]
    automatic = request.auto_complete
    if automatic is not None and not by.principals & {automatic.by, automatic.on_behalf_of}:
        moved = replace(moved, auto_complete=None)
        events.append(_fact("PullRequestAutoCompleteCancelled", moved, reason=f"new commits by {by.subject}"))
    return decided(request, moved, "pull-request.updated", *events)


def _moved(request: PullRequest, sha: str, reported: Sequence[Check]) -> PullRequest:
    reviews = request.reviews
    if request.requirements.dismiss_stale_reviews and sha != request.source_sha:
        reviews = tuple(_dismissed(review) for review in reviews)
    return replace(
        request,
        source_sha=sha,
        checks=fresh_checks(request.requirements, reported),
        reviews=reviews,
        waiver=None,
        bypass=None,
        mergeability=Mergeability.UNKNOWN,
        conflicts=(),
        is_behind=None,
        target_sha=None,
        check_attempt=0,
    )


def _dismissed(review: StandingReview) -> StandingReview:
    """A wish for changes stands until its reviewer takes it back: a push alone does not fulfil it."""
    if review.decision is not ReviewDecision.APPROVED:
        return review
    return replace(review, decision=ReviewDecision.DISMISSED)


def govern(request: PullRequest, requirements: Requirements, at: datetime) -> Change[PullRequest] | None:
    """Hold it to what its target branch requires now. None where that changes nothing."""
    if not is_open(request) or request.requirements == requirements:
        return None
    present = {check.name for check in request.checks}
    missing = [_unreported(name) for name in requirements.required_checks if name not in present]
    *known, gate = request.checks
    checks = [_marked(check, requirements) for check in (*known, *missing, gate)]
    governed = replace(request, requirements=requirements, checks=tuple(checks), updated_at=at)
    return decided(request, governed, "pull-request.governed")


def weigh(
    request: PullRequest,
    *,
    source_sha: str,
    target_sha: str,
    conflicts: Sequence[str] | None,
    is_behind: bool,
    at: datetime,
) -> Change[PullRequest] | None:
    """Take what the host says of merging these two heads; `conflicts` is None where it cannot say. None where
    that is no news, or about another head of the source."""
    if not is_open(request) or request.source_sha != source_sha:
        return None
    state = Mergeability.CONFLICTING if conflicts else Mergeability.CLEAN
    weighed = replace(
        request,
        mergeability=Mergeability.UNKNOWN if conflicts is None else state,
        conflicts=tuple(conflicts or ())[:MAX_CONFLICTS],
        is_behind=is_behind,
        target_sha=target_sha,
    )
    if weighed == request:
        return None
    return decided(request, replace(weighed, updated_at=at), "pull-request.weighed")


def edit(
    request: PullRequest,
    *,
    title: str | None,
    description: str | None,
    labels: tuple[str, ...] | None,
    at: datetime,
) -> Change[PullRequest]:
    """Change what people read of it; None leaves a part as it is."""
    text = request.description if description is None else description
    edited = replace(
        request,
        title=request.title if title is None else title,
        description=text,
        closes=links_in(text),
        labels=request.labels if labels is None else labels,
        updated_at=at,
    )
    event = _fact("PullRequestEdited", edited, title=edited.title, labels=list(edited.labels))
    return decided(request, edited, "pull-request.edited", event)


def ready(request: PullRequest, at: datetime) -> Change[PullRequest] | None:
    """No draft any more. None where it was none."""
    PULL_REQUEST.next(request.status, "update")
    if not request.is_draft:
        return None
    done = replace(request, is_draft=False, updated_at=at)
    return decided(request, done, "pull-request.ready", _fact("PullRequestDraftFinished", done))


def waive(request: PullRequest, by: Actor, reason: str, at: datetime) -> Change[PullRequest]:
    """Let it pass its policies at this head, on somebody's word. OwnPullRequest for its author."""
    PULL_REQUEST.next(request.status, "update")
    if request.author & by.principals:
        raise OwnPullRequest("The author cannot waive the policies of their own pull request; ask another.")
    waived = replace(request, waiver=Waiver(by.subject, reason, request.source_sha, at), updated_at=at)
    event = _fact("PullRequestPolicyWaived", waived, reason=reason, waivedBy=by.subject)
    return decided(request, waived, "pull-request.waived", event)


def bypass(
    request: PullRequest, by: Actor, reason: str, at: datetime, requested_as: str | None
) -> Change[PullRequest]:
    """Put on record who merges past the policies and why, before it is done. BypassNotAllowed."""
    if not set(by.roles) & set(request.requirements.bypass_roles):
        raise BypassNotAllowed(
            f"The policies of {request.target_branch} let none of your roles bypass them; meet them, or ask"
            " for a waiver.",
            roles=list(request.requirements.bypass_roles),
        )
    past = replace(
        request, bypass=Bypass(by.subject, reason, request.source_sha, at, requested_as), updated_at=at
    )
    event = _fact("PullRequestPolicyBypassed", past, reason=reason, bypassedBy=by.subject)
    return decided(request, past, "pull-request.bypassed", event)


def auto_complete(
    request: PullRequest, by: Actor, strategy: MergeStrategy, at: datetime
) -> Change[PullRequest]:
    """Merge it in this actor's name as soon as nothing stands against it."""
    PULL_REQUEST.next(request.status, "merge")
    require_no_blockers(
        request, [each for each in blockers_of(request, strategy) if each.code == "strategy_not_allowed"]
    )
    wish = AutoComplete(by.subject, strategy, at, by.on_behalf_of)
    wished = replace(request, auto_complete=wish, updated_at=at)
    event = _fact("PullRequestAutoCompleteRequested", wished, requestedBy=by.subject)
    return decided(replace(request, auto_complete=None), wished, "pull-request.auto-complete-set", event)


def cancel_auto_complete(request: PullRequest, at: datetime) -> Change[PullRequest] | None:
    """Take the wish back. None where there is none."""
    if request.auto_complete is None:
        return None
    plain = replace(request, auto_complete=None, updated_at=at)
    event = _fact("PullRequestAutoCompleteCancelled", plain, reason="by request")
    return decided(request, plain, "pull-request.auto-complete-cancelled", event)


def require_mergeable(
    request: PullRequest, strategy: MergeStrategy = MergeStrategy.MERGE, *, is_bypassed: bool = False
) -> None:
    """Raises IllegalTransition for a closed one, else the NotMergeable of the first of all its blockers."""
    PULL_REQUEST.next(request.status, "merge")
    require_no_blockers(request, blockers_of(request, strategy, is_bypassed=is_bypassed))


def merge(
    request: PullRequest, *, sha: str, by: str, at: datetime, requested_as: str | None, at_host: bool = False
) -> Change[PullRequest]:
    """Record the merge commit that the host has, whoever made it: the rules were asked before
    (require_mergeable), or were not, where it was merged at the vendor."""
    merged = replace(
        request,
        status=PULL_REQUEST.next(request.status, "merge"),
        merge_commit=sha,
        merged_by=by,
        merged_at=at,
        merged_as=requested_as,
        merged_at_host=at_host,
        blockers=(),
        updated_at=at,
    )
    closes = [{"kind": str(link.kind), "key": link.key} for link in merged.closes]
    said = {"mergeCommitSha": sha, "mergedBy": by, "closes": closes, "mergedAtHost": at_host}
    event = _fact("PullRequestMerged", merged, **said)
    return Change(merged, "pull-request.merged", (event, *mirrored(request, merged, at)))


def abandon(request: PullRequest, at: datetime) -> Change[PullRequest]:
    status = PULL_REQUEST.next(request.status, "abandon")
    gone = replace(request, status=status, auto_complete=None, blockers=(), updated_at=at)
    events = (_fact("PullRequestAbandoned", gone), *mirrored(request, gone, at))
    return Change(gone, "pull-request.abandoned", events)


def close_row(index: PullRequestIndex, pull_request: str) -> PullRequestIndex:
    return replace(index, open=tuple(row for row in index.open if row.id != pull_request))


def decided(before: PullRequest, after: PullRequest, action: str, *events: Event) -> Change[PullRequest]:
    """Close a decision: draw what follows from it, and tell those whom that concerns."""
    told = list(events)
    if is_open(after):
        results = evaluate(after)
        verdict = verdict_of(results)
        verb = "block" if verdict is PolicyEvaluation.FAILED else "update"
        detail = ", ".join(f"{result.policy.removeprefix('check:')} {result.status}" for result in results)
        gate = Check(POLICY_GATE, _GATE[verdict], detail=detail)
        after = replace(
            after,
            status=PULL_REQUEST.next(after.status, verb),
            policies=results,
            policy_evaluation=verdict,
            checks=tuple(gate if check.name == POLICY_GATE else check for check in after.checks),
        )
        after = replace(after, blockers=blockers_of(after))
        if before.policy_evaluation is not after.policy_evaluation:
            told.append(_evaluated(after))
        if _is_due(after) and not _is_due(before):
            told.append(_fact("CompletePullRequest", after))
    told += mirrored(before, after, after.updated_at)
    return Change(after, action, tuple(told))


def _is_due(request: PullRequest) -> bool:
    """Whether it waits for nothing but being merged."""
    return request.auto_complete is not None and not blockers_of(request, request.auto_complete.strategy)


def _evaluated(request: PullRequest) -> Event:
    results = [
        {"policy": result.policy, "status": str(result.status), "reason": result.reason}
        for result in request.policies
    ]
    verdict = str(request.policy_evaluation)
    return _fact("PullRequestPolicyEvaluated", request, policyEvaluation=verdict, policies=results)


def _fact(event_type: str, request: PullRequest, **more: object) -> Event:
    return Event(event_type, payload_of(request, **more), project=request.project)


def payload_of(request: PullRequest, **more: object) -> dict[str, object]:
    """What every event about a pull request says, and what this one says besides."""
    return {
        "pullRequestId": f"pr-{request.id}",
        "number": request.number,
        "repositoryId": f"repo-{request.repository}",
        "sourceBranch": request.source_branch,
        "targetBranch": request.target_branch,
        "sourceSha": request.source_sha,
        **more,
    }
