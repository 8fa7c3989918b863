"""Branch policies, approvals, and the ways past them."""

from dataclasses import replace

import pytest

from shared.domain.kernel.errors import IllegalTransition, Invalid, StaleRevision
from shared.domain.source.eligibility import evaluate
from shared.domain.source.errors import BypassNotAllowed, NotMergeable, OwnPullRequest, TooManyPolicies
from shared.domain.source.lifecycle import check_pattern
from shared.domain.source.links import links_in
from shared.domain.source.model import (
    Check,
    CheckStatus,
    PolicyStatus,
    PullRequestStatus,
)
from shared.domain.source.policies import (
    MAX_POLICIES,
    MergeStrategy,
    Requirements,
    delete_policy,
    policies_of,
    put_policy,
    requirements_for,
)
from shared.domain.source.pull_requests import (
    auto_complete,
    bypass,
    require_mergeable,
    update_source,
    waive,
    weigh,
)
from shared.domain.source.reviews import record_check
from tests.support.policies import (
    ANN,
    ANNS_AGENT,
    BOB,
    BOBS_AGENT,
    CAT,
    NEWER,
    NOW,
    REPO,
    SHA,
    TARGET,
    a_policy,
    a_request,
    reviewed,
    rules,
)


class TestPolicies:
    @pytest.mark.parametrize(
        ("pattern", "branch", "is_covered"),
        [
            ("main", "main", True),
            ("main", "main2", False),
            ("release/*", "release/1.0", True),
            ("release/*", "release/1.0/x", False),
            ("release/*", "release", False),
            ("release/**", "release/1.0/x", True),
            ("**", "any/thing", True),
            ("*", "any/thing", False),
            ("v1.*", "v1x2", False),
            ("*-rc", "2-rc", True),
        ],
    )
    def test_a_star_stays_within_a_segment_and_two_do_not(
        self, pattern: str, branch: str, is_covered: bool
    ) -> None:
        assert a_policy(pattern=pattern).covers(branch) is is_covered

    @pytest.mark.parametrize("pattern", ["", "a b", "a***", "/a", "a//b", "a..b"])
    def test_a_pattern_must_be_able_to_name_a_branch(self, pattern: str) -> None:
        with pytest.raises(Invalid):
            check_pattern(pattern, "pattern")

    def test_a_repository_without_policies_of_its_own_protects_its_default_branch(self) -> None:
        assert requirements_for(REPO, None, "main").is_protected
        assert not requirements_for(REPO, None, "feature/x").is_protected
        assert not requirements_for(REPO, rules(), "main").is_protected

    def test_of_several_policies_the_strictest_of_each_holds(self) -> None:
        both = rules(
            a_policy(
                minimum_reviewers=1,
                author_may_approve=True,
                dismiss_stale_reviews=False,
                bypass_roles=("a", "b"),
            ),
            a_policy("all", "**", required_checks=("scan",), minimum_reviewers=2, bypass_roles=("b", "c")),
        )
        found = requirements_for(REPO, both, "main")
        assert found.required_checks == ("build", "scan")
        assert (found.minimum_reviewers, found.author_may_approve, found.dismiss_stale_reviews) == (
            2,
            False,
            True,
        )
        assert found.bypass_roles == ("b",)

    def test_the_default_policy_is_changed_and_deleted_as_any_other(self) -> None:
        change, policy = put_policy(REPO, None, a_policy(minimum_reviewers=2), 1)
        assert (policy.revision, policy.minimum_reviewers) == (2, 2)
        with pytest.raises(StaleRevision):
            delete_policy(REPO, change.entity, "default", 1)
        gone = delete_policy(REPO, change.entity, "default", 2)
        assert policies_of(REPO, gone.entity) == ()
        assert [event.type for event in gone.events] == ["BranchPolicyChanged"]

    def test_a_policy_that_is_gone_is_not_changed_by_whoever_has_read_it(self) -> None:
        with pytest.raises(StaleRevision):
            put_policy(REPO, rules(), a_policy(), 1)

    def test_a_repository_has_so_many_and_no_more(self) -> None:
        full = rules(*(a_policy(f"p{number}", f"b{number}") for number in range(MAX_POLICIES)))
        with pytest.raises(TooManyPolicies):
            put_policy(REPO, full, a_policy("more", "more"), None)
        assert put_policy(REPO, full, a_policy("p1", "other"), None)


class TestApprovals:
    def test_an_agent_of_the_author_counts_as_the_author(self) -> None:
        request = reviewed(reviewed(a_request(Requirements(minimum_reviewers=1)), ANN), ANNS_AGENT)
        assert evaluate(request)[-1].status is PolicyStatus.PENDING

    def test_the_principal_of_an_agent_that_opened_it_counts_as_the_author(self) -> None:
        request = a_request(
            Requirements(minimum_reviewers=1), opened_by="agent:writer", opened_for="user:ann"
        )
        assert evaluate(reviewed(request, ANN))[-1].status is PolicyStatus.PENDING

    def test_a_person_and_their_agent_are_one_approval(self) -> None:
        request = a_request(Requirements(minimum_reviewers=2))
        twice = reviewed(reviewed(request, BOB), BOBS_AGENT)
        assert evaluate(twice)[-1].reason == "1 of 2 approvals"
        assert evaluate(reviewed(twice, CAT))[-1].status is PolicyStatus.PASSED

    def test_the_author_counts_where_the_policy_lets_them(self) -> None:
        request = a_request(Requirements(minimum_reviewers=1, author_may_approve=True))
        assert evaluate(reviewed(request, ANN))[-1].status is PolicyStatus.PASSED


class TestOverrides:
    def test_nobody_waives_for_their_own_or_their_principals_pull_request(self) -> None:
        for actor in (ANN, ANNS_AGENT):
            with pytest.raises(OwnPullRequest):
                waive(a_request(), actor, "why", NOW)

    def test_a_waiver_falls_with_the_next_push(self) -> None:
        waived = waive(a_request(), BOB, "outage", NOW).entity
        require_mergeable(waived)
        assert waived.policies[0].reason.startswith("waived by user:bob: outage")
        with pytest.raises(NotMergeable):
            require_mergeable(update_source(waived, NEWER, ANN, NOW).entity)

    def test_a_bypass_needs_a_role_that_every_policy_lets(self) -> None:
        request = a_request(Requirements(bypass_roles=("operator",)))
        with pytest.raises(BypassNotAllowed):
            bypass(request, BOB, "why", NOW, None)
        operator = replace(BOB, roles=("operator",))
        past = bypass(request, operator, "why", NOW, None).entity
        require_mergeable(past, is_bypassed=True)
        with pytest.raises(NotMergeable):
            require_mergeable(past)

    def test_what_is_closed_cannot_be_waived(self) -> None:
        with pytest.raises(IllegalTransition):
            waive(replace(a_request(), status=PullRequestStatus.MERGED), BOB, "why", NOW)


class TestAutoComplete:
    def test_the_merge_is_ordered_once_at_the_moment_nothing_stands_against_it(self) -> None:
        wished = auto_complete(a_request(), ANN, MergeStrategy.MERGE, NOW)
        assert "CompletePullRequest" not in [event.type for event in wished.events]
        passed = record_check(wished.entity, SHA, Check("build", CheckStatus.SUCCEEDED), NOW)
        assert passed is not None
        assert [event.type for event in passed.events][-1] == "CompletePullRequest"
        again = weigh(passed.entity, source_sha=SHA, target_sha=TARGET, conflicts=(), is_behind=False, at=NOW)
        assert again is not None
        assert not again.events

    def test_a_push_of_ones_agent_keeps_it_and_of_another_ends_it(self) -> None:
        wished = auto_complete(a_request(), ANN, MergeStrategy.MERGE, NOW).entity
        assert update_source(wished, NEWER, ANNS_AGENT, NOW).entity.auto_complete is not None
        assert update_source(wished, NEWER, BOB, NOW).entity.auto_complete is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Closes #12.", ["#12"]),
        ("fixes: abc-7, resolves ABC-7 and closed #3", ["ABC-7", "#3"]),
        ("see #12; discloses #4; fix", []),
        ("fixing #4", []),
        ("closes #0", []),
    ],
)
def test_what_it_closes_is_said_with_a_keyword(text: str, keys: list[str]) -> None:
    assert [link.key for link in links_in(text)] == keys
