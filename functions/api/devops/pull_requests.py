"""Pull requests: open, look, merge, abandon."""

from functions.api.devops.models_source import (
    DiffView,
    FileDiffView,
    OpenPullRequest,
    PullRequestId,
    PullRequestView,
)
from functions.api.devops.queries import PullRequestsQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.source.model import PullRequest
from shared.services.unit import Page

WRITE, READ = "devops.pullrequests.write", "devops.pullrequests.read"


@devops.post(
    "/pull-requests",
    scope=WRITE,
    returns=PullRequestView,
    status=201,
    location="/pull-requests/{id}",
    examples={
        "tenantId": "connectsoft",
        "repositoryId": "repo-7a1c",
        "sourceBranch": "feature/reservation-cancellation",
        "targetBranch": "main",
        "title": "Add reservation cancellation",
        "description": "Implements cancellation for module-reservations-api",
    },
)
async def open_pull_request(call: Call, body: OpenPullRequest) -> PullRequest:
    """Open a pull request; its checks start by themselves."""
    return await call.app.pull_requests.open(call.actor, body.draft(), call.once)


@devops.get("/pull-requests/{pullRequestId}", scope=READ, returns=PullRequestView)
async def get_pull_request(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Retrieve a pull request with its checks."""
    return await call.app.pull_requests.get(call.actor, pull_request_id)


@devops.get("/pull-requests", scope=READ, returns=PullRequestView)
async def list_pull_requests(call: Call, query: PullRequestsQuery) -> Page[PullRequest]:
    """List pull requests, newest first."""
    return await call.app.pull_requests.list(call.actor, query.wanted())


@devops.get("/pull-requests/{pullRequestId}/diff", scope=READ, returns=DiffView)
async def diff_pull_request(call: Call, pull_request_id: PullRequestId) -> DiffView:
    """Show what merging would bring, against the merge base."""
    files = await call.app.pull_requests.diff(call.actor, pull_request_id)
    return DiffView(files=tuple(FileDiffView.model_validate(file) for file in files))


@devops.post("/pull-requests/{pullRequestId}/merge", scope=WRITE, returns=PullRequestView)
async def merge_pull_request(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Merge a pull request whose required checks have passed."""
    return await call.app.pull_requests.merge(call.actor, pull_request_id, call.once, revision=call.if_match)


@devops.post("/pull-requests/{pullRequestId}/abandon", scope=WRITE, returns=PullRequestView)
async def abandon_pull_request(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Close a pull request without merging it."""
    return await call.app.pull_requests.abandon(
        call.actor, pull_request_id, call.once, revision=call.if_match
    )
