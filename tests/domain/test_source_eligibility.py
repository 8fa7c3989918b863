"""The view of a pull request, its merge and its automatic merge agree, over every state it can be in."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.kernel.ids import child_id
from shared.domain.source.eligibility import blockers_of, evaluate, verdict_of
from shared.domain.source.errors import NotMergeable
from shared.domain.source.model import (
    Check,
    CheckStatus,
    Mergeability,
    PolicyEvaluation,
    PullRequest,
    PullRequestStatus,
    ReviewDecision,
)
from shared.domain.source.policies import (
    MergeStrategy,
    Requirements,
)
from shared.domain.source.pull_requests import (
    auto_complete,
    govern,
    require_mergeable,
    update_source,
    waive,
    weigh,
)
from shared.domain.source.reviews import record_check, review
from tests.support.policies import ACTORS, BOB, CAT, NEWER, NOW, REPOSITORY, SHA, TARGET, a_request

REQUIREMENTS = st.builds(
    Requirements,
    policies=st.just(("default",)),
    required_checks=st.sampled_from([(), ("build",), ("build", "scan")]),
    minimum_reviewers=st.integers(0, 3),
    author_may_approve=st.booleans(),
    dismiss_stale_reviews=st.booleans(),
    require_up_to_date=st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("check"), st.sampled_from(["build", "scan", "lint"]), st.sampled_from(CheckStatus)),
        st.tuples(
            st.just("review"),
            st.sampled_from(ACTORS),
            st.sampled_from([d for d in ReviewDecision if d is not ReviewDecision.DISMISSED]),
        ),
        st.tuples(st.just("push"), st.sampled_from([SHA, NEWER]), st.sampled_from(ACTORS)),
        st.tuples(st.just("waive"), st.sampled_from([BOB, CAT]), st.just("")),
        st.tuples(st.just("weigh"), st.sampled_from([None, (), ("a.txt",)]), st.booleans()),
        st.tuples(st.just("govern"), REQUIREMENTS, st.just("")),
        st.tuples(st.just("order"), st.sampled_from(ACTORS), st.just("")),
    ),
    max_size=12,
)


def take(
    request: PullRequest, step: tuple[object, object, object], at: datetime
) -> tuple[PullRequest, list[str]]:
    """One decision of whatever kind; what it became, and the events."""
    verb, one, other = step
    change: object
    if verb == "check":
        change = record_check(request, request.source_sha, Check(str(one), CheckStatus(str(other))), at)
    elif verb == "review":
        change = review(request, one, other, "", child_id(REPOSITORY, "r", str(at)), at)[0]  # type: ignore[arg-type]
    elif verb == "push":
        change = update_source(request, str(one), other, at)  # type: ignore[arg-type]
    elif verb == "waive":
        change = waive(request, one, "why", at)  # type: ignore[arg-type]
    elif verb == "weigh":
        change = weigh(
            request,
            source_sha=request.source_sha,
            target_sha=TARGET,
            conflicts=one,  # type: ignore[arg-type]
            is_behind=bool(other),
            at=at,
        )
    elif verb == "govern":
        change = govern(request, one, at)  # type: ignore[arg-type]
    else:
        change = auto_complete(request, one, MergeStrategy.MERGE, at)  # type: ignore[arg-type]
    if change is None:
        return request, []
    return change.entity, [event.type for event in change.events]


def may_be_merged(request: PullRequest) -> bool:
    """The rules once more, as a person would write them down."""
    needs = request.requirements
    checks = {check.name: check.status for check in request.checks}
    people = {
        review.reviewer_for or review.reviewer
        for review in request.reviews
        if review.decision is ReviewDecision.APPROVED
        and (
            needs.author_may_approve
            or not {review.reviewer, review.reviewer_for} & {request.opened_by, request.opened_for} - {None}
        )
    }
    asked = [
        review
        for review in request.reviews
        if review.decision is ReviewDecision.CHANGES_REQUESTED
        and "user:ann" not in (review.reviewer, review.reviewer_for)
    ]
    passes = (
        all(checks.get(name) is CheckStatus.SUCCEEDED for name in needs.required_checks)
        and len(people) >= needs.minimum_reviewers
        and not asked
        and (not needs.require_up_to_date or request.is_behind is False)
    )
    is_waived = request.waiver is not None and request.waiver.sha == request.source_sha
    return (
        (passes or is_waived)
        and not request.is_draft
        and request.mergeability is not Mergeability.CONFLICTING
    )


@given(requirements=REQUIREMENTS, is_draft=st.booleans(), steps=STEPS)
def test_view_merge_and_automatic_merge_agree_whatever_happened(
    requirements: Requirements, is_draft: bool, steps: list[tuple[object, object, object]]
) -> None:
    request = a_request(requirements, is_draft=is_draft)
    for number, step in enumerate(steps):
        was_due = request.auto_complete is not None and not blockers_of(request)
        request, events = take(request, step, NOW + timedelta(seconds=number))
        # What is shown is what the rules say of what is stored.
        assert request.policies == evaluate(request)
        assert request.blockers == blockers_of(request)
        assert request.policy_evaluation is verdict_of(request.policies)
        assert (request.status is PullRequestStatus.BLOCKED) is (
            request.policy_evaluation is PolicyEvaluation.FAILED
        )
        assert (not request.blockers) is may_be_merged(request)
        # The merge says no exactly where the view names a reason, and names every one of them.
        if request.blockers:
            with pytest.raises(NotMergeable) as caught:
                require_mergeable(request)
            assert len(caught.value.facts["blockers"]) == len(request.blockers)  # type: ignore[arg-type]
        else:
            require_mergeable(request)
        # And it is ordered when the last of them goes.
        is_due = request.auto_complete is not None and not request.blockers
        if step[0] != "order":
            assert ("CompletePullRequest" in events) is (is_due and not was_due)
        else:
            assert ("CompletePullRequest" in events) is is_due


@given(requirements=REQUIREMENTS, steps=STEPS)
def test_a_bypass_passes_over_policies_and_nothing_else(
    requirements: Requirements, steps: list[tuple[object, object, object]]
) -> None:
    request = a_request(requirements)
    for number, step in enumerate(steps):
        request, _ = take(request, step, NOW + timedelta(seconds=number))
    left = {blocker.code for blocker in blockers_of(request, is_bypassed=True)}
    assert left <= {"merge_conflict"}
    assert ("merge_conflict" in left) is (request.mergeability is Mergeability.CONFLICTING)
