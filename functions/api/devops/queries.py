"""The lists of the devops surface: what each can be sorted and filtered by, and the queries that ask for it.

Which of it an index serves is said in shared.names.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field as Parameter

from functions.api.devops.models_pipelines import PipelineId, PullRequestId, RepositoryId
from functions.api.devops.models_releases import EnvironmentName, ReleaseId
from functions.http.fields import Name
from functions.http.lists import ListingQuery, OneOf, has, ids, verbatim, words
from shared.domain.deployments.model import DeploymentStatus
from shared.domain.gitops.model import SyncStatus
from shared.domain.kernel.filters import (
    AllOf,
    AnyOf,
    Compare,
    Field,
    Filter,
    Not,
    Operator,
    all_of,
    conditions,
)
from shared.domain.pipelines.model import (
    TIMED_OUT,
    ModuleType,
    PipelineStatus,
    RunStatus,
)
from shared.domain.promotions.model import PromotionStatus
from shared.domain.releases.model import ReleaseStatus, Strategy
from shared.domain.source.model import (
    BranchStatus,
    Mergeability,
    PolicyEvaluation,
    Provider,
    PullRequestStatus,
    RepositoryStatus,
    ReviewDecision,
    Visibility,
)
from shared.ports import store
from shared.services.listing import Listing, read_time

type Words = dict[str, Filter]

CREATED, UPDATED = Field("created_at", read_time), Field("updated_at", read_time)
PROJECT, MODULE, BRANCH = Field("project"), Field("module"), Field("branch")
REPOSITORY, PIPELINE, RELEASE = ids("repository", "repo"), ids("pipeline", "pipe"), ids("release", "rel")
ENVIRONMENT = Field("environment_name")
STRATEGY = Field("strategy", words=verbatim("strategy", Strategy))

BranchName = Annotated[str, Parameter(min_length=1, max_length=244)]
Subject = Annotated[str, Parameter(min_length=1, max_length=256)]

REPOSITORIES = Listing(
    "repository",
    {
        "projectId": PROJECT,
        "moduleId": MODULE,
        "name": Field("name"),
        "provider": Field("provider", words=verbatim("provider", Provider)),
        "visibility": Field("visibility", words=verbatim("visibility", Visibility)),
        "status": Field("status", words=words("status", RepositoryStatus)),
        "isManaged": Field("is_managed"),
        "createdBy": Field("created_by"),
        "createdAt": CREATED,
    },
    sort="-createdAt",
)
BRANCHES = Listing(
    "branch",
    {
        "name": Field("name"),
        "status": Field("status", words=words("status", BranchStatus)),
        "isProtected": Field("is_protected"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="name",
)
COMMITS = Listing(
    "commit",
    {
        "branch": BRANCH,
        "author": Field("author"),
        "sha": Field("sha"),
        "artifactId": Field("artifact"),
        "committedAt": Field("committed_at", read_time),
        "recordedAt": Field("recorded_at", read_time),
    },
    sort="-recordedAt",
)
PULL_REQUESTS = Listing(
    "pull-request",
    {
        "repositoryId": REPOSITORY,
        "projectId": PROJECT,
        "status": Field("status", words=words("status", PullRequestStatus)),
        "policyEvaluation": Field("policy_evaluation", words=words("policy_evaluation", PolicyEvaluation)),
        "sourceBranch": Field("source_branch"),
        "targetBranch": Field("target_branch"),
        "openedBy": Field("opened_by"),
        "isDraft": Field("is_draft"),
        "mergeability": Field("mergeability", words=words("mergeability", Mergeability)),
        "title": Field("title"),
        "number": Field("number"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)
REVIEWS = Listing(
    "pull-request-review",
    {
        "reviewer": Field("reviewer"),
        "decision": Field("decision", words=words("decision", ReviewDecision)),
        "sha": Field("sha"),
        "createdAt": CREATED,
    },
    sort="createdAt",
)
PIPELINES = Listing(
    "pipeline",
    {
        "repositoryId": REPOSITORY,
        "projectId": PROJECT,
        "moduleId": MODULE,
        "moduleType": Field("module_type", words=verbatim("module_type", ModuleType)),
        "status": Field("status", words=words("status", PipelineStatus)),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="createdAt",
)
_LATE = has("outcome_reason", TIMED_OUT)
RUN_STATUS: Words = {
    "Started": has("status", RunStatus.PENDING),
    "Running": has("status", RunStatus.RUNNING),
    "Succeeded": has("status", RunStatus.SUCCEEDED),
    "Failed": AnyOf((AllOf((has("status", RunStatus.FAILED), Not(_LATE))), has("status", RunStatus.ERRORED))),
    "TimedOut": AllOf((has("status", RunStatus.FAILED), _LATE)),
    "Canceled": has("status", RunStatus.CANCELLED),
}
RUNS = Listing(
    "run",
    {
        "pipelineId": PIPELINE,
        "repositoryId": REPOSITORY,
        "projectId": PROJECT,
        "moduleId": MODULE,
        "branch": BRANCH,
        "commitSha": Field("commit_sha"),
        "status": Field("status", words=RUN_STATUS),
        "pullRequestId": ids("pull_request", "pr"),
        "reason": Field("reason"),
        "requestedBy": Field("requested_by"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)
RELEASES = Listing(
    "release",
    {
        "projectId": PROJECT,
        "moduleId": MODULE,
        "lifecycle": Field("status", words=words("status", ReleaseStatus)),
        "version": Field("version"),
        "number": Field("number"),
        "createdBy": Field("created_by"),
        "createdAt": CREATED,
    },
    sort="-createdAt",
)
_DEPLOYED, _PENDING = has("status", PromotionStatus.DEPLOYED), has("status", PromotionStatus.PENDING)
_QUORUM, _DELAYED = has("has_quorum", True), has("is_delayed", True)
_REPLACED = Compare("superseded_by", Operator.EXISTS, True)
PROMOTION_STATUS: Words = {
    "Planned": AllOf((_PENDING, Not(_QUORUM), Not(_DELAYED))),
    "PendingApproval": has("status", PromotionStatus.AWAITING_APPROVAL),
    "Approved": AllOf(
        (
            AnyOf((has("status", PromotionStatus.APPROVED), AllOf((_PENDING, _QUORUM)))),
            Not(_DELAYED),
        )
    ),
    "Delayed": _DELAYED,
    "Promoting": has("status", PromotionStatus.DEPLOYING),
    "Deployed": AllOf((_DEPLOYED, Not(_REPLACED))),
    "Rejected": has("status", PromotionStatus.REJECTED),
    "Cancelled": has("status", PromotionStatus.CANCELLED),
    "Failed": has("status", PromotionStatus.FAILED),
    "RolledBack": has("status", PromotionStatus.ROLLED_BACK),
    "Superseded": AllOf((_DEPLOYED, _REPLACED)),
}
PROMOTIONS = Listing(
    "promotion",
    {
        "releaseId": RELEASE,
        "projectId": PROJECT,
        "moduleId": MODULE,
        "version": Field("version"),
        "fromEnvironment": Field("source_environment"),
        "toEnvironment": ENVIRONMENT,
        "status": Field("status", words=PROMOTION_STATUS),
        "strategy": STRATEGY,
        "requestedBy": Field("requested_by"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)
DEPLOYMENTS = Listing(
    "deployment",
    {
        "environment": ENVIRONMENT,
        "releaseId": RELEASE,
        "promotionId": ids("promotion", "prom"),
        "projectId": PROJECT,
        "moduleId": MODULE,
        "status": Field("status", words=words("status", DeploymentStatus)),
        "strategy": STRATEGY,
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)
SYNC_STATES = Listing(
    "sync-state",
    {
        "environment": ENVIRONMENT,
        "projectId": PROJECT,
        "moduleId": MODULE,
        "status": Field("status", words=words("status", SyncStatus)),
        "updatedAt": UPDATED,
    },
    sort="-updatedAt",
)


class RepositoriesQuery(ListingQuery):
    LISTING = REPOSITORIES

    project_id: Name | None = None
    module_id: Name | None = None
    status: Annotated[str, OneOf(words("status", RepositoryStatus))] | None = None


class BranchesQuery(ListingQuery):
    LISTING = BRANCHES

    status: Annotated[str, OneOf(words("status", BranchStatus))] | None = None


class CommitsQuery(ListingQuery):
    LISTING = COMMITS

    branch: BranchName | None = None
    author: Subject | None = None


class PullRequestsQuery(ListingQuery):
    LISTING = PULL_REQUESTS

    repository_id: RepositoryId | None = None
    project_id: Name | None = None
    status: Annotated[str, OneOf(words("status", PullRequestStatus))] | None = None
    source_branch: BranchName | None = None
    target_branch: BranchName | None = None
    opened_by: Subject | None = None
    is_draft: bool | None = None
    reviewer: Subject | None = None
    label: Annotated[str, Parameter(min_length=1, max_length=50)] | None = None

    def wanted(self, where: Mapping[str, str | int | bool] | None = None) -> store.Query:
        """Who reviews and what it is labelled are lists of each item: looked at one by one, in no index."""
        query = super().wanted(where)
        held = {"reviewers": self.reviewer, "labels": self.label}
        more = [Compare(name, Operator.CONTAINS, value) for name, value in held.items() if value is not None]
        return replace(query, residual=all_of([*conditions(query.residual), *more])) if more else query


class ReviewsQuery(ListingQuery):
    LISTING = REVIEWS

    reviewer: Subject | None = None


class PipelinesQuery(ListingQuery):
    LISTING = PIPELINES

    repository_id: RepositoryId | None = None
    project_id: Name | None = None
    module_id: Name | None = None
    status: Annotated[str, OneOf(words("status", PipelineStatus))] | None = None


class RunsQuery(ListingQuery):
    LISTING = RUNS

    pipeline_id: PipelineId | None = None
    repository_id: RepositoryId | None = None
    project_id: Name | None = None
    branch: BranchName | None = None
    pull_request_id: PullRequestId | None = None
    status: Annotated[str, OneOf(RUN_STATUS)] | None = None


class ReleasesQuery(ListingQuery):
    LISTING = RELEASES

    project_id: Name | None = None
    module_id: Name | None = None
    lifecycle: Annotated[str, OneOf(words("status", ReleaseStatus))] | None = None


class PromotionsQuery(ListingQuery):
    """`environment` is the one that is promoted into, by its name or its stage."""

    LISTING = PROMOTIONS

    release_id: ReleaseId | None = None
    environment: EnvironmentName | None = None
    project_id: Name | None = None
    status: Annotated[str, OneOf(PROMOTION_STATUS)] | None = None


class DeploymentsQuery(ListingQuery):
    LISTING = DEPLOYMENTS

    release_id: ReleaseId | None = None
    environment: EnvironmentName | None = None
    status: Annotated[str, OneOf(words("status", DeploymentStatus))] | None = None


class SyncStatesQuery(ListingQuery):
    LISTING = SYNC_STATES

    environment: EnvironmentName | None = None
    project_id: Name | None = None
    status: Annotated[str, OneOf(words("status", SyncStatus))] | None = None
