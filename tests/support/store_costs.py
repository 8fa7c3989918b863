"""Every endpoint of the devops surface called once, with what each asked of the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.adapters.embedded.store import SqliteStore
from shared.names import INDEXES
from shared.ports.store import Query
from tests.support.api import World, a_world, an_api, find_endpoint
from tests.support.app import SteppingClock
from tests.support.counting import CountingStore, Operation

HOME = {"projectId": "proj-x", "moduleId": "module-x"}
CHANGES = [{"path": "notes.txt", "operation": "add", "content": "1\n"}]

type Ask = tuple[str, str, object, int]

# In an order in which each call has what it needs. `{names}` are ids of the world.
CALLS: tuple[Ask, ...] = (
    ("GET", "/repositories", None, 200),
    ("GET", "/repositories/{repositoryId}", None, 200),
    ("GET", "/repositories/{repositoryId}/branches", None, 200),
    ("GET", "/repositories/{repositoryId}/commits", None, 200),
    ("GET", "/pull-requests?repositoryId={repositoryId}", None, 200),
    ("GET", "/pull-requests/{pullRequestId}", None, 200),
    ("GET", "/pull-requests/{pullRequestId}/diff", None, 200),
    ("GET", "/pipelines?repositoryId={repositoryId}", None, 200),
    ("GET", "/pipelines/{pipelineId}", None, 200),
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
    ("GET", "/deployments", None, 200),
    ("GET", "/deployments/{deploymentId}", None, 200),
    ("GET", "/deployment-manifests/{manifestId}", None, 200),
    ("GET", "/gitops/sync-states", None, 200),
    ("GET", "/audit-entries?resourceId={repositoryId}", None, 200),
    ("GET", "/limits", None, 200),
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
    ("POST", "/pull-requests/{newPullRequestId}/abandon", None, 200),
    ("POST", "/pull-requests/{mergeablePullRequestId}/merge", None, 200),
    (
        "POST",
        "/pipelines/generate",
        {"repositoryId": "{repositoryId}", "moduleId": "module-y", "moduleType": "Worker"},
        201,
    ),
    ("POST", "/pipelines/{pipelineId}/run", {"reason": "manual"}, 201),
    ("POST", "/pipeline-runs/{newPipelineRunId}/cancel", None, 200),
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
    ("PUT", "/artifacts/art-cost", b"PK\x05\x06" + b"\0" * 18, 201),
    ("GET", "/artifacts/art-cost", None, 200),
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
        ids = world.ids | {"mergeablePullRequestId": await _mergeable(world)}
        costs = {}
        for number, (method, template, body, status) in enumerate(CALLS):
            path, sent = _filled(template, ids), _filled(body, ids)
            endpoint, _ = find_endpoint(method, path)
            await api.app.views.total("acme", Query("release", {}, "created_at"))  # not this caller's doing
            counted.operations.clear()
            answer = await api.expect(status, method, path, sent, **_headers(method, sent, number))
            costs[endpoint.name] = cost_of(counted.operations)
            for name in ("pullRequestId", "pipelineRunId") if method == "POST" else ():
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


async def _mergeable(world: World) -> str:
    """A pull request whose checks have passed."""
    api, place = world.api, f"/repositories/{world.ids['repositoryId']}"
    await api.expect(201, "POST", f"{place}/branches", {"name": "feature/z"})
    draft = {"branch": "feature/z", "message": "feat: more", "changes": CHANGES}
    await api.expect(201, "POST", f"{place}/commits", draft)
    opened = await api.expect(201, "POST", "/pull-requests", _pull_request(world.ids["repositoryId"]))
    await api.drain()
    return str(opened["pullRequestId"])


def _pull_request(repository: str) -> dict[str, str]:
    return {
        "repositoryId": repository,
        "sourceBranch": "feature/z",
        "targetBranch": "main",
        "title": "More",
    }


def _headers(method: str, body: object, number: int) -> dict[str, str]:
    headers = {"idempotency_key": f"cost-{number}"} if method == "POST" else {}
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
