"""From a repository on Azure Repos to a verified build, through the API: the parts that meet nowhere else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.hosts.azure_devops_places import TOKEN
from shared.app import build_app
from shared.settings import Settings
from tests.contracts.azure_devops_site import PAT, SITES
from tests.standins.azure_devops.organization import Organization
from tests.support.api import SERVICE, Api, KnownTokens
from tests.support.app import SteppingClock

HOME = {"projectId": "proj-x", "moduleId": "module-x", "provider": "AzureDevOps"}


@pytest.fixture
def organization() -> Organization:
    return SITES.service.add_organization("journey", PAT, "proj-x")


@pytest.fixture
async def api(tmp_path: Path, organization: Organization) -> AsyncIterator[Api]:
    settings = Settings.load(
        {},
        data_dir=tmp_path,
        tiers="*:unmetered",
        azure_devops_url=SITES.service.url,
        azure_devops_organizations=f"acme:{organization.name}",
    )
    app = build_app(settings, tokens=KnownTokens(), clock=SteppingClock())
    await app.vault.set("acme", TOKEN, PAT)
    yield Api(app)
    await app.aclose()


async def test_a_repository_there_takes_a_pull_request_and_is_built(
    api: Api, organization: Organization
) -> None:
    repository = await api.expect(201, "POST", "/repositories", {**HOME, "name": "api"})
    assert repository["status"] == "Provisioned"
    assert repository["remoteUrl"] == f"{SITES.service.url}/journey/proj-x/_git/api"
    key = repository["repositoryId"]
    await api.expect(201, "POST", f"/repositories/{key}/branches", {"name": "feature/x"})
    changes = [{"path": path, "operation": "add", "content": text} for path, text in SERVICE.items()]
    draft = {"branch": "feature/x", "message": "feat: start", "changes": changes}
    commit = await api.expect(201, "POST", f"/repositories/{key}/commits", draft)
    theirs = organization.repository("proj-x", "api")
    assert theirs.refs()["refs/heads/feature/x"] == commit["sha"]
    wanted = {"repositoryId": key, "sourceBranch": "feature/x", "targetBranch": "main", "title": "Start"}
    request = await api.expect(201, "POST", "/pull-requests", wanted)
    await api.drain()
    merged = await api.expect(200, "POST", f"/pull-requests/{request['pullRequestId']}/merge")
    assert merged["status"] == "Merged"
    assert len(theirs.commit(theirs.refs()["refs/heads/main"]).parents) == 2
    wanted = {"repositoryId": key, "moduleId": "module-x", "moduleType": "Worker"}
    pipeline = await api.expect(201, "POST", "/pipelines/generate", wanted)
    started = await api.expect(201, "POST", f"/pipelines/{pipeline['pipelineId']}/run", {"reason": "ci"})
    await api.drain()
    run = await api.expect(200, "GET", f"/pipeline-runs/{started['pipelineRunId']}")
    assert run["status"] == "Succeeded", run


async def test_a_push_by_others_is_found_by_the_sweep(api: Api, organization: Organization) -> None:
    repository = await api.expect(201, "POST", "/repositories", {**HOME, "name": "api"})
    theirs = organization.repository("proj-x", "api")
    head = theirs.refs()["refs/heads/main"]
    assert theirs.move("refs/heads/theirs", "0" * 40, head) == "succeeded"
    assert await api.app.vendor_sweep.run() == 1
    listed = await api.expect(200, "GET", f"/repositories/{repository['repositoryId']}/branches")
    assert sorted(each["name"] for each in listed["items"]) == ["main", "theirs"]
    assert await api.app.vendor_sweep.run() == 0


async def test_a_missing_project_is_the_callers_to_mend(api: Api) -> None:
    answer = await api.send("POST", "/repositories", {**HOME, "projectId": "elsewhere", "name": "api"})
    assert answer.status in {404, 409, 422}, answer.body
    assert "elsewhere" in answer.body["detail"]
