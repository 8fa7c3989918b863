"""The examples of the DevOps contract, sent word for word in their order: callers get what is promised."""

import io
import re
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.http.surface import endpoint_table
from functions.routes import declared
from tests.support.api import Answer, Api, an_api
from tests.support.contract import published

PLANNER, MANAGER = "connectsoft/agent+Planner/admin", "connectsoft/agent+ReleaseManager/admin"
SOURCE = "src/Controllers/ReservationsController.cs"
ID = re.compile(r"([a-z]+)-[0-9a-f]{4}")
# What depends on where and when it is asked for: a pipeline lies where its host looks for it.
OF_THE_PLACE = {"remoteUrl", "fromCommit", "sha", "definitionPath", "buildNumber", "version"}


@dataclass(frozen=True)
class Example:
    operation: str
    method: str
    path: str
    body: dict[str, Any] | None
    answer: dict[str, Any]
    status: int = 201
    token: str = MANAGER


CONTRACT = [
    Example(
        "devops_provision_repository",
        "POST",
        "/repositories",
        {
            "tenantId": "connectsoft",
            "projectId": "proj-booking-saas",
            "moduleId": "module-reservations-api",
            "name": "reservations-api",
            "provider": "AzureDevOps",
            "defaultBranch": "main",
            "visibility": "private",
        },
        {
            "repositoryId": "repo-7a1c",
            "remoteUrl": "https://dev.azure.com/connectsoft/proj-booking-saas/_git/reservations-api",
            "defaultBranch": "main",
            "status": "Provisioned",
        },
    ),
    Example(
        "devops_create_branch",
        "POST",
        "/repositories/repo-7a1c/branches",
        {"tenantId": "connectsoft", "name": "feature/reservation-cancellation", "fromBranch": "main"},
        {
            "branchId": "branch-22e9",
            "name": "feature/reservation-cancellation",
            "fromCommit": "9f1c2b7d",
            "status": "Created",
        },
    ),
    Example(
        "devops_author_commit",
        "POST",
        "/repositories/repo-7a1c/commits",
        {
            "tenantId": "connectsoft",
            "branch": "feature/reservation-cancellation",
            "message": "feat: add reservation cancellation endpoint",
            "artifactId": "art-reservations-api-3c",
            "changes": [{"path": SOURCE, "operation": "modify"}],
        },
        {
            "commitId": "commit-5d4a",
            "sha": "a1b2c3d4",
            "branch": "feature/reservation-cancellation",
            "status": "Committed",
        },
    ),
    Example(
        "devops_open_pull_request",
        "POST",
        "/pull-requests",
        {
            "tenantId": "connectsoft",
            "repositoryId": "repo-7a1c",
            "sourceBranch": "feature/reservation-cancellation",
            "targetBranch": "main",
            "title": "Add reservation cancellation",
            "description": "Implements cancellation for module-reservations-api",
        },
        {"pullRequestId": "pr-9931", "number": 42, "status": "Open", "policyEvaluation": "Pending"},
    ),
    Example(
        "devops_get_pull_request",
        "GET",
        "/pull-requests/pr-9931",
        None,
        {
            "pullRequestId": "pr-9931",
            "number": 42,
            "status": "Open",
            "sourceBranch": "feature/reservation-cancellation",
            "targetBranch": "main",
            "checks": [
                {"name": "build", "status": "Succeeded"},
                {"name": "policy-gate", "status": "Pending"},
            ],
            "reviewers": ["agent:PullRequestCreator"],
        },
        status=200,
    ),
    Example(
        "devops_generate_pipeline",
        "POST",
        "/pipelines/generate",
        {
            "tenantId": "connectsoft",
            "repositoryId": "repo-7a1c",
            "moduleId": "module-reservations-api",
            "moduleType": "Microservice",
            "targetFeed": "connectsoft-internal",
        },
        {
            "pipelineId": "pipe-4f12",
            "definitionPath": ".azuredevops/pipelines/reservations-api.yml",
            "status": "Generated",
        },
    ),
    Example(
        "devops_run_pipeline",
        "POST",
        "/pipelines/pipe-4f12/run",
        {"tenantId": "connectsoft", "branch": "main", "reason": "ci"},
        {"pipelineRunId": "run-8c20", "buildNumber": "20260611.3", "status": "Started"},
    ),
    Example(
        "devops_plan_release",
        "POST",
        "/releases",
        {
            "tenantId": "connectsoft",
            "projectId": "proj-booking-saas",
            "moduleId": "module-reservations-api",
            "buildResultId": "build-7711",
            "targetEnvironment": "staging",
            "strategy": "RollingUpdate",
        },
        {"releaseId": "rel-3120", "version": "1.4.0", "status": "Planned", "requiredApprovals": 1},
        token=PLANNER,
    ),
    Example(
        "devops_approve_release",
        "POST",
        "/releases/rel-3120/approve",
        {
            "tenantId": "connectsoft",
            "approver": "agent:ReleaseManager",
            "decision": "Approved",
            "comment": "Policy gate passed; staging soak complete",
        },
        {"releaseId": "rel-3120", "approvalId": "appr-66a1", "status": "Approved", "nextStep": "Promote"},
        status=200,
    ),
    Example(
        "devops_provision_infrastructure",
        "POST",
        "/iac/provision",
        {
            "tenantId": "connectsoft",
            "projectId": "proj-booking-saas",
            "environment": "staging",
            "engine": "Pulumi",
            "stack": "booking-saas-staging",
            "program": "ConnectSoft.Factory.DevOps.Infra.BookingSaas",
        },
        {
            "infrastructurePlanId": "infra-5a90",
            "previewSummary": {"create": 7, "update": 2, "delete": 0},
            "status": "Applying",
        },
    ),
]
OURS = {endpoint.name for endpoint in endpoint_table(declared())}
SERVED = [one for one in CONTRACT if one.operation in OURS]


@dataclass
class Replay:
    """`ids` are the ids of this installation, by what the contract calls them."""

    api: Api
    ids: dict[str, str]

    async def send(self, example: Example, **instead: str) -> Answer:
        body = None if example.body is None else {**self._here(example.body), **instead}
        path = ID.sub(lambda found: self.ids.get(found[0], found[0]), example.path)
        answer = await self.api.send(example.method, path, body, token=example.token)
        if answer.status < 300:
            promised = example.answer.items()
            self.ids |= {short: answer.body[name] for name, short in promised if name.endswith("Id")}
        return answer

    def _here(self, body: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self.ids.get(value, value) if isinstance(value, str) else value
            for name, value in body.items()
        }


@pytest.fixture
async def replay(tmp_path: Path) -> AsyncIterator[Replay]:
    made = Replay(an_api(tmp_path), {})
    yield made
    await made.api.app.aclose()


def test_the_published_examples_are_those_of_the_contract() -> None:
    shown = {
        operation["operationId"]: operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        for path in published()["devops"]["paths"].values()
        for operation in path.values()
    }
    assert len(SERVED) >= 9
    for one in SERVED:
        assert shown[one.operation].get("example") == one.body


async def test_every_example_of_the_contract_is_answered_as_it_promises(replay: Replay) -> None:
    for one in SERVED:
        await prepare(replay, one)
        instead = {"provider": "Embedded"} if one.operation == "devops_provision_repository" else {}
        answer = await replay.send(one, **instead)
        assert answer.status == one.status, f"{one.operation}: {answer.body}"
        assert unlike(answer.body, one.answer) == [], one.operation
        assert answer.headers.get("Location", "/").startswith("/")


async def test_a_provider_that_is_not_connected_is_named_with_what_to_do(replay: Replay) -> None:
    answer = await replay.send(CONTRACT[0])
    assert (answer.status, answer.body["code"]) == (422, "provider_unavailable")
    assert "Embedded" in answer.body["detail"]


async def prepare(replay: Replay, one: Example) -> None:
    """What has happened in the contract's story between one example and the next."""
    api, ids = replay.api, replay.ids
    await api.drain()
    match one.operation:
        case "devops_author_commit":
            await api.expect(
                201,
                "PUT",
                "/artifacts/art-reservations-api-3c",
                a_bundle(),
                token=MANAGER,
                content_type="application/zip",
            )
            start = [
                {"path": path, "operation": "add", "content": text}
                for path, text in {
                    SOURCE: "class Before {}\n",
                    "slipway.yml": "{}\n",
                    "app/__init__.py": "",
                }.items()
            ]
            draft = {
                "branch": "feature/reservation-cancellation",
                "message": "chore: start",
                "changes": start,
            }
            path = f"/repositories/{ids['repo-7a1c']}/commits"
            await api.expect(201, "POST", path, draft, token=MANAGER)
        case "devops_generate_pipeline":
            path = f"/pull-requests/{ids['pr-9931']}/merge"
            await api.expect(200, "POST", path, token=MANAGER)
        case "devops_plan_release":
            run = await api.expect(200, "GET", f"/pipeline-runs/{ids['run-8c20']}", token=MANAGER)
            ids["build-7711"] = run["buildResultId"]


def a_bundle() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(SOURCE, "class Reservations { void Cancel() {} }\n")
    return made.getvalue()


def unlike(told: Any, promised: Any, at: str = "") -> list[str]:
    """Where an answer has less than was promised, or other words. Ids, urls and numbers may be others."""
    if isinstance(promised, dict):
        if missing := [f"{at}.{name} is missing" for name in promised.keys() - told.keys()]:
            return missing
        return [
            found
            for name, value in promised.items()
            if name not in OF_THE_PLACE
            for found in unlike(told[name], value, f"{at}.{name}")
        ]
    if isinstance(promised, list):
        return [found for one in promised for found in unlisted(told, one, f"{at}[]")]
    if isinstance(promised, int):
        return [] if isinstance(told, int) else [f"{at} is {told!r}"]
    if found := ID.fullmatch(promised):
        return [] if told.startswith(f"{found[1]}-") else [f"{at} is {told!r}"]
    return [] if told == promised else [f"{at} is {told!r}"]


def unlisted(told: list[Any], promised: Any, at: str) -> list[str]:
    """Items with a name have to be there; how far they have come by now, and who looks on, is the place's."""
    if not isinstance(promised, dict):
        return [f"{at} is {one!r}" for one in told if not isinstance(one, type(promised))]
    found = [one for one in told if one.get("name") == promised["name"]]
    return [] if found and promised.keys() <= found[0].keys() else [f"{at} has no {promised['name']}"]
