"""Repositories, branches, commits and pull requests: what we record of what a source host holds."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.ids import child_id, root_id
from shared.domain.kernel.record import Entity, record
from shared.domain.source.links import Link
from shared.domain.source.policies import MergeStrategy, Requirements
from shared.domain.source.twins import Twin


class Provider(StrEnum):
    EMBEDDED = "Embedded"
    GITHUB = "GitHub"
    AZURE_DEVOPS = "AzureDevOps"


class Visibility(StrEnum):
    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class RepositoryStatus(StrEnum):
    REQUESTED = "requested"
    PROVISIONING = "provisioning"
    PROVISIONED = "provisioned"
    FAILED = "failed"
    ARCHIVED = "archived"


class BranchStatus(StrEnum):
    CREATED = "created"
    MERGED = "merged"
    DELETED = "deleted"


class PullRequestStatus(StrEnum):
    OPEN = "open"
    BLOCKED = "blocked"
    MERGED = "merged"
    ABANDONED = "abandoned"


class PolicyEvaluation(StrEnum):
    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"


class CheckStatus(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PolicyStatus(StrEnum):
    """Of one policy; the evaluation is what all of them come to."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"


class ReviewDecision(StrEnum):
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    COMMENTED = "commented"
    DISMISSED = "dismissed"
    """An approval of commits that are no longer the newest."""


class Mergeability(StrEnum):
    UNKNOWN = "unknown"
    CLEAN = "clean"
    CONFLICTING = "conflicting"


@record("project", root="project")
class Project(Entity):
    """How a project is written, from its first repository on."""

    id: str
    tenant: str
    name: str
    created_by: str
    created_at: datetime
    revision: int = 0


@record("repository", root="repository")
class Repository(Entity):
    """`full_name` (`project/name` on the embedded host) is unique in the tenant, whatever its case: the id
    derives from it."""

    id: str
    tenant: str
    project: str
    name: str
    provider: Provider
    default_branch: str
    visibility: Visibility
    status: RepositoryStatus
    remote_url: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    module: str | None = None
    requested_as: str | None = None
    """The request that asked for it, so that its retry adopts what a crash left half made."""
    failure: str | None = None
    is_managed: bool = False
    """Kept by the platform itself, such as the desired state of the environments: people read it."""
    revision: int = 0

    @property
    def full_name(self) -> str:
        return f"{self.project}/{self.name}"


@record("branch", root="repository")
class Branch(Entity):
    id: str
    tenant: str
    repository: str
    name: str
    head: str
    from_commit: str
    is_protected: bool
    status: BranchStatus
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@record("commit", root="repository")
class Commit(Entity):
    """Append-only. `artifact` is the lineage: what the content was made from."""

    id: str
    tenant: str
    repository: str
    branch: str
    sha: str
    tree: str
    message: str
    author: str
    recorded_by: str
    committed_at: datetime
    recorded_at: datetime
    """Orders the commits of a repository: git's own times have whole seconds only."""
    artifact: str | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict on the source branch's head. `run` is the pipeline run that gives it; `url` says where an
    external one tells more."""

    name: str
    status: CheckStatus
    required: bool = True
    detail: str = ""
    run: str | None = None
    url: str | None = None
    reported_by: str | None = None


@record("check-reports", root="repository")
class CheckReports(Entity):
    """What external systems said about one commit of a pull request; kept when the source moves on, and there
    before it does where they were faster than our record."""

    id: str
    tenant: str
    pull_request: str
    sha: str
    checks: tuple[Check, ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What one policy says of a pull request, and why."""

    policy: str
    status: PolicyStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason why a pull request cannot be merged now."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class StandingReview:
    """The review of one reviewer that counts. `reviewer_for` is whom it was given for by an agent."""

    reviewer: str
    decision: ReviewDecision
    comment: str
    sha: str
    at: datetime
    reviewer_for: str | None = None


@record("pull-request-review", root="repository")
class Review(Entity):
    """One review as it was given. Append-only."""

    id: str
    tenant: str
    pull_request: str
    reviewer: str
    decision: ReviewDecision
    comment: str
    sha: str
    created_at: datetime
    reviewer_for: str | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Waiver:
    """Somebody answers for merging `sha` against the policies. Falls with the next push."""

    by: str
    reason: str
    sha: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Bypass:
    """Somebody whose role may merge past the policies did so with `sha`, and said why."""

    by: str
    reason: str
    sha: str
    at: datetime
    requested_as: str | None = None


@dataclass(frozen=True, slots=True)
class AutoComplete:
    """Whoever asked for the merge as soon as everything passes, in whose name it is then done."""

    by: str
    strategy: MergeStrategy
    at: datetime
    on_behalf_of: str | None = None


@record("pull-request", root="repository")
class PullRequest(Entity):
    """`source_sha` is the head that checks, policies and approvals speak about; a new push resets them.

    `policies`, `blockers`, `policy_evaluation` and `status` follow from the rest: every decision draws them
    anew from `requirements`, which are those of the target branch as they were last looked at.
    """

    id: str
    tenant: str
    project: str
    repository: str
    number: int
    title: str
    description: str
    source_branch: str
    target_branch: str
    source_sha: str
    status: PullRequestStatus
    policy_evaluation: PolicyEvaluation
    checks: tuple[Check, ...]
    reviewers: tuple[str, ...]
    """Who was asked for a review, and who gave one unasked."""
    opened_by: str
    created_at: datetime
    updated_at: datetime
    merge_commit: str | None = None
    merged_by: str | None = None
    merged_at: datetime | None = None
    merged_as: str | None = None
    """The request that merged it, so that its retry is answered as the first time."""
    opened_for: str | None = None
    """Whom an agent opened it for: the author, to the rules."""
    is_draft: bool = False
    labels: tuple[str, ...] = ()
    closes: tuple[Link, ...] = ()
    requirements: Requirements = Requirements()
    reviews: tuple[StandingReview, ...] = ()
    policies: tuple[PolicyResult, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    waiver: Waiver | None = None
    bypass: Bypass | None = None
    auto_complete: AutoComplete | None = None
    mergeability: Mergeability = Mergeability.UNKNOWN
    conflicts: tuple[str, ...] = ()
    """The first of the paths that conflict."""
    is_behind: bool | None = None
    """Whether the target has commits that the source lacks; None until somebody looked."""
    target_sha: str | None = None
    """The target's head that the three before were found with."""
    check_attempt: int = 0
    """How often the build was asked for again at this head."""
    twin: Twin | None = None
    """The vendor's pull request, where the repository is at one."""
    merged_at_host: bool = False
    revision: int = 0

    @property
    def host_number(self) -> int | None:
        return self.twin.number if self.twin is not None else None

    @property
    def host_url(self) -> str | None:
        return self.twin.url if self.twin is not None else None

    @property
    def author(self) -> frozenset[str]:
        """The identities that count as the author's: whoever opened it, and whom they acted for."""
        return frozenset({self.opened_by, self.opened_for} - {None, ""})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class OpenPullRequest:
    """A row of the index: which pull request is open between which branches."""

    id: str
    number: int
    source_branch: str
    target_branch: str


@record("pull-request-index", root="repository")
class PullRequestIndex(Entity):
    """Numbers without gaps and one open pull request per branch pair, decided in the repository's own
    batch."""

    id: str
    tenant: str
    repository: str
    last_number: int = 0
    open: tuple[OpenPullRequest, ...] = ()
    revision: int = 0


@record("artifact", root="artifact")
class Artifact(Entity):
    """An uploaded bundle that commits take their content from. Immutable: its name means one content."""

    id: str
    tenant: str
    name: str
    digest: str
    size: int
    files: int
    content_type: str
    created_by: str
    created_at: datetime
    revision: int = 0


def project_id(tenant: str, name: str) -> str:
    """Names that differ only by case are one folder on many a disk, and one name to many a reader."""
    return root_id("project", tenant, name.casefold())


def reports_id(pull_request: str, sha: str) -> str:
    return child_id(pull_request, "check-reports", sha)


def repository_id(tenant: str, project: str, name: str) -> str:
    return root_id("repository", tenant, f"{project}/{name}".casefold())
