"""From a repository on Azure Repos to a verified build, through the API: the parts that meet nowhere else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from shared.adapters.hosts.azure_devops_places import TOKEN
from shared.app import build_app
from shared.settings import Settings
from tests.contracts.azure_devops_site import PAT, SITES
from tests.standins.azure_devops.organization import Organization
from tests.standins.azure_devops.pipelines import Ending
from tests.support.api import SERVICE, Api, KnownTokens
from tests.support.app import SteppingClock
from tests.support.ci import COVERAGE, JUNIT

BUILT = Ending(
    jobs={"Build and test": ["Restore", "Build", "Test"]},
    log={"Build and test": "2026-06-11T09:00:01.0000000Z all is well\n"},
    artifacts={
        "packages": {"x.whl": b"a wheel"},
        "test-results": {"reports/junit.xml": JUNIT, "reports/coverage.xml": COVERAGE},
    },
)
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
    organization.projects["proj-x"].pipelines.ending = BUILT
    started = await api.expect(201, "POST", f"/pipelines/{pipeline['pipelineId']}/run", {"reason": "ci"})
    await api.drain()
    cast(SteppingClock, api.app.clock).advance(seconds=31)
    await api.drain()
    run = await api.expect(200, "GET", f"/pipeline-runs/{started['pipelineRunId']}")
    assert run["status"] == "Succeeded", run
    assert run["hostUrl"].startswith(SITES.service.url)
    assert [step["name"] for step in run["stages"][0]["tasks"][0]["steps"]] == ["Restore", "Build", "Test"]
    page = await api.expect(200, "GET", f"/pipeline-runs/{started['pipelineRunId']}/logs")
    assert "all is well" in [line["text"] for line in page["lines"]]
    build = await api.expect(200, "GET", f"/build-results/{run['buildResultId']}")
    assert (build["tests"]["total"], build["coverage"]) == (2, 0.75)
    assert [(made["name"], made["kind"]) for made in build["artifacts"]] == [("x.whl", "package")]


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
