"""What people and other systems say of a pull request: reviews, who is asked for one, and checks."""

from functions.api.devops.models_policies import (
    AskReviewers,
    CheckReportsView,
    ReportCheck,
    RerunChecks,
    ReviewPullRequest,
    ReviewView,
    Sha,
    Subject,
)
from functions.api.devops.models_source import PullRequestId, PullRequestView
from functions.api.devops.queries import ReviewsQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.source.model import CheckReports, PullRequest, Review
from shared.services.unit import Page

WRITE, READ = "devops.pullrequests.write", "devops.pullrequests.read"


@devops.post(
    "/pull-requests/{pullRequestId}/reviews",
    scope="devops.pullrequests.review",
    returns=ReviewView,
    status=201,
    examples={"decision": "Approved", "comment": "Reads well; the edge cases are tested"},
)
async def review_pull_request(call: Call, pull_request_id: PullRequestId, body: ReviewPullRequest) -> Review:
    """Review a pull request; the last verdict of each reviewer stands."""
    return await call.app.reviews.give(call.actor, pull_request_id, body.verdict(), body.comment, call.once)


@devops.get("/pull-requests/{pullRequestId}/reviews", scope=READ, returns=ReviewView)
async def list_reviews(call: Call, pull_request_id: PullRequestId, query: ReviewsQuery) -> Page[Review]:
    """List every review of a pull request, oldest first."""
    wanted = query.wanted({"pull_request": pull_request_id})
    return await call.app.reviews.list(call.actor, pull_request_id, wanted)


@devops.post(
    "/pull-requests/{pullRequestId}/reviewers",
    scope=WRITE,
    returns=PullRequestView,
    examples={"reviewers": ["user:ann", "agent:CodeReviewer"]},
)
async def ask_reviewers(call: Call, pull_request_id: PullRequestId, body: AskReviewers) -> PullRequest:
    """Ask for reviews, besides those asked for before."""
    return await call.app.reviews.ask(call.actor, pull_request_id, body.reviewers, call.once)


@devops.delete("/pull-requests/{pullRequestId}/reviewers/{reviewer}", scope=WRITE, returns=PullRequestView)
async def release_reviewer(call: Call, pull_request_id: PullRequestId, reviewer: Subject) -> PullRequest:
    """Ask somebody for a review no longer, unless they have given it."""
    return await call.app.reviews.release(call.actor, pull_request_id, reviewer, call.once)


@devops.post(
    "/pull-requests/{pullRequestId}/checks",
    scope="devops.checks.write",
    returns=CheckReportsView,
    status=201,
    examples={
        "name": "security/scan",
        "status": "Succeeded",
        "detail": "0 findings",
        "url": "https://ci.example.com/builds/77",
        "sha": "9f1c2b7d5e8a4c3b9d2f1e6a7b8c9d0e1f2a3b4c",
    },
)
async def report_check(call: Call, pull_request_id: PullRequestId, body: ReportCheck) -> CheckReports:
    """Report an external check of one commit; it counts as long as that is the source's head."""
    check = body.check(call.actor.subject)
    return await call.app.checks.report(call.actor, pull_request_id, body.sha, check, call.once)


@devops.get("/pull-requests/{pullRequestId}/checks/{sha}", scope=READ, returns=CheckReportsView)
async def get_check_reports(call: Call, pull_request_id: PullRequestId, sha: Sha) -> CheckReports:
    """Retrieve what external systems said of one commit."""
    return await call.app.checks.reports(call.actor, pull_request_id, sha)


@devops.post(
    "/pull-requests/{pullRequestId}/checks/rerun",
    scope=WRITE,
    returns=PullRequestView,
    examples={"name": "build"},
)
async def rerun_checks(call: Call, pull_request_id: PullRequestId, body: RerunChecks) -> PullRequest:
    """Run one check again, or every one that has failed."""
    return await call.app.checks.rerun(call.actor, pull_request_id, body.name, call.once)
