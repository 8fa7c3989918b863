"""Branches and commits as callers meet them: looked at, deleted, and refused for what they bring."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.ports.source_host import Place
from tests.support.api import Api, an_api

PLACE = Place("acme", "proj-x", "api")
TOKEN = "npm" + "_" + "a1B2" * 9


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path)
    yield made
    await made.app.aclose()


@pytest.fixture
async def home(api: Api) -> str:
    wanted = {"projectId": "proj-x", "moduleId": "module-x", "name": "api"}
    made = await api.expect(201, "POST", "/repositories", wanted)
    return f"/repositories/{made['repositoryId']}"


async def a_branch(api: Api, home: str, name: str) -> Any:
    await api.expect(201, "POST", f"{home}/branches", {"name": name})
    changes = [{"path": "a.txt", "operation": "add", "content": "a\n"}]
    await api.expect(201, "POST", f"{home}/commits", {"branch": name, "message": "m", "changes": changes})
    listed = await api.expect(200, "GET", f"{home}/branches")
    return next(each for each in listed["items"] if each["name"] == name)


async def test_a_deleted_branch_is_gone_in_git_and_its_pull_requests_are_abandoned(
    api: Api, home: str
) -> None:
    branch = await a_branch(api, home, "feature/x")
    wanted = {
        "repositoryId": home.rpartition("/")[2],
        "sourceBranch": "feature/x",
        "targetBranch": "main",
        "title": "X",
    }
    request = await api.expect(201, "POST", "/pull-requests", wanted)
    place = f"{home}/branches/{branch['branchId']}"
    for _ in range(2):
        await api.expect(204, "DELETE", place)
    assert await api.app.source_host.branches(PLACE) == {"main": branch["fromCommit"]}
    assert (await api.expect(200, "GET", place))["status"] == "Deleted"
    seen = await api.expect(200, "GET", f"/pull-requests/{request['pullRequestId']}")
    assert seen["status"] == "Abandoned"
    told = [each.body.get("eventType") for each in (await api.app.feed.read("", 500)).documents]
    assert told.count("BranchDeleted") == 1
    assert await api.app.source_host.pending(older_than=0) == []


async def test_the_default_branch_and_what_a_policy_covers_stay(api: Api, home: str) -> None:
    listed = await api.expect(200, "GET", f"{home}/branches")
    main = listed["items"][0]["branchId"]
    refused = await api.expect(422, "DELETE", f"{home}/branches/{main}")
    assert refused["code"] == "default_branch"
    branch = await a_branch(api, home, "release/1")
    await api.expect(200, "PUT", f"{home}/branch-policies/releases", {"pattern": "release/*"})
    refused = await api.expect(422, "DELETE", f"{home}/branches/{branch['branchId']}")
    assert (refused["code"], refused["policies"]) == ("protected_branch", ["releases"])
    assert "release/1" in await api.app.source_host.branches(PLACE)


async def test_a_branch_is_found_in_its_own_repository_only(api: Api, home: str) -> None:
    other = await api.expect(201, "POST", "/repositories", {"projectId": "proj-x", "name": "other"})
    listed = await api.expect(200, "GET", f"/repositories/{other['repositoryId']}/branches")
    theirs = listed["items"][0]
    await api.expect(404, "GET", f"{home}/branches/{theirs['branchId']}")
    await api.expect(404, "DELETE", f"{home}/branches/{theirs['branchId']}")
    commits = await api.expect(200, "GET", f"/repositories/{other['repositoryId']}/commits")
    key = commits["items"][0]["commitId"]
    await api.expect(200, "GET", f"/repositories/{other['repositoryId']}/commits/{key}")
    await api.expect(404, "GET", f"{home}/commits/{key}")


def draft(line: str) -> dict[str, object]:
    content = f"registry=https://registry.example.com/\n{line}\n"
    change = {"path": ".npmrc", "operation": "add", "content": content}
    return {"branch": "feature/y", "message": "feat: settings", "changes": [change]}


async def test_a_secret_is_refused_with_its_place_and_nothing_is_written(api: Api, home: str) -> None:
    await a_branch(api, home, "feature/y")
    before = await api.expect(200, "GET", f"{home}/commits")
    answer = await api.send("POST", f"{home}/commits", draft(f"//registry.example.com/:_authToken={TOKEN}"))
    assert (answer.status, answer.body["code"]) == (422, "secrets_found")
    assert answer.body["secrets"] == [{"path": ".npmrc", "line": 2, "kind": "npm token"}]
    assert TOKEN not in answer.raw.decode()
    assert await api.expect(200, "GET", f"{home}/commits") == before


async def test_what_its_author_marks_as_none_is_taken(api: Api, home: str) -> None:
    await a_branch(api, home, "feature/y")
    await api.expect(201, "POST", f"{home}/commits", draft(f"# pragma: allowlist secret, of a test: {TOKEN}"))
