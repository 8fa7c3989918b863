"""Names that differ only by case: two folders on one disk and one on another, and one name to most readers.
They are refused where a thing is made, and are exact where it is looked up."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.kernel.actor import Actor, ActorKind
from tests.contracts.git_site import serving
from tests.support.api import Api, an_api

ANN = Actor("user:ann", ActorKind.HUMAN, "acme")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path)
    yield made
    await made.app.aclose()


async def provision(api: Api, project: str, name: str, status: int = 201, **more: Any) -> Any:
    return await api.expect(status, "POST", "/repositories", {"projectId": project, "name": name}, **more)


async def test_a_repository_keeps_its_spelling_and_no_other_case_of_it_is_made(api: Api) -> None:
    made = await provision(api, "proj-x", "Booking.Api")
    refused = await provision(api, "proj-x", "booking.API", 409)
    assert refused["code"] == "repository_exists"
    assert "Booking.Api" in refused["detail"]
    assert refused["repositoryId"] == made["repositoryId"]
    seen = await api.expect(200, "GET", f"/repositories/{made['repositoryId']}")
    assert seen["name"] == "Booking.Api"
    assert seen["remoteUrl"].endswith("/acme/proj-x/Booking.Api.git")
    assert await api.app.repositories.find_named(ANN, "proj-x", "Booking.Api") is not None
    assert await api.app.repositories.find_named(ANN, "proj-x", "booking.api") is None


async def test_a_project_is_written_as_its_first_repository_wrote_it(api: Api) -> None:
    await provision(api, "Proj-X", "api")
    refused = await provision(api, "proj-x", "web", 409)
    assert refused["code"] == "project_exists"
    assert refused["projectId"] == "Proj-X"
    await provision(api, "Proj-X", "web")
    assert (await api.expect(200, "GET", "/repositories"))["total"] == 2
    await provision(api, "proj-x", "web", token="rival/user+eve/admin")


async def test_the_refusal_is_the_same_for_the_retry_of_its_request(api: Api) -> None:
    await provision(api, "proj-x", "api", idempotency_key="one")
    await provision(api, "proj-x", "api", idempotency_key="one")
    await provision(api, "proj-x", "API", 409, idempotency_key="two")
    await provision(api, "proj-x", "API", 409, idempotency_key="two")


async def test_a_branch_is_not_made_beside_one_that_differs_by_case(api: Api) -> None:
    repository = await provision(api, "proj-x", "api")
    place = f"/repositories/{repository['repositoryId']}/branches"
    await api.expect(201, "POST", place, {"name": "feature/Login"})
    refused = await api.expect(409, "POST", place, {"name": "feature/login"})
    assert refused["code"] == "branch_exists"
    assert "feature/Login" in refused["detail"]
    await api.expect(409, "POST", place, {"name": "MAIN"})
    await api.expect(409, "POST", place, {"name": "Feature/Login/x"})
    await api.expect(201, "POST", place, {"name": "Feature/logout"})
    names = [branch["name"] for branch in (await api.expect(200, "GET", place))["items"]]
    assert names == ["Feature/logout", "feature/Login", "main"]


def test_a_push_brings_no_branch_that_differs_by_case(tmp_path: Path) -> None:
    """Git itself takes both. Whoever clones them on Windows or a Mac then has one file for two branches, and
    a protected `main` would be moved by a push to `Main` where our own disk ignores case."""
    with serving(tmp_path) as site:
        site.git("clone", "--quiet", site.url(), "work")
        work = site.home / "work"
        site.git("push", "--quiet", "origin", "HEAD:refs/heads/feature/Login", at=work)
        said = site.git("push", "origin", "HEAD:refs/heads/feature/login", at=work, fails=True)
        assert "choose another name" in said
        assert "choose another name" in site.git("push", "origin", "HEAD:Main", at=work, fails=True)
        site.git("push", "--quiet", "origin", "HEAD:refs/heads/feature/logout", at=work)
        site.git("push", "--quiet", "origin", ":refs/heads/feature/Login", at=work)
        site.git("push", "--quiet", "origin", "HEAD:refs/heads/feature/login", at=work)
