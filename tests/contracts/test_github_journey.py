"""From a repository on GitHub to a release of what GitHub Actions built, through the API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from shared.adapters.hosts.github_api import SECRET, repository_name
from shared.app import build_app
from shared.domain.source.model import Provider
from shared.ports.source_host import Place
from shared.settings import Settings
from tests.contracts.github_site import SITES, Site
from tests.standins.github.actions import Automation, Ending, Workflow
from tests.support.api import Api, KnownTokens
from tests.support.app import SteppingClock
from tests.support.ci import COVERAGE, JUNIT

HOME = {"projectId": "proj-x", "moduleId": "module-x"}
BUILT = Ending(
    jobs={"Build and test": ["Restore", "Build", "Test"]},
    log={"Build and test": "2026-06-11T09:00:01.0000000Z all is well\n"},
    artifacts={
        "packages": {"x.whl": b"a wheel"},
        "test-results": {"junit.xml": JUNIT, "coverage.xml": COVERAGE},
    },
)


@pytest.fixture
def site() -> Site:
    return SITES.new()


@pytest.fixture
async def api(tmp_path: Path, site: Site) -> AsyncIterator[Api]:
    settings = Settings.load(
        {},
        data_dir=tmp_path,
        tiers="*:unmetered",
        github_url=site.server.url,
        github_organizations=f"acme:{site.organization}",
    )
    app = build_app(settings, tokens=KnownTokens(), clock=SteppingClock())
    await app.vault.set("acme", SECRET, site.token)
    yield Api(app)
    await app.aclose()


def automation_of(site: Site) -> Automation:
    place = Place("acme", "proj-x", "api", Provider.GITHUB)
    return site.server.automations.of(site.server.repository(site.organization, repository_name(place)))


async def test_a_run_is_done_by_github_actions_and_released(api: Api, site: Site) -> None:
    repository = await api.expect(201, "POST", "/repositories", {**HOME, "name": "api", "provider": "GitHub"})
    key = repository["repositoryId"]
    wanted = {"repositoryId": key, "moduleId": "module-x", "moduleType": "Worker"}
    pipeline = await api.expect(201, "POST", "/pipelines/generate", wanted)
    automation = automation_of(site)
    automation.workflows["x.yml"] = Workflow("x.yml")
    started = await api.expect(201, "POST", f"/pipelines/{pipeline['pipelineId']}/run", {"reason": "ci"})
    place = f"/pipeline-runs/{started['pipelineRunId']}"
    await api.drain()
    run = await api.expect(200, "GET", place)
    (number,) = automation.runs
    assert (run["status"], run["hostUrl"]) == ("Running", automation.runs[number]["html_url"])
    automation.end(number, BUILT, api.app.clock.now())
    cast(SteppingClock, api.app.clock).advance(seconds=31)
    await api.drain()
    run = await api.expect(200, "GET", place)
    assert run["status"] == "Succeeded", run
    assert [step["name"] for step in run["stages"][0]["tasks"][0]["steps"]] == ["Restore", "Build", "Test"]
    page = await api.expect(200, "GET", f"{place}/logs")
    assert "all is well" in [line["text"] for line in page["lines"]]
    build = await api.expect(200, "GET", f"/build-results/{run['buildResultId']}")
    assert (build["tests"]["total"], build["coverage"]) == (2, 0.75)
    assert [(made["name"], made["kind"]) for made in build["artifacts"]] == [("x.whl", "package")]
    plan = {**HOME, "buildResultId": run["buildResultId"], "targetEnvironment": "dev"}
    release = await api.expect(201, "POST", "/releases", plan, token="acme/agent+Planner/admin")
    assert release["version"]


async def test_a_cancel_here_cancels_there(api: Api, site: Site) -> None:
    repository = await api.expect(201, "POST", "/repositories", {**HOME, "name": "api", "provider": "GitHub"})
    wanted = {"repositoryId": repository["repositoryId"], "moduleId": "module-x", "moduleType": "Worker"}
    pipeline = await api.expect(201, "POST", "/pipelines/generate", wanted)
    automation = automation_of(site)
    automation.workflows["x.yml"] = Workflow("x.yml")
    started = await api.expect(201, "POST", f"/pipelines/{pipeline['pipelineId']}/run", {"reason": "ci"})
    await api.drain()
    await api.expect(200, "POST", f"/pipeline-runs/{started['pipelineRunId']}/cancel")
    await api.drain()
    (run,) = automation.runs.values()
    assert (run["status"], run["conclusion"]) == ("completed", "cancelled")
