"""Source control decisions: names, protection, checks and the policy gate."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.kernel.errors import IllegalTransition, Invalid
from shared.domain.source.errors import (
    ChecksNotPassed,
    ManagedRepository,
    ProtectedBranch,
    ProviderUnavailable,
    PullRequestExists,
    RepositoryIsArchived,
    RepositoryNotReady,
    ReservedProject,
    SameBranch,
)
from shared.domain.source.lifecycle import (
    archive_repository,
    check_branch_name,
    complete_repository,
    new_branch,
    request_repository,
    require_readable,
    require_ready,
    require_unarchived,
    require_unprotected,
    require_writable,
    unarchive_repository,
)
from shared.domain.source.model import (
    Check,
    CheckStatus,
    PolicyEvaluation,
    Provider,
    PullRequest,
    PullRequestStatus,
    RepositoryStatus,
)
from shared.domain.source.policies import BUILD, POLICY_GATE, requirements_for
from shared.domain.source.pull_requests import (
    abandon,
    check_branch_pair,
    close_row,
    merge,
    open_pull_request,
    require_mergeable,
    update_source,
)
from shared.domain.source.reviews import record_check
from tests.support.policies import ANN, NEWER, NOW, SHA, a_repository, a_wish, an_index

LATER = NOW + timedelta(hours=1)


def an_open_one() -> PullRequest:
    return open_pull_request(a_wish(), an_index())[0].entity


def build(status: CheckStatus) -> Check:
    return Check(BUILD, status)


class TestRepository:
    def test_a_request_starts_its_provisioning(self) -> None:
        change = request_repository(a_repository())
        assert change.entity.status is RepositoryStatus.PROVISIONING
        assert [event.type for event in change.events] == ["ProvisionRepository"]

    @pytest.mark.parametrize("provider", [Provider.GITHUB, Provider.AZURE_DEVOPS])
    def test_a_host_that_is_not_there_is_refused_by_name(self, provider: Provider) -> None:
        with pytest.raises(ProviderUnavailable, match=str(provider)):
            request_repository(a_repository(provider=provider))

    @pytest.mark.parametrize("project", ["gitops", "GitOps"])
    def test_the_project_of_desired_state_is_reserved_in_any_case(self, project: str) -> None:
        with pytest.raises(ReservedProject, match="choose another name"):
            request_repository(a_repository(project=project))

    def test_it_is_not_ready_before_it_is_provisioned(self) -> None:
        requested = request_repository(a_repository()).entity
        with pytest.raises(RepositoryNotReady):
            require_ready(requested)
        require_ready(complete_repository(requested, NOW).entity)

    def test_an_archived_one_is_read_only_until_it_is_taken_back(self) -> None:
        made = complete_repository(request_repository(a_repository()).entity, NOW).entity
        away = archive_repository(made, "user:ann", LATER)
        assert (away.entity.status, away.entity.updated_at) == (RepositoryStatus.ARCHIVED, LATER)
        assert [(event.type, event.payload["archivedBy"]) for event in away.events] == [
            ("RepositoryArchived", "user:ann")
        ]
        require_readable(away.entity)
        for refuses in (require_ready, require_writable, require_unarchived):
            with pytest.raises(RepositoryIsArchived, match="unarchive it"):
                refuses(away.entity)
        back = unarchive_repository(away.entity, "user:bob", LATER)
        assert [event.type for event in back.events] == ["RepositoryUnarchived"]
        require_writable(back.entity)

    def test_only_what_is_provisioned_is_archived_and_nothing_that_slipway_keeps(self) -> None:
        requested = request_repository(a_repository()).entity
        with pytest.raises(IllegalTransition, match="cannot archive"):
            archive_repository(requested, "user:ann", NOW)
        with pytest.raises(RepositoryNotReady):
            require_readable(requested)
        made = complete_repository(requested, NOW).entity
        with pytest.raises(IllegalTransition, match="cannot unarchive"):
            unarchive_repository(made, "user:ann", NOW)
        with pytest.raises(ManagedRepository, match="cannot be archived"):
            archive_repository(replace(made, is_managed=True), "user:ann", NOW)


class TestBranch:
    def test_only_the_default_branch_is_born_protected(self) -> None:
        main = new_branch(a_repository(), None, "main", SHA, by="user:ann", at=NOW).entity
        other = new_branch(a_repository(), None, "feature/x", SHA, by="user:ann", at=NOW).entity
        with pytest.raises(ProtectedBranch, match="open a pull request"):
            require_unprotected("main", requirements_for(a_repository(), None, "main"))
        require_unprotected("feature/x", requirements_for(a_repository(), None, "feature/x"))
        assert (main.is_protected, other.is_protected) == (True, False)

    @pytest.mark.parametrize(
        "name", ["main", "feature/x", "a", "v1.2", "ünïcode", "a/b/c-d_e.f", "@x", "x" * 244]
    )
    def test_names_that_git_takes(self, name: str) -> None:
        check_branch_name(name, "name")

    @pytest.mark.parametrize(
        "name",
        [
            *[
                "",
                "@",
                "HEAD",
                "-x",
                "/x",
                "x/",
                "a//b",
                "a..b",
                "a b",
                "a~b",
                "a^b",
                "a:b",
                "a?b",
                "a*b",
                "a[b",
            ],
            *[
                "a\\b",
                "a.lock",
                "x.lock/y",
                ".a",
                "a/.b",
                "a.",
                "a/b.",
                "a@{b",
                "a\x00b",
                "a\tb",
                "a\x7f",
                "x" * 245,
                "é" * 123,
            ],
        ],
    )
    def test_names_that_git_refuses(self, name: str) -> None:
        with pytest.raises(Invalid) as caught:
            check_branch_name(name, "name")
        assert caught.value.problems[0].field == "name"


class TestPullRequest:
    def test_numbers_have_no_gaps_and_a_pair_is_open_once(self) -> None:
        first, index = open_pull_request(a_wish(), an_index())
        with pytest.raises(PullRequestExists, match="#1"):
            open_pull_request(a_wish(seed="2"), index)
        second, index = open_pull_request(a_wish(source="feature/y", seed="2"), index)
        assert (first.entity.number, second.entity.number) == (1, 2)
        again, _ = open_pull_request(a_wish(seed="3"), close_row(index, first.entity.id))
        assert again.entity.number == 3

    def test_two_names_for_one_branch_are_refused(self) -> None:
        with pytest.raises(SameBranch):
            check_branch_pair("main", "main")

    def test_a_succeeded_build_passes_the_gate(self) -> None:
        change = record_check(an_open_one(), SHA, build(CheckStatus.SUCCEEDED), NOW)
        assert change is not None
        assert change.entity.policy_evaluation is PolicyEvaluation.PASSED
        assert {check.name: check.status for check in change.entity.checks} == {
            BUILD: CheckStatus.SUCCEEDED,
            POLICY_GATE: CheckStatus.SUCCEEDED,
        }
        require_mergeable(change.entity)

    def test_a_failed_build_blocks_until_the_source_moves(self) -> None:
        change = record_check(an_open_one(), SHA, build(CheckStatus.FAILED), NOW)
        assert change is not None
        assert change.entity.status is PullRequestStatus.BLOCKED
        with pytest.raises(ChecksNotPassed, match="build is failed"):
            require_mergeable(change.entity)
        moved = update_source(change.entity, NEWER, ANN, NOW).entity
        assert moved.status is PullRequestStatus.OPEN
        assert moved.policy_evaluation is PolicyEvaluation.PENDING

    def test_a_verdict_on_an_older_head_or_on_a_closed_one_is_ignored(self) -> None:
        request = an_open_one()
        assert record_check(request, NEWER, build(CheckStatus.SUCCEEDED), NOW) is None
        closed = abandon(request, NOW).entity
        assert record_check(closed, SHA, build(CheckStatus.SUCCEEDED), NOW) is None

    def test_the_same_verdict_twice_changes_nothing(self) -> None:
        change = record_check(an_open_one(), SHA, build(CheckStatus.SUCCEEDED), NOW)
        assert change is not None
        assert record_check(change.entity, SHA, build(CheckStatus.SUCCEEDED), NOW) is None

    def test_a_late_pending_does_not_take_a_verdict_back(self) -> None:
        change = record_check(an_open_one(), SHA, build(CheckStatus.SUCCEEDED), NOW)
        assert change is not None
        assert record_check(change.entity, SHA, build(CheckStatus.PENDING), NOW) is None

    def test_what_is_merged_stays_merged(self) -> None:
        merged = merge(an_open_one(), sha=NEWER, by="user:bob", at=NOW, requested_as=None).entity
        assert (merged.status, merged.merged_by, merged.merge_commit) == (
            PullRequestStatus.MERGED,
            "user:bob",
            NEWER,
        )
        with pytest.raises(IllegalTransition):
            abandon(merged, NOW)
        with pytest.raises(IllegalTransition):
            require_mergeable(merged)
