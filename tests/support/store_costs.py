"""Every endpoint of the devops surface called once, with what each asked of the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.adapters.embedded.store import SqliteStore
from shared.names import INDEXES
from shared.ports.store import Query
from tests.support.api import STACK, World, a_world, an_api, find_endpoint
from tests.support.app import SteppingClock
from tests.support.builds import trivy
from tests.support.counting import CountingStore, Operation

HOME = {"projectId": "proj-x", "moduleId": "module-x"}
MADE = ("pullRequestId", "pipelineRunId", "buildResultId", "infrastructurePlanId")
APPROVAL = {"decision": "Approved", "comment": "seen"}
WAIVER = {"reason": "an outage"}
CHANGES = [{"path": "notes.txt", "operation": "add", "content": "1\n"}]

BUILD = {
    "pipelineId": "{pipelineId}",
    "commitSha": "b" * 40,
    "branch": "main",
    "buildNumber": "4711.1",
    "moduleId": "module-x",
    "status": "Succeeded",
}
IMAGE = {"buildResultId": "{newBuildResultId}", "repository": "shop/costs", "tag": "1"}
PACKAGE = {
    "buildResultId": "{buildResultId}",
    "packageType": "Generic",
    "packageId": "costs",
    "version": "1.0.0",
    "feed": "main",
    "artifactRef": "art-package",
}

FREEZE = {"name": "Far", "startsAt": "2191-01-01T00:00:00Z", "endsAt": "2191-01-02T00:00:00Z"}

type Ask = tuple[str, str, object, int]

DRAIN = ("DRAIN", "", None, 0)
"""No call: the workers do what there is to do."""
BECAUSE = {"reason": "so it is"}
ROLLOUTS: tuple[Ask, ...] = (
    ("POST", "/promotions/{canaryPromotionId}/advance", BECAUSE, 200),
    DRAIN,
    ("POST", "/releases/{canaryReleaseId}/rollback", BECAUSE, 201),
    DRAIN,
    ("POST", "/environments/dev/release-hold", BECAUSE, 200),
    ("POST", "/releases/{canaryReleaseId}/retry", BECAUSE, 201),
    DRAIN,
    ("POST", "/promotions/{retriedPromotionId}/abort", BECAUSE, 200),
    ("POST", "/promotions/{canaryStagingPromotionId}/override-freeze", BECAUSE, 200),
    ("POST", "/releases/{canaryReleaseId}/reject", BECAUSE, 200),
    ("PUT", "/environments/test/policy", {"soakSeconds": 60}, 200),
    ("POST", "/environments/dev/freeze-windows", FREEZE, 201),
    ("DELETE", "/environments/dev/freeze-windows/{freezeWindowId}", None, 204),
)

# In an order in which each call has what it needs. `{names}` are ids of the world.
CALLS: tuple[Ask, ...] = (
    ("GET", "/repositories", None, 200),
    ("GET", "/repositories/{repositoryId}", None, 200),
    ("GET", "/repositories/{repositoryId}/branches", None, 200),
    ("GET", "/repositories/{repositoryId}/commits", None, 200),
    ("GET", "/pull-requests?repositoryId={repositoryId}", None, 200),
    ("GET", "/pull-requests/{pullRequestId}", None, 200),
    ("GET", "/pull-requests/{pullRequestId}/diff", None, 200),
    ("GET", "/pull-requests/{pullRequestId}/reviews", None, 200),
    ("GET", "/pull-requests/{pullRequestId}/checks/{sha}", None, 200),
    ("GET", "/repositories/{repositoryId}/branch-policies", None, 200),
    ("GET", "/repositories/{repositoryId}/branch-policies/default", None, 200),
    ("GET", "/pipelines?repositoryId={repositoryId}", None, 200),
    ("GET", "/pipelines/{pipelineId}", None, 200),
    ("GET", "/pipelines/{pipelineId}/definition", None, 200),
    ("GET", "/pipelines/{pipelineId}/versions", None, 200),
    ("GET", "/pipeline-runs?pipelineId={pipelineId}", None, 200),
    ("GET", "/pipeline-runs/{pipelineRunId}", None, 200),
    ("GET", "/pipeline-runs/{pipelineRunId}/logs", None, 200),
    ("GET", "/build-results?repositoryId={repositoryId}", None, 200),
    ("GET", "/build-results/{buildResultId}", None, 200),
    ("GET", "/releases", None, 200),
    ("GET", "/releases/{releaseId}", None, 200),
    ("GET", "/releases/{releaseId}/approvals", None, 200),
    ("GET", "/promotions", None, 200),
    ("GET", "/promotions/{promotionId}", None, 200),
    ("GET", "/environments", None, 200),
    ("GET", "/environments/dev", None, 200),
    ("GET", "/environments/dev/freeze-windows", None, 200),
    ("GET", "/releases/{releaseId}/eligibility?environment=prod", None, 200),
    ("GET", "/promotions/{canaryPromotionId}/rollout", None, 200),
    ("GET", "/deployments", None, 200),
    ("GET", "/deployments/{deploymentId}", None, 200),
    ("GET", "/deployment-manifests/{manifestId}", None, 200),
    ("GET", "/gitops/sync-states", None, 200),
    ("GET", "/audit-entries?resourceId={repositoryId}", None, 200),
    ("GET", "/limits", None, 200),
    ("GET", "/metrics/dora?projectId=proj-x&environment=dev", None, 200),
    ("POST", "/repositories", {"projectId": "proj-x", "name": "other"}, 201),
    ("POST", "/repositories/{repositoryId}/branches", {"name": "feature/y"}, 201),
    (
        "POST",
        "/repositories/{repositoryId}/commits",
        {"branch": "feature/y", "message": "feat: note", "changes": CHANGES},
        201,
    ),
    (
        "POST",
        "/pull-requests",
        {
            "repositoryId": "{repositoryId}",
            "sourceBranch": "feature/y",
            "targetBranch": "main",
            "title": "Note",
        },
        201,
    ),
    ("PUT", "/pull-requests/{newPullRequestId}", {"title": "Noted"}, 200),
    ("PUT", "/pull-requests/{newPullRequestId}/labels", {"labels": ["note"]}, 200),
    ("POST", "/pull-requests/{newPullRequestId}/reviews", {"decision": "Approved"}, 201),
    ("POST", "/pull-requests/{newPullRequestId}/reviewers", {"reviewers": ["user:bob"]}, 200),
    ("DELETE", "/pull-requests/{newPullRequestId}/reviewers/user:bob", None, 200),
    (
        "POST",
        "/pull-requests/{newPullRequestId}/checks",
        {"name": "lint", "status": "Failed", "sha": "{sha}"},
        201,
    ),
    ("POST", "/pull-requests/{draftPullRequestId}/checks/rerun", {"name": "build"}, 200),
    ("POST", "/pull-requests/{draftPullRequestId}/ready", None, 200),
    ("POST", "/pull-requests/{draftPullRequestId}/waive", WAIVER, 200),
    ("POST", "/pull-requests/{newPullRequestId}/auto-complete", {}, 200),
    ("DELETE", "/pull-requests/{newPullRequestId}/auto-complete", None, 200),
    ("POST", "/pull-requests/{newPullRequestId}/abandon", None, 200),
    ("POST", "/pull-requests/{newPullRequestId}/reopen", None, 200),
    ("POST", "/pull-requests/{mergeablePullRequestId}/merge", None, 200),
    (
        "PUT",
        "/repositories/{repositoryId}/branch-policies/releases",
        {"pattern": "release/*", "bypassRoles": ["admin"]},
        200,
    ),
    ("DELETE", "/repositories/{repositoryId}/branch-policies/releases", None, 204),
    (
        "PUT",
        "/repositories/{repositoryId}/branch-policies/default",
        {"pattern": "main", "minimumReviewers": 1, "bypassRoles": ["admin"]},
        200,
    ),
    ("POST", "/pull-requests/{draftPullRequestId}/bypass", {"reason": "why"}, 200),
    (
        "POST",
        "/pipelines/generate",
        {"repositoryId": "{repositoryId}", "moduleId": "module-y", "moduleType": "Worker"},
        201,
    ),
    ("POST", "/pipelines/{pipelineId}/run", {"reason": "manual"}, 201),
    ("POST", "/pipeline-runs/{pipelineRunId}/retry", None, 201),
    ("POST", "/pipeline-runs/{newPipelineRunId}/cancel", None, 200),
    ("GET", "/container-images", None, 200),
    ("GET", "/container-images/{containerImageId}", None, 200),
    ("GET", "/packages", None, 200),
    ("GET", "/packages/{publicationId}", None, 200),
    ("POST", "/build-results", BUILD, 201),
    ("POST", "/container-images", {**IMAGE, "artifactRef": "art-image"}, 201),
    ("POST", "/container-images/{containerImageId}/scan-results", {"report": trivy("CRITICAL")}, 200),
    ("POST", "/container-images/{containerImageId}/release-quarantine", {"reason": "never run"}, 200),
    ("POST", "/packages", PACKAGE, 201),
    ("POST", "/packages/{publicationId}/unlist", {"reason": "Loses orders"}, 200),
    ("POST", "/releases", {**HOME, "buildResultId": "{buildResultId}", "targetEnvironment": "prod"}, 201),
    (
        "POST",
        "/releases/{releaseId}/approve",
        {"decision": "Approved", "environment": "staging"},
        200,
    ),
    ("POST", "/releases/{releaseId}/cancel", {"reason": "no", "environment": "prod"}, 200),
    ("POST", "/promotions", {"releaseId": "{releaseId}", "toEnvironment": "test"}, 201),
    ("POST", "/deployment-manifests", {"releaseId": "{releaseId}", "environment": "test"}, 201),
    ("POST", "/gitops/reconcile", {"environment": "dev"}, 200),
    *ROLLOUTS,
    ("PUT", "/artifacts/art-cost", b"PK\x05\x06" + b"\0" * 18, 201),
    ("GET", "/artifacts/art-cost", None, 200),
    ("GET", "/iac/stacks", None, 200),
    ("GET", "/iac/stacks/{stackId}", None, 200),
    ("GET", "/iac/plans", None, 200),
    ("GET", "/iac/plans/{infrastructurePlanId}", None, 200),
    ("GET", "/iac/plans/{infrastructurePlanId}/resources", None, 200),
    ("GET", "/iac/plans/{infrastructurePlanId}/log", None, 200),
    ("POST", "/iac/provision", {**STACK, "stack": "booking-test", "environment": "test"}, 201),
    ("POST", "/iac/plans/{newInfrastructurePlanId}/cancel", {"reason": "no"}, 200),
    ("POST", "/iac/stacks/{stackId}/destroy", None, 201),
    ("POST", "/iac/plans/{newInfrastructurePlanId}/approve", APPROVAL, 200),
    ("GET", "/gitops/sync-states/{syncStateId}", None, 200),
    ("GET", "/repositories/{repositoryId}/branches/{branchId}", None, 200),
    ("GET", "/repositories/{repositoryId}/commits/{commitId}", None, 200),
    ("DELETE", "/repositories/{repositoryId}/branches/{branchId}", None, 204),
    ("POST", "/repositories/{repositoryId}/archive", None, 200),
    ("POST", "/repositories/{repositoryId}/unarchive", None, 200),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call asked of the store. `batches` are (kind of root, documents), in order."""

    reads: int
    queries: int
    batches: tuple[tuple[str, int], ...]
    units: float


async def store_costs(folder: Path) -> Mapping[str, Cost]:
    """Endpoint -> its cost, of one successful call each; POSTs carry an Idempotency-Key, as callers do."""
    clock = SteppingClock()
    counted = CountingStore(SqliteStore(folder / "store.db", INDEXES, clock))
    api = an_api(folder, store=counted, clock=clock)
    try:
        world = await a_world(api)
        ids = world.ids | {
            "mergeablePullRequestId": await _checked(world, "feature/z"),
            **await _canary(world),
            "draftPullRequestId": await _checked(world, "feature/draft", isDraft=True),
        }
        costs = {}
        for number, (method, template, body, status) in enumerate(CALLS):
            if method == "DRAIN":
                await api.drain()
                continue
            path, sent = _filled(template, ids), _filled(body, ids)
            endpoint, _ = find_endpoint(method, path)
            await api.app.views.total("acme", Query("release", {}, "created_at"))  # not this caller's doing
            counted.operations.clear()
            answer = await api.expect(status, method, path, sent, **_headers(method, sent, number))
            costs[endpoint.name] = cost_of(counted.operations)
            if template.endswith("/retry") and "promotionId" in answer:
                ids["retriedPromotionId"] = answer["promotionId"]
            for name in MADE if method == "POST" else ():
                if name in answer:
                    ids["new" + name[0].upper() + name[1:]] = answer[name]
        return costs
    finally:
        await api.app.aclose()


def cost_of(operations: list[Operation]) -> Cost:
    return Cost(
        reads=sum(one.kind == "read" for one in operations),
        queries=sum(one.kind in ("query", "scan", "walk") for one in operations),
        batches=tuple((one.root, one.documents) for one in operations if one.kind == "batch"),
        units=round(sum(one.units for one in operations), 1),
    )


async def _canary(world: World) -> dict[str, str]:
    """A second release that waits in dev as a canary, and is planned into staging."""
    api, run = world.api, f"/pipelines/{world.ids['pipelineId']}/run"
    started = await api.expect(201, "POST", run, {"reason": "ci"})
    await api.drain()
    built = await api.expect(200, "GET", f"/pipeline-runs/{started['pipelineRunId']}")
    plan = {**HOME, "buildResultId": built["buildResultId"], "strategy": "Canary"}
    plan["rollout"] = {"canary": [{"weight": 20}]}
    by = "acme/agent+Planner/admin"
    dev = await api.expect(201, "POST", "/releases", {**plan, "targetEnvironment": "dev"}, token=by)
    staging = await api.expect(201, "POST", "/releases", {**plan, "targetEnvironment": "staging"}, token=by)
    await api.drain()
    return {
        "canaryReleaseId": dev["releaseId"],
        "canaryPromotionId": dev["promotionId"],
        "canaryStagingPromotionId": staging["promotionId"],
    }


async def _checked(world: World, branch: str, **more: object) -> str:
    """A pull request whose checks have passed."""
    api, place = world.api, f"/repositories/{world.ids['repositoryId']}"
    await api.expect(201, "POST", f"{place}/branches", {"name": branch})
    changes = [{"path": f"{branch}.txt", "operation": "add", "content": "1\n"}]
    draft = {"branch": branch, "message": "feat: more", "changes": changes}
    await api.expect(201, "POST", f"{place}/commits", draft)
    wanted = {
        "repositoryId": world.ids["repositoryId"],
        "sourceBranch": branch,
        "targetBranch": "main",
        "title": "More",
    }
    opened = await api.expect(201, "POST", "/pull-requests", wanted | more)
    await api.drain()
    return str(opened["pullRequestId"])


def _headers(method: str, body: object, number: int) -> dict[str, str]:
    headers = {"idempotency_key": f"cost-{number}"} if method == "POST" else {}
    if body in (APPROVAL, WAIVER):
        headers["token"] = "acme/user+bob/admin"  # nobody approves what they asked for
    return headers | ({"content_type": "application/zip"} if isinstance(body, bytes) else {})


def _filled[T](template: T, ids: Mapping[str, str]) -> T:
    """The template with ids for `{names}`, in a path and in a body's texts."""
    if isinstance(template, str):
        for name, value in ids.items():
            template = template.replace(f"{{{name}}}", value)  # type: ignore[assignment]
        return template
    if isinstance(template, dict):
        return {name: _filled(value, ids) for name, value in template.items()}  # type: ignore[return-value]
    return template
