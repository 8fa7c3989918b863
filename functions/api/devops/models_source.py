"""Requests and views of repositories, branches, commits, pull requests, artifacts and the audit trail."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from functions.http.fields import Body, Name, PascalStatus, Query, Reference, View, WireId
from shared.domain.source.model import Provider, Visibility
from shared.services.commits import ChangeDraft, CommitDraft
from shared.services.pull_requests import PullRequestDraft
from shared.services.repositories import RepositoryDraft

RepositoryId = Annotated[str, WireId("repo")]
BranchId = Annotated[str, WireId("branch")]
CommitId = Annotated[str, WireId("commit")]
PullRequestId = Annotated[str, WireId("pr")]
RunId = Annotated[str, WireId("run")]
ArtifactName = Name


def one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise PydanticCustomError("one_line", "Must be one line.")
    return text


Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
BranchName = Annotated[str, Field(min_length=1, max_length=244)]
Label = Annotated[str, Field(min_length=1, max_length=50), AfterValidator(one_line)]


class ProvisionRepository(Body):
    tenant_id: str | None = None
    project_id: Name
    module_id: Name | None = None
    name: Name
    provider: Provider = Provider.EMBEDDED
    default_branch: BranchName = "main"
    visibility: Visibility = Visibility.PRIVATE

    def draft(self) -> RepositoryDraft:
        return RepositoryDraft(
            project=self.project_id,
            name=self.name,
            provider=self.provider,
            default_branch=self.default_branch,
            visibility=self.visibility,
            module=self.module_id,
        )


class RepositoryView(View):
    repository_id: Annotated[RepositoryId, Field(validation_alias="id")]
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str | None, Field(validation_alias="module")]
    name: str
    provider: str
    remote_url: str
    default_branch: str
    visibility: str
    status: PascalStatus
    is_managed: bool
    created_by: str
    created_at: datetime
    updated_at: datetime


class CreateBranch(Body):
    tenant_id: str | None = None
    name: BranchName
    from_branch: BranchName | None = None


class BranchView(View):
    branch_id: Annotated[BranchId, Field(validation_alias="id")]
    repository_id: Annotated[RepositoryId, Field(validation_alias="repository")]
    name: str
    from_commit: str
    head: str
    is_protected: bool
    status: PascalStatus
    created_at: datetime
    updated_at: datetime


class FileChange(Body):
    """`content` (UTF-8) or `contentBase64` for add and modify; neither takes it from the artifact."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    operation: Literal["add", "modify", "delete", "rename"]
    content: str | None = None
    content_base64: str | None = None
    from_: Annotated[str | None, Field(alias="from", min_length=1, max_length=4096)] = None
    executable: bool = False

    @model_validator(mode="after")
    def _agrees(self) -> "FileChange":
        if self.content is not None and self.content_base64 is not None:
            raise PydanticCustomError("two_contents", "Give `content` or `contentBase64`, not both.")
        if self.operation == "delete" and (self.content is not None or self.content_base64 is not None):
            raise PydanticCustomError("content_of_delete", "A delete has no content.")
        if (self.operation == "rename") != (self.from_ is not None):
            raise PydanticCustomError(
                "rename_source", "A rename, and only a rename, names its old path in `from`."
            )
        if self.content_base64 is not None:
            self._bytes()
        return self

    def _bytes(self) -> bytes | None:
        if self.content is not None:
            return self.content.encode()
        if self.content_base64 is None:
            return None
        try:
            return base64.b64decode(self.content_base64, validate=True)
        except binascii.Error:
            raise PydanticCustomError("base64", "`contentBase64` must be standard base64.") from None

    def draft(self) -> ChangeDraft:
        return ChangeDraft(self.path, self.operation, self._bytes(), self.from_, self.executable)


class AuthorCommit(Body):
    tenant_id: str | None = None
    branch: BranchName
    message: Annotated[str, Field(min_length=1, max_length=10_000)]
    artifact_id: ArtifactName | None = None
    changes: Annotated[list[FileChange], Field(min_length=1, max_length=2000)]
    expected_head: Annotated[str | None, Field(pattern=r"^[0-9a-f]{40}$")] = None

    def draft(self) -> CommitDraft:
        return CommitDraft(
            branch=self.branch,
            message=self.message,
            changes=[change.draft() for change in self.changes],
            artifact=self.artifact_id,
            expected_head=self.expected_head,
        )


class CommitView(View):
    commit_id: Annotated[CommitId, Field(validation_alias="id")]
    repository_id: Annotated[RepositoryId, Field(validation_alias="repository")]
    sha: str
    branch: str
    tree_hash: Annotated[str, Field(validation_alias="tree")]
    message: str
    author: str
    artifact_id: Annotated[str | None, Field(validation_alias="artifact")]
    committed_at: datetime
    recorded_at: datetime
    status: Literal["Committed"] = "Committed"


class OpenPullRequest(Body):
    tenant_id: str | None = None
    repository_id: RepositoryId
    source_branch: BranchName
    target_branch: BranchName
    title: Title
    description: Annotated[str, Field(max_length=65_536)] = ""
    reviewers: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=50)
    ] = ()
    labels: Annotated[tuple[Label, ...], Field(max_length=20)] = ()
    is_draft: bool = False

    def draft(self) -> PullRequestDraft:
        return PullRequestDraft(
            repository=self.repository_id,
            source_branch=self.source_branch,
            target_branch=self.target_branch,
            title=self.title,
            description=self.description,
            reviewers=self.reviewers,
            labels=tuple(dict.fromkeys(self.labels)),
            is_draft=self.is_draft,
        )


class CheckView(View):
    name: str
    status: PascalStatus
    required: bool
    detail: str
    pipeline_run_id: Annotated[RunId | None, Field(validation_alias="run")]
    url: str | None
    reported_by: str | None


class PolicyResultView(View):
    policy: str
    status: PascalStatus
    reason: str


class BlockerView(View):
    code: str
    reason: str


class StandingReviewView(View):
    """The verdict of one reviewer that counts now."""

    reviewer: str
    on_behalf_of: Annotated[str | None, Field(validation_alias="reviewer_for")]
    decision: PascalStatus
    comment: str
    sha: str
    at: datetime


class OverrideView(View):
    """A waiver or a bypass of the policies: who answers for it, and why."""

    by: str
    reason: str
    sha: str
    at: datetime


class AutoCompleteView(View):
    by: str
    strategy: str
    at: datetime


class LinkView(View):
    kind: PascalStatus
    key: str


class PullRequestView(View):
    pull_request_id: Annotated[PullRequestId, Field(validation_alias="id")]
    number: int
    status: PascalStatus
    policy_evaluation: PascalStatus
    repository_id: Annotated[RepositoryId, Field(validation_alias="repository")]
    project_id: Annotated[str, Field(validation_alias="project")]
    source_branch: str
    target_branch: str
    source_sha: str
    title: str
    description: str
    checks: tuple[CheckView, ...]
    reviewers: tuple[str, ...]
    reviews: tuple[StandingReviewView, ...]
    is_draft: bool
    labels: tuple[str, ...]
    closes: tuple[LinkView, ...]
    policies: tuple[PolicyResultView, ...]
    mergeability: PascalStatus
    conflicts: tuple[str, ...]
    is_behind: bool | None
    blockers: tuple[BlockerView, ...]
    waiver: OverrideView | None
    bypass: OverrideView | None
    auto_complete: AutoCompleteView | None
    opened_by: str
    created_at: datetime
    updated_at: datetime
    merge_commit_sha: Annotated[str | None, Field(validation_alias="merge_commit")]
    merged_by: str | None
    merged_at: datetime | None
    merged_at_host: bool
    host_number: int | None
    host_url: str | None


class FileDiffView(View):
    path: str
    operation: str
    from_: Annotated[str | None, Field(validation_alias="source", serialization_alias="from")]
    additions: int
    deletions: int
    patch: str | None


class DiffView(View):
    files: tuple[FileDiffView, ...]


class ArtifactView(View):
    artifact_id: Annotated[str, Field(validation_alias="name")]
    digest: str
    size: int
    files: int
    content_type: str
    created_by: str
    created_at: datetime


class AuditQuery(Query):
    resource_id: Annotated[str, Field(min_length=1, max_length=100), Reference()]
    after_sequence: Annotated[int, Field(ge=0)] = 0


class AuditTrailView(View):
    """`brokenAt` names the first entry whose hash or link does not hold."""

    root: str
    verified: bool
    length: int
    head: str
    broken_at: int | None
    next: int | None
    entries: tuple[dict[str, Any], ...]
