"""Archived repositories: read by everybody as before, changed by nobody, and whole again afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.git_gate import GitGate
from shared.domain.source.errors import RepositoryIsArchived
from tests.support.api import an_api
from tests.support.pull_requests import ANN, BOB, CI, Place, a_place

A_CHANGE = {"path": "z.txt", "operation": "add", "content": "1\n"}
OF_REPOSITORY = [
    ("POST", "branches", {"name": "feature/z"}, ANN),
    ("POST", "commits", {"branch": "feature/x", "message": "m", "changes": [A_CHANGE]}, ANN),
    ("PUT", "branch-policies/default", {"pattern": "main"}, ANN),
    ("DELETE", "branch-policies/default", None, ANN),
]
OF_REQUEST = [
    ("PUT", "", {"title": "Z"}, ANN),
    ("PUT", "/labels", {"labels": ["z"]}, ANN),
    ("POST", "/ready", None, ANN),
    ("POST", "/waive", {"reason": "z"}, BOB),
    ("POST", "/merge", None, ANN),
    ("POST", "/bypass", {"reason": "z"}, ANN),
    ("POST", "/auto-complete", {}, ANN),
    ("DELETE", "/auto-complete", None, ANN),
    ("POST", "/abandon", None, ANN),
    ("POST", "/reviews", {"decision": "Approved"}, BOB),
    ("POST", "/reviewers", {"reviewers": ["user:bob"]}, ANN),
    ("DELETE", "/reviewers/user:bob", None, ANN),
    ("POST", "/checks", {"name": "lint", "status": "Failed", "sha": "a" * 40}, CI),
    ("POST", "/checks/rerun", {"name": "build"}, ANN),
]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    api = an_api(tmp_path)
    yield await a_place(api)
    await api.app.aclose()


async def archive(place: Place, verb: str = "archive") -> None:
    await place.api.expect(200, "POST", f"{place.path}/{verb}")
    await place.api.drain()


async def test_it_is_read_as_before_and_every_change_is_refused(place: Place) -> None:
    send = place.api.send
    closed = await place.pull_request("feature/c", "c.txt")
    await place.api.expect(200, "POST", f"{closed}/abandon")
    request = await place.pull_request(reviewers=["user:bob"])
    ids = {"repositoryId": place.repository}
    module = {**ids, "moduleId": "module-x", "moduleType": "Worker"}
    pipeline = (await place.api.expect(201, "POST", "/pipelines/generate", module))["pipelineId"]
    await place.api.drain()
    before = await place.get(request)
    await archive(place)

    tried = [(method, f"{place.path}/{tail}", body, token) for method, tail, body, token in OF_REPOSITORY]
    tried += [(method, f"{request}{tail}", body, token) for method, tail, body, token in OF_REQUEST]
    tried += [
        ("POST", f"{closed}/reopen", None, ANN),
        ("POST", "/pull-requests", {**ids, "sourceBranch": "a", "targetBranch": "b", "title": "t"}, ANN),
        ("POST", "/pipelines/generate", module, ANN),
        ("POST", f"/pipelines/{pipeline}/run", {"reason": "z"}, ANN),
    ]
    answers = {
        f"{method} {path}": await send(method, path, body, token=token) for method, path, body, token in tried
    }
    told = {call: (answer.status, answer.body.get("code")) for call, answer in answers.items()}
    assert told == dict.fromkeys(answers, (409, "repository_archived"))

    for path in (place.path, f"{place.path}/branches", f"{place.path}/commits", f"{request}/diff"):
        await place.api.expect(200, "GET", path)
    assert await place.get(request) == before


async def test_what_was_answered_before_is_answered_so_again(place: Place) -> None:
    made = [
        (f"{place.path}/branches", {"name": "feature/z"}),
        (f"{place.path}/commits", {"branch": "feature/z", "message": "m", "changes": [A_CHANGE]}),
        (
            "/pull-requests",
            {
                "repositoryId": place.repository,
                "sourceBranch": "feature/z",
                "targetBranch": "main",
                "title": "Z",
            },
        ),
    ]
    first = [
        await place.api.send("POST", path, body, idempotency_key=f"key-{at}")
        for at, (path, body) in enumerate(made)
    ]
    assert [each.status for each in first] == [201] * len(made)
    await archive(place)
    for at, (path, body) in enumerate(made):
        again = await place.api.send("POST", path, body, idempotency_key=f"key-{at}")
        assert (again.status, again.raw) == (201, first[at].raw), path
    assert (await place.api.send("POST", *made[0])).status == 409


async def test_git_still_fetches_and_no_longer_pushes(place: Place) -> None:
    gate = GitGate(place.api.app)
    await archive(place)
    await gate.authorise(ANN, "acme", "proj-x", "api", write=False)
    with pytest.raises(RepositoryIsArchived, match="unarchive it"):
        await gate.authorise(ANN, "acme", "proj-x", "api", write=True)
    await archive(place, "unarchive")
    await gate.authorise(ANN, "acme", "proj-x", "api", write=True)


async def test_its_state_decides_and_is_listed(place: Place) -> None:
    seen = await place.api.send("GET", place.path)
    stale = await place.api.send("POST", f"{place.path}/archive", if_match='"99"')
    assert stale.status == 412
    archived = await place.api.send("POST", f"{place.path}/archive", if_match=seen.headers["ETag"])
    assert (archived.status, archived.body["status"]) == (200, "Archived")
    again = await place.api.send("POST", f"{place.path}/archive")
    assert (again.status, again.body["code"]) == (409, "illegal_transition")
    other = {"projectId": "proj-x", "name": "other"}
    made = await place.api.expect(201, "POST", "/repositories", other)
    for status, names in (("Archived", ["api"]), ("Provisioned", ["other"])):
        page = await place.api.expect(200, "GET", f"/repositories?status={status}")
        assert [each["name"] for each in page["items"]] == names
    refused = await place.api.send("POST", f"/repositories/{made['repositoryId']}/unarchive")
    assert (refused.status, refused.body["code"]) == (409, "illegal_transition")
    taken = await place.api.send("POST", "/repositories", {"projectId": "proj-x", "name": "api"})
    assert (taken.status, taken.body["code"]) == (409, "repository_exists")
    await archive(place, "unarchive")
    assert (await place.api.expect(200, "GET", place.path))["status"] == "Provisioned"
    assert {"RepositoryArchived", "RepositoryUnarchived"} <= set(await place.events())


async def test_what_was_to_be_merged_by_itself_is_merged_once_it_is_back(place: Place) -> None:
    await place.policy(requiredChecks=["build", "ci/scan"])
    request = await place.pull_request()
    await place.api.expect(200, "POST", f"{request}/auto-complete")
    sha = (await place.get(request))["sourceSha"]
    verdict = {"name": "ci/scan", "status": "Succeeded", "sha": sha, "url": "https://ci.example.com/7"}
    await place.api.expect(201, "POST", f"{request}/checks", verdict, token=CI)
    await archive(place)
    assert (await place.get(request))["status"] == "Open"
    await archive(place, "unarchive")
    assert (await place.get(request))["status"] == "Merged"
