"""Scenarios of pull requests beyond opening and merging them, and of the policies that govern them."""

from tests.faults.crash_points.operations import Operation, Request
from tests.faults.crash_points.scenarios import APPROVER, scenario
from tests.faults.crash_points.stage import Stage, a_commit
from tests.support.api import Api


@scenario("POST /pull-requests/{pullRequestId}/merge", "with another one open into the same branch")
async def _(stage: Stage) -> Operation:
    await _another(stage)
    return Request("POST", f"{await stage.pull_request('feature/m')}/merge")


async def _another(stage: Stage) -> None:
    """Its commits are its own: those of two branches with one change at one second are the same."""
    await stage.pull_request("feature/other")
    await stage.post(
        stage.path("/repositories/{repositoryId}/commits"), a_commit("feature/other", "second.py")
    )
    await stage.drain()


@scenario("POST /pull-requests/{pullRequestId}/bypass")
async def _(stage: Stage) -> Operation:
    await stage.policy(minimumReviewers=1, bypassRoles=["admin"])
    request = await stage.pull_request("feature/b")
    return Request("POST", f"{request}/bypass", {"reason": "the site is down"})


@scenario("POST /pull-requests/{pullRequestId}/reopen")
async def _(stage: Stage) -> Operation:
    request = await stage.pull_request("feature/a")
    await stage.post(f"{request}/abandon", None)
    return Request("POST", f"{request}/reopen")


@scenario("PUT /pull-requests/{pullRequestId}")
async def _(stage: Stage) -> Operation:
    return Request("PUT", await stage.pull_request("feature/e"), {"title": "Edited"})


@scenario("PUT /pull-requests/{pullRequestId}/labels")
async def _(stage: Stage) -> Operation:
    return Request("PUT", f"{await stage.pull_request('feature/l')}/labels", {"labels": ["bug"]})


@scenario("POST /pull-requests/{pullRequestId}/ready")
async def _(stage: Stage) -> Operation:
    return Request("POST", f"{await stage.pull_request('feature/d', isDraft=True)}/ready")


@scenario("POST /pull-requests/{pullRequestId}/waive")
async def _(stage: Stage) -> Operation:
    request = await stage.pull_request("feature/w")
    return Request("POST", f"{request}/waive", {"reason": "an outage"}, APPROVER)


@scenario("POST /pull-requests/{pullRequestId}/auto-complete", "of what waits for nothing")
async def _(stage: Stage) -> Operation:
    return Request("POST", f"{await stage.pull_request('feature/c')}/auto-complete")


@scenario("DELETE /pull-requests/{pullRequestId}/auto-complete")
async def _(stage: Stage) -> Operation:
    return Request("DELETE", f"{await _ordered(stage)}/auto-complete")


async def _ordered(stage: Stage) -> str:
    """A pull request to be merged as soon as somebody has approved it."""
    await stage.policy(minimumReviewers=1)
    request = await stage.pull_request("feature/o")
    await stage.post(f"{request}/auto-complete", {})
    return request


@scenario("POST /pull-requests/{pullRequestId}/reviews")
async def _(stage: Stage) -> Operation:
    request = await stage.pull_request("feature/r")
    return Request("POST", f"{request}/reviews", {"decision": "ChangesRequested"}, APPROVER)


@scenario("POST /pull-requests/{pullRequestId}/reviewers")
async def _(stage: Stage) -> Operation:
    request = await stage.pull_request("feature/r")
    return Request("POST", f"{request}/reviewers", {"reviewers": ["user:bob"]})


@scenario("DELETE /pull-requests/{pullRequestId}/reviewers/{reviewer}")
async def _(stage: Stage) -> Operation:
    request = await stage.pull_request("feature/r", reviewers=["user:bob"])
    return Request("DELETE", f"{request}/reviewers/user:bob")


@scenario("POST /pull-requests/{pullRequestId}/checks")
async def _(stage: Stage) -> Operation:
    request = await stage.pull_request("feature/k")
    seen = await Api(stage.installation.app).expect(200, "GET", request)
    return Request(
        "POST", f"{request}/checks", {"name": "lint", "status": "Failed", "sha": seen["sourceSha"]}
    )


@scenario("POST /pull-requests/{pullRequestId}/checks/rerun")
async def _(stage: Stage) -> Operation:
    return Request("POST", f"{await stage.pull_request('feature/k')}/checks/rerun", {"name": "build"})


@scenario("PUT /repositories/{repositoryId}/branch-policies/{policyId}")
async def _(stage: Stage) -> Operation:
    path = stage.path("/repositories/{repositoryId}/branch-policies/releases")
    return Request("PUT", path, {"pattern": "release/*"})


@scenario("DELETE /repositories/{repositoryId}/branch-policies/{policyId}")
async def _(stage: Stage) -> Operation:
    return Request("DELETE", stage.path("/repositories/{repositoryId}/branch-policies/default"))


@scenario("PullRequestReopened")
async def _(stage: Stage) -> Operation:
    request = await stage.pull_request("feature/a")
    await stage.post(f"{request}/abandon", None)
    await stage.post(f"{request}/reopen", None)
    return await stage.delivery("PullRequestReopened")


@scenario("RerunChecks")
async def _(stage: Stage) -> Operation:
    await stage.post(f"{await stage.pull_request('feature/k')}/checks/rerun", {"name": "build"})
    return await stage.delivery("RerunChecks")


@scenario("WeighPullRequests", "that one of them no longer fits")
async def _(stage: Stage) -> Operation:
    await _another(stage)
    request = await stage.pull_request("feature/m")
    await stage.post(f"{request}/merge", None)
    return await stage.delivery("WeighPullRequests")


@scenario("BranchPolicyChanged")
async def _(stage: Stage) -> Operation:
    await stage.pull_request("feature/g")
    policy = {"pattern": "**", "minimumReviewers": 1}
    path = stage.path("/repositories/{repositoryId}/branch-policies/all")
    await Api(stage.installation.app).expect(200, "PUT", path, policy)
    return await stage.delivery("BranchPolicyChanged")


@scenario("CompletePullRequest")
async def _(stage: Stage) -> Operation:
    await stage.post(f"{await stage.pull_request('feature/c')}/auto-complete", {})
    return await stage.delivery("CompletePullRequest")
