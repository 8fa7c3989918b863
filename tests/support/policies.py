"""A pull request and branch policies in memory, for tests of what is decided about them."""

from dataclasses import replace
from datetime import UTC, datetime

from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.ids import child_id, root_id
from shared.domain.source.model import (
    PolicyEvaluation,
    Provider,
    PullRequest,
    PullRequestIndex,
    PullRequestStatus,
    Repository,
    RepositoryStatus,
    ReviewDecision,
    Visibility,
)
from shared.domain.source.policies import BranchPolicy, BranchRules, Requirements
from shared.domain.source.pull_requests import open_pull_request
from shared.domain.source.reviews import review

NOW = datetime(2026, 6, 11, 9, tzinfo=UTC)
REPOSITORY = root_id("repository", "acme", "proj-x/api")
SHA, NEWER, TARGET = "a" * 40, "b" * 40, "c" * 40
ANN, BOB, CAT = (Actor(f"user:{name}", ActorKind.HUMAN, "acme") for name in ("ann", "bob", "cat"))
ANNS_AGENT = Actor("agent:writer", ActorKind.AGENT, "acme", on_behalf_of="user:ann")
BOBS_AGENT = Actor("agent:reader", ActorKind.AGENT, "acme", on_behalf_of="user:bob")
ACTORS = (ANN, BOB, CAT, ANNS_AGENT, BOBS_AGENT)


def a_repository(**changes: object) -> Repository:
    made = Repository(
        id=REPOSITORY,
        tenant="acme",
        project="proj-x",
        name="api",
        provider=Provider.EMBEDDED,
        default_branch="main",
        visibility=Visibility.PRIVATE,
        status=RepositoryStatus.REQUESTED,
        remote_url="http://127.0.0.1/git/acme/proj-x/api.git",
        created_by="user:ann",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def an_index() -> PullRequestIndex:
    return PullRequestIndex(
        id=child_id(REPOSITORY, "pull-request-index"), tenant="acme", repository=REPOSITORY
    )


def a_wish(source: str = "feature/x", target: str = "main", seed: str = "1") -> PullRequest:
    return PullRequest(
        id=child_id(REPOSITORY, "pull-request", seed),
        tenant="acme",
        project="proj-x",
        repository=REPOSITORY,
        number=0,
        title="Add x",
        description="",
        source_branch=source,
        target_branch=target,
        source_sha=SHA,
        status=PullRequestStatus.OPEN,
        policy_evaluation=PolicyEvaluation.PENDING,
        checks=(),
        reviewers=(),
        opened_by="user:ann",
        created_at=NOW,
        updated_at=NOW,
    )


REPO = a_repository(status=RepositoryStatus.PROVISIONED, remote_url="")


def a_policy(name: str = "default", pattern: str = "main", **more: object) -> BranchPolicy:
    policy = BranchPolicy(id=name, pattern=pattern, created_by="user:ann", created_at=NOW, updated_at=NOW)
    return replace(policy, **more)  # type: ignore[arg-type]


def rules(*policies: BranchPolicy) -> BranchRules:
    return BranchRules(
        id=child_id(REPOSITORY, "branch-rules"), tenant="acme", repository=REPOSITORY, policies=policies
    )


NONE_OF_ITS_OWN = Requirements()


def a_request(requirements: Requirements = NONE_OF_ITS_OWN, **more: object) -> PullRequest:
    wanted = replace(a_wish(), requirements=requirements, **more)  # type: ignore[arg-type]
    return open_pull_request(wanted, an_index())[0].entity


def reviewed(
    request: PullRequest, by: Actor, decision: ReviewDecision = ReviewDecision.APPROVED
) -> PullRequest:
    return review(request, by, decision, "", child_id(REPOSITORY, "pull-request-review", by.subject), NOW)[
        0
    ].entity
