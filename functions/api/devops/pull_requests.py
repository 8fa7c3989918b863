"""Pull requests: open, look, edit, merge, waive, abandon, reopen."""

from functions.api.devops.models_policies import (
    AutoCompletePullRequest,
    BypassPolicies,
    EditPullRequest,
    LabelPullRequest,
    WaivePolicies,
)
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


@devops.put(
    "/pull-requests/{pullRequestId}",
    scope=WRITE,
    returns=PullRequestView,
    examples={"title": "Add reservation cancellation", "description": "Closes #41, fixes RES-7"},
)
async def edit_pull_request(call: Call, pull_request_id: PullRequestId, body: EditPullRequest) -> PullRequest:
    """Change the title or the description; what the description closes is recorded as links."""
    return await call.app.pull_requests.edit(
        call.actor, pull_request_id, body.changed(), call.once, revision=call.if_match
    )


@devops.put(
    "/pull-requests/{pullRequestId}/labels",
    scope=WRITE,
    returns=PullRequestView,
    examples={"labels": ["enhancement", "reservations"]},
)
async def label_pull_request(
    call: Call, pull_request_id: PullRequestId, body: LabelPullRequest
) -> PullRequest:
    """Replace the labels of a pull request."""
    return await call.app.pull_requests.edit(
        call.actor, pull_request_id, body.changed(), call.once, revision=call.if_match
    )


@devops.post("/pull-requests/{pullRequestId}/ready", scope=WRITE, returns=PullRequestView)
async def ready_pull_request(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Turn a draft into a pull request that can be merged."""
    return await call.app.pull_requests.ready(call.actor, pull_request_id, call.once, revision=call.if_match)


@devops.post("/pull-requests/{pullRequestId}/merge", scope=WRITE, returns=PullRequestView)
async def merge_pull_request(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Merge a pull request that nothing stands against; otherwise every reason is named."""
    return await call.app.pull_requests.merge(call.actor, pull_request_id, call.once, revision=call.if_match)


@devops.post(
    "/pull-requests/{pullRequestId}/bypass",
    scope=WRITE,
    returns=PullRequestView,
    examples={"reason": "The site is down and this restores it"},
)
async def bypass_policies(call: Call, pull_request_id: PullRequestId, body: BypassPolicies) -> PullRequest:
    """Merge a pull request past its policies, for those whose role they let; the reason stays on record."""
    return await call.app.pull_requests.merge(
        call.actor, pull_request_id, call.once, order=body.order(), revision=call.if_match
    )


@devops.post(
    "/pull-requests/{pullRequestId}/auto-complete",
    scope=WRITE,
    returns=PullRequestView,
    examples={"strategy": "merge"},
)
async def auto_complete_pull_request(
    call: Call, pull_request_id: PullRequestId, body: AutoCompletePullRequest
) -> PullRequest:
    """Merge a pull request in the caller's name as soon as everything passes."""
    return await call.app.pull_requests.order_merge(call.actor, pull_request_id, body.strategy, call.once)


@devops.delete("/pull-requests/{pullRequestId}/auto-complete", scope=WRITE, returns=PullRequestView)
async def cancel_auto_complete(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Take back that a pull request is merged by itself."""
    return await call.app.pull_requests.cancel_order(call.actor, pull_request_id, call.once)


@devops.post(
    "/pull-requests/{pullRequestId}/waive",
    scope="devops.pullrequests.waive",
    returns=PullRequestView,
    examples={"reason": "Hotfix for the outage; reviewed on the call, follow-up in RES-8"},
)
async def waive_policies(call: Call, pull_request_id: PullRequestId, body: WaivePolicies) -> PullRequest:
    """Let a pull request pass its policies at this head, for a reason on record; a new push ends it."""
    return await call.app.pull_requests.waive(
        call.actor, pull_request_id, body.reason, call.once, revision=call.if_match
    )


@devops.post("/pull-requests/{pullRequestId}/abandon", scope=WRITE, returns=PullRequestView)
async def abandon_pull_request(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Close a pull request without merging it."""
    return await call.app.pull_requests.abandon(
        call.actor, pull_request_id, call.once, revision=call.if_match
    )


@devops.post("/pull-requests/{pullRequestId}/reopen", scope=WRITE, returns=PullRequestView)
async def reopen_pull_request(call: Call, pull_request_id: PullRequestId) -> PullRequest:
    """Take an abandoned pull request up again; both branches must still be there."""
    return await call.app.pull_requests.reopen(call.actor, pull_request_id, call.once, revision=call.if_match)
