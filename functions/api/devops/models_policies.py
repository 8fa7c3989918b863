"""Requests and views of branch policies, and of what decides about a pull request: reviews and checks."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from functions.api.devops.models_source import BranchName, CheckView, Label, PullRequestId, Title, one_line
from functions.http.fields import Body, Name, PascalStatus, View, WireId
from shared.domain.source.model import Check, CheckStatus, ReviewDecision
from shared.domain.source.policies import BUILD, BranchPolicyDraft, MergeStrategy
from shared.services.pull_requests import MergeOrder, PullRequestEdit

PolicyName = Name
ReviewId = Annotated[str, WireId("review")]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Subject = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
CheckName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(one_line)]
Reason = Annotated[str, Field(min_length=1, max_length=2000)]
Role = Annotated[str, Field(min_length=1, max_length=100)]


class PutBranchPolicy(Body):
    tenant_id: str | None = None
    pattern: BranchName
    required_checks: Annotated[tuple[CheckName, ...], Field(max_length=20)] = (BUILD,)
    minimum_reviewers: Annotated[int, Field(ge=0, le=10)] = 0
    author_may_approve: bool = False
    dismiss_stale_reviews: bool = True
    require_up_to_date: bool = False
    allowed_merge_strategies: Annotated[tuple[MergeStrategy, ...], Field(min_length=1, max_length=5)] = (
        MergeStrategy.MERGE,
    )
    bypass_roles: Annotated[tuple[Role, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _waits_for_no_gate(self) -> "PutBranchPolicy":
        if "policy-gate" in self.required_checks:
            raise PydanticCustomError(
                "policy_gate", "`policy-gate` is what the policies come to; require the checks behind it."
            )
        return self

    def draft(self) -> BranchPolicyDraft:
        return BranchPolicyDraft(
            pattern=self.pattern,
            required_checks=tuple(dict.fromkeys(self.required_checks)),
            minimum_reviewers=self.minimum_reviewers,
            author_may_approve=self.author_may_approve,
            dismiss_stale_reviews=self.dismiss_stale_reviews,
            require_up_to_date=self.require_up_to_date,
            allowed_merge_strategies=tuple(dict.fromkeys(self.allowed_merge_strategies)),
            bypass_roles=tuple(dict.fromkeys(self.bypass_roles)),
        )


class BranchPolicyView(View):
    policy_id: Annotated[str, Field(validation_alias="id")]
    pattern: str
    required_checks: tuple[str, ...]
    minimum_reviewers: int
    author_may_approve: bool
    dismiss_stale_reviews: bool
    require_up_to_date: bool
    allowed_merge_strategies: tuple[MergeStrategy, ...]
    bypass_roles: tuple[str, ...]
    created_by: str
    created_at: datetime
    updated_at: datetime


class EditPullRequest(Body):
    """What is left out stays as it is."""

    tenant_id: str | None = None
    title: Title | None = None
    description: Annotated[str | None, Field(max_length=65_536)] = None

    @model_validator(mode="after")
    def _says_something(self) -> "EditPullRequest":
        if self.title is None and self.description is None:
            raise PydanticCustomError("nothing_to_edit", "Give a `title` or a `description`.")
        return self

    def changed(self) -> PullRequestEdit:
        return PullRequestEdit(title=self.title, description=self.description)


class LabelPullRequest(Body):
    tenant_id: str | None = None
    labels: Annotated[tuple[Label, ...], Field(max_length=20)]

    def changed(self) -> PullRequestEdit:
        return PullRequestEdit(labels=tuple(dict.fromkeys(self.labels)))


class BypassPolicies(Body):
    """Why the policies are passed over; it stays on record."""

    tenant_id: str | None = None
    reason: Reason

    def order(self) -> MergeOrder:
        return MergeOrder(bypass=self.reason)


class AutoCompletePullRequest(Body):
    tenant_id: str | None = None
    strategy: MergeStrategy = MergeStrategy.MERGE


class WaivePolicies(Body):
    tenant_id: str | None = None
    reason: Reason


class ReviewPullRequest(Body):
    tenant_id: str | None = None
    decision: Literal["Approved", "ChangesRequested", "Commented"]
    comment: Annotated[str, Field(max_length=65_536)] = ""

    @model_validator(mode="after")
    def _says_something(self) -> "ReviewPullRequest":
        if self.decision == "Commented" and not self.comment:
            raise PydanticCustomError("empty_comment", "A comment needs a `comment`.")
        return self

    def verdict(self) -> ReviewDecision:
        return {
            "Approved": ReviewDecision.APPROVED,
            "ChangesRequested": ReviewDecision.CHANGES_REQUESTED,
            "Commented": ReviewDecision.COMMENTED,
        }[self.decision]


class ReviewView(View):
    review_id: Annotated[ReviewId, Field(validation_alias="id")]
    pull_request_id: Annotated[PullRequestId, Field(validation_alias="pull_request")]
    reviewer: str
    on_behalf_of: Annotated[str | None, Field(validation_alias="reviewer_for")]
    decision: PascalStatus
    comment: str
    sha: str
    created_at: datetime


class AskReviewers(Body):
    tenant_id: str | None = None
    reviewers: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=50)]


class ReportCheck(Body):
    tenant_id: str | None = None
    name: CheckName
    status: Literal["Pending", "Succeeded", "Failed"]
    sha: Sha
    detail: Annotated[str, Field(max_length=1000)] = ""
    url: Annotated[str | None, Field(max_length=2000, pattern=r"^https?://[^\s]+$")] = None

    def check(self, reported_by: str) -> Check:
        status = CheckStatus(self.status.lower())
        return Check(
            self.name, status, required=False, detail=self.detail, url=self.url, reported_by=reported_by
        )


class RerunChecks(Body):
    """Without a `name`, every check that has failed."""

    tenant_id: str | None = None
    name: CheckName | None = None


class CheckReportsView(View):
    """What external systems said of one commit. Whether it counts, the pull request says."""

    pull_request_id: Annotated[PullRequestId, Field(validation_alias="pull_request")]
    sha: str
    checks: tuple[CheckView, ...]
