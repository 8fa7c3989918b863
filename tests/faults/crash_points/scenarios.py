"""What precedes every operation that is tried, and the operation itself: one scenario at least for every
endpoint that changes something, and for every event that a worker acts on."""

import io
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from functions.http.surface import endpoint_table
from functions.routes import declared
from functions.workers import CONSUMERS
from tests.faults.crash_points.installation import Installation
from tests.faults.crash_points.operations import Chore, Operation, Request
from tests.faults.crash_points.stage import Stage, a_commit
from tests.support.api import Api

HOME = {"projectId": "proj-x", "moduleId": "module-x"}
APPROVER, PLANNER = "acme/user+bob/admin", "acme/agent+Planner/admin"


type Prepare = Callable[[Stage], Awaitable[Operation]]


@dataclass(frozen=True)
class Scenario:
    """`of` is the endpoint (`POST /releases`), event type or chore that it is about; `name` tells it from the
    others. `repeatable` is the event type that it may send again, to a worker that is fenced."""

    of: str
    name: str
    prepare: Prepare
    repeatable: str = ""

    def __str__(self) -> str:
        return f"{self.of}, {self.name}" if self.name else self.of


SCENARIOS: list[Scenario] = []


def scenario(of: str, name: str = "", *, repeatable: str = "") -> Callable[[Prepare], Prepare]:
    def add(prepare: Prepare) -> Prepare:
        SCENARIOS.append(Scenario(of, name, prepare, repeatable))
        return prepare

    return add


def changing_endpoints() -> set[str]:
    return {f"{each.method} {each.path}" for each in endpoint_table(declared()) if each.method != "GET"}


def handled_events() -> set[str]:
    return {event for consumer in CONSUMERS for event in consumer.handles}


def a_bundle() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("bundled.py"), "y = 2\n")
    return packed.getvalue()


@scenario("POST /repositories")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/repositories", {"projectId": "proj-y", "name": "other"})


@scenario("POST /repositories", "of another tenant with the names and the key of the first")
async def _(stage: Stage) -> Operation:
    draft = {"projectId": "proj-y", "name": "other"}
    first = Request("POST", "/repositories", draft)
    assert (await first.attempt(stage.installation)).is_good
    await stage.drain()
    return Request("POST", "/repositories", draft, "rival/user+ann/admin")


@scenario("DELETE /repositories/{repositoryId}/branches/{branchId}")
async def _(stage: Stage) -> Operation:
    return Request("DELETE", stage.path("/repositories/{repositoryId}/branches/{branchId}"))


@scenario("POST /repositories/{repositoryId}/branches")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/repositories/{repositoryId}/branches"), {"name": "feature/n"})


@scenario("POST /repositories/{repositoryId}/commits", "to a branch with an open pull request")
async def _(stage: Stage) -> Operation:
    await stage.pull_request("feature/c")
    return Request(
        "POST", stage.path("/repositories/{repositoryId}/commits"), a_commit("feature/c", "second.py")
    )


@scenario("POST /repositories/{repositoryId}/commits", "of what an artifact holds")
async def _(stage: Stage) -> Operation:
    place = await stage.changed_branch("feature/c")
    upload = Request("PUT", "/artifacts/art-2", a_bundle(), content_type="application/zip", key="upload")
    assert (await upload.attempt(stage.installation)).status == 201
    draft = {
        "branch": "feature/c",
        "message": "feat: take the bundle",
        "artifactId": "art-2",
        "changes": [{"path": "bundled.py", "operation": "add"}],
    }
    return Request("POST", f"{place}/commits", draft)


@scenario("POST /repositories/{repositoryId}/archive")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/repositories/{repositoryId}/archive"))


@scenario("POST /repositories/{repositoryId}/unarchive")
async def _(stage: Stage) -> Operation:
    await stage.post(stage.path("/repositories/{repositoryId}/archive"), None)
    return Request("POST", stage.path("/repositories/{repositoryId}/unarchive"))


@scenario("RepositoryUnarchived", "with a merge that was ordered before")
async def _(stage: Stage) -> Operation:
    await stage.post(f"{await stage.pull_request('feature/o')}/auto-complete", {})
    await stage.post(stage.path("/repositories/{repositoryId}/archive"), None)
    await stage.drain()
    await stage.post(stage.path("/repositories/{repositoryId}/unarchive"), None)
    return await stage.delivery("RepositoryUnarchived")


@scenario("PUT /artifacts/{artifactId}")
async def _(stage: Stage) -> Operation:
    return Request("PUT", "/artifacts/art-1", a_bundle(), content_type="application/zip")


@scenario("POST /pull-requests")
async def _(stage: Stage) -> Operation:
    await stage.changed_branch("feature/p")
    return Request("POST", "/pull-requests", stage.a_pull_request("feature/p"))


@scenario("POST /pull-requests/{pullRequestId}/merge")
async def _(stage: Stage) -> Operation:
    return Request("POST", f"{await stage.pull_request('feature/m')}/merge")


@scenario("POST /pull-requests/{pullRequestId}/abandon")
async def _(stage: Stage) -> Operation:
    return Request("POST", f"{await stage.pull_request('feature/a')}/abandon")


@scenario("POST /pipelines/generate", "of a new module")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/pipelines/generate", _pipeline(stage, "module-new", "Worker"))


@scenario("POST /pipelines/generate", "anew with another text")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/pipelines/generate", _pipeline(stage, "module-x", "Library"))


def _pipeline(stage: Stage, module: str, module_type: str) -> dict[str, str]:
    return {"repositoryId": stage.world.ids["repositoryId"], "moduleId": module, "moduleType": module_type}


@scenario("POST /pipelines/{pipelineId}/run")
async def _(stage: Stage) -> Operation:
    return stage.a_run()


@scenario("POST /pipeline-runs/{pipelineRunId}/retry")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/pipeline-runs/{pipelineRunId}/retry"))


@scenario("POST /pipeline-runs/{pipelineRunId}/cancel")
async def _(stage: Stage) -> Operation:
    started = await stage.post(stage.path("/pipelines/{pipelineId}/run"), {"reason": "ci"})
    return Request("POST", f"/pipeline-runs/{started['pipelineRunId']}/cancel")


@scenario("POST /pipeline-runs/{pipelineRunId}/cancel", "while it runs")
async def _(stage: Stage) -> Operation:
    started = await stage.post(stage.path("/pipelines/{pipelineId}/run"), {"reason": "ci"})
    taken = await stage.delivery("RunPipeline")
    # Its worker dies before its first step has ended.
    await stage.die_in(taken, "workspace.run")
    return Request("POST", f"/pipeline-runs/{started['pipelineRunId']}/cancel")


@scenario("POST /releases")
async def _(stage: Stage) -> Operation:
    return await _plan(stage)


async def _plan(stage: Stage) -> Request:
    plan = {**HOME, "buildResultId": await stage.build(), "targetEnvironment": "dev"}
    return Request("POST", "/releases", plan, PLANNER)


@scenario("POST /releases/{releaseId}/approve", "before it may start")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/releases/{releaseId}/approve"), {"decision": "Approved"}, APPROVER)


@scenario("POST /releases/{releaseId}/approve", "and start")
async def _(stage: Stage) -> Operation:
    await stage.promote("test")
    await stage.drain()
    return Request("POST", stage.path("/releases/{releaseId}/approve"), {"decision": "Approved"}, APPROVER)


@scenario("POST /releases/{releaseId}/cancel")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/releases/{releaseId}/cancel"), {"reason": "not now"})


@scenario("POST /promotions")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/promotions", stage.a_hop("test"))


@scenario("POST /deployment-manifests")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/deployment-manifests", _manifest(stage))


def _manifest(stage: Stage) -> dict[str, str]:
    return {"releaseId": stage.world.ids["releaseId"], "environment": "prod"}


@scenario("POST /gitops/reconcile")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/gitops/reconcile", {"environment": "dev"})


@scenario("ProvisionRepository", "whose caller died")
async def _(stage: Stage) -> Operation:
    asked = Request("POST", "/repositories", {"projectId": "proj-y", "name": "other"})
    await stage.die_in(asked, "source_host.create")
    return await stage.delivery("ProvisionRepository")


@scenario("PullRequestOpened")
async def _(stage: Stage) -> Operation:
    await stage.changed_branch("feature/p")
    await stage.post("/pull-requests", stage.a_pull_request("feature/p"))
    return await stage.delivery("PullRequestOpened")


@scenario("PullRequestUpdated")
async def _(stage: Stage) -> Operation:
    await stage.pull_request("feature/u")
    await stage.post(stage.path("/repositories/{repositoryId}/commits"), a_commit("feature/u", "second.py"))
    return await stage.delivery("PullRequestUpdated")


@scenario("RunPipeline")
async def _(stage: Stage) -> Operation:
    await stage.post(stage.a_run().path, stage.a_run().body)
    return await stage.delivery("RunPipeline")


@scenario("RunPipelineAgain", "after three processes have died of it")
async def _(stage: Stage) -> Operation:
    await stage.post(stage.a_run().path, stage.a_run().body)
    return await stage.delivery_after_loss("RunPipelineAgain")


@scenario("RunOverdue")
async def _(stage: Stage) -> Operation:
    await stage.post(stage.a_run().path, stage.a_run().body)
    return await stage.delivery_after_loss("RunOverdue")


@scenario("PipelineRunCompleted", "for a pull request")
async def _(stage: Stage) -> Operation:
    await stage.changed_branch("feature/r")
    await stage.post("/pull-requests", stage.a_pull_request("feature/r"))
    return await stage.delivery("PipelineRunCompleted")


@scenario("ReleasePlanned", "whose caller died")
async def _(stage: Stage) -> Operation:
    # The batches: the key's binding, the release with its plan, the promotion.
    await stage.die_in(await _plan(stage), "store.commit", 3)
    return await stage.delivery("ReleasePlanned")


@scenario("PromotionReady", "whose caller died")
async def _(stage: Stage) -> Operation:
    await stage.die_in(Request("POST", "/promotions", stage.a_hop("test")), "store.commit", 3)
    return await stage.delivery("PromotionReady")


@scenario("DeploymentRequested")
async def _(stage: Stage) -> Operation:
    await stage.promote("test")
    return await stage.delivery("DeploymentRequested")


@scenario(
    "DeploymentRequestedAgain", "after three processes have died of it", repeatable="ReconcileRequested"
)
async def _(stage: Stage) -> Operation:
    await stage.promote("test")
    return await stage.delivery_after_loss("DeploymentRequestedAgain")


@scenario("ReconcileRequested", "for a deployment")
async def _(stage: Stage) -> Operation:
    await stage.promote("test")
    return await stage.delivery("ReconcileRequested")


@scenario("ReconcileRequested", "for a deployment that cannot work")
async def _(stage: Stage) -> Operation:
    await stage.promote("test")
    delivery = await stage.delivery("ReconcileRequested")
    build = await Api(stage.installation.app).expect(200, "GET", stage.path("/build-results/{buildResultId}"))
    for artifact in build["artifacts"]:
        await stage.installation.app.blobs.delete("acme", artifact["ref"])
    return delivery


@scenario("ReconcileRequested", "by a person")
async def _(stage: Stage) -> Operation:
    await stage.post("/gitops/reconcile", {"environment": "dev"})
    return await stage.delivery("ReconcileRequested")


@scenario("DeploymentPromoted")
async def _(stage: Stage) -> Operation:
    await stage.post(stage.path("/releases/{releaseId}/approve"), {"decision": "Approved"}, APPROVER)
    await stage.promote("test")
    return await stage.delivery("DeploymentPromoted")


@scenario("DeploymentPromoted", "of what was approved as other content")
async def _(stage: Stage) -> Operation:
    await stage.post(stage.path("/releases/{releaseId}/approve"), {"decision": "Approved"}, APPROVER)
    await stage.tamper("approval", release_digest=f"sha256:{'0' * 64}")
    await stage.promote("test")
    return await stage.delivery("DeploymentPromoted")


@scenario("sweep", "of a push to a branch with an open pull request")
async def _(stage: Stage) -> Operation:
    await stage.pull_request("feature/s")
    await stage.push("feature/s")
    return Chore(Installation.sweep)


@scenario("relay", "to several queues")
async def _(stage: Stage) -> Operation:
    await stage.changed_branch("feature/q")
    await stage.post("/pull-requests", stage.a_pull_request("feature/q"))
    await stage.post(stage.a_run().path, stage.a_run().body)
    await stage.promote("test")
    return Chore(Installation.relay)
