"""Pipelines, runs, logs and results as callers see them, on real services."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from functions.routes import declared
from shared.domain.kernel.ids import parse_id
from shared.domain.source.model import Repository
from shared.settings import Settings
from tests.api.kit_notes import Kit, told
from tests.support.pipelines import MODULE, WORKER, Platform, a_definition, a_platform, a_step

ALL = "devops.pipelines.write devops.pipelines.run devops.pipelines.read"


@dataclass
class Caller:
    """Ann, who may do everything with pipelines, unless another token is named."""

    kit: Kit
    platform: Platform
    app: Any

    async def send(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        token = more.pop("token", "ann")
        answer = await self.kit.send(
            method, path, body, token=token, catalogue=declared(), app=self.app, **more
        )
        return answer.status_code, told(answer)

    async def a_pipeline(self, repository: Repository) -> Any:
        body = {"tenantId": "acme", "repositoryId": f"repo-{repository.id}", "moduleId": MODULE}
        _, made = await self.send("POST", "/pipelines/generate", {**body, "moduleType": "Microservice"})
        return made

    async def a_finished_run(self, script: str = "echo hello") -> str:
        pipeline = await self.platform.a_defined_pipeline(a_definition(a_step("one", script)))
        _, started = await self.send("POST", f"/pipelines/pipe-{pipeline.id}/run", {"reason": "ci"})
        run = parse_id(started["pipelineRunId"], "run") or ""
        await self.platform.execute(await self.platform.runs.get(WORKER, run))
        return str(started["pipelineRunId"])


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    platform = a_platform(tmp_path)
    (tmp_path / "kit").mkdir()
    kit = Kit(tmp_path / "kit")
    claims = {"sub": "user:ann", "tenantId": "acme", "scope": ALL}
    kit.tokens.known["ann"] = claims
    kit.tokens.known["reader"] = {**claims, "scope": "devops.pipelines.read"}
    kit.tokens.known["rival"] = {**claims, "tenantId": "rival"}
    app = SimpleNamespace(
        settings=Settings(),
        store=platform.source.store,
        tokens=kit.tokens,
        clock=platform.source.clock,
        pipelines=platform.pipelines,
        runs=platform.runs,
        limits=kit.app.limits,
        telemetry=kit.app.telemetry,
        signer=kit.app.signer,
    )
    yield Caller(kit, platform, cast(Any, app))
    await kit.close()
    await platform.source.aclose()


async def test_a_pipeline_is_generated_as_the_contract_shows(caller: Caller) -> None:
    repository = await caller.platform.a_repository()
    body = {
        "tenantId": "acme",
        "repositoryId": f"repo-{repository.id}",
        "moduleId": "module-reservations-api",
        "moduleType": "microservice",
        "targetFeed": "connectsoft-internal",
        "unknown": "tolerated",
    }
    status, made = await caller.send("POST", "/pipelines/generate", body)
    assert status == 201
    assert made["definitionPath"] == ".slipway/pipelines/reservations-api.yml"
    assert made["status"] == "Generated"
    assert made["version"] == 1
    assert made["contentHash"].startswith("sha256:")
    assert len(made["commitSha"]) == 40
    status, read = await caller.send("GET", f"/pipelines/{made['pipelineId']}")
    assert status == 200
    assert (read["moduleId"], read["moduleType"]) == ("module-reservations-api", "Microservice")
    status, listed = await caller.send("GET", f"/pipelines?repositoryId=repo-{repository.id}")
    assert [each["pipelineId"] for each in listed["items"]] == [made["pipelineId"]]


async def test_a_run_is_started_as_the_contract_shows(caller: Caller) -> None:
    made = await caller.a_pipeline(await caller.platform.a_repository())
    path = f"/pipelines/{made['pipelineId']}/run"
    body = {"tenantId": "acme", "branch": "main", "reason": "ci"}
    status, started = await caller.send("POST", path, body)
    assert status == 201
    assert set(started) == {"pipelineRunId", "buildNumber", "status"}
    assert (started["buildNumber"], started["status"]) == ("20260611.1", "Started")


async def test_the_same_key_starts_one_run_and_answers_the_same(caller: Caller) -> None:
    made = await caller.a_pipeline(await caller.platform.a_repository())
    path = f"/pipelines/{made['pipelineId']}/run"
    answers = [
        await caller.kit.send(
            "POST", path, {}, token="ann", catalogue=declared(), app=caller.app, idempotency_key="k-1"
        )
        for _ in range(2)
    ]
    assert answers[0].get_body() == answers[1].get_body()
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"]
    assert answers[1].headers["Idempotent-Replayed"] == "true"


async def test_a_run_is_shown_with_its_whole_tree_and_its_result(caller: Caller) -> None:
    run_id = await caller.a_finished_run("echo hello; exit 0")
    status, run = await caller.send("GET", f"/pipeline-runs/{run_id}")
    assert status == 200
    assert (run["status"], run["attempt"], run["reason"]) == ("Succeeded", 1, "ci")
    (stage,) = run["stages"]
    (task,) = stage["tasks"]
    (step,) = task["steps"]
    assert (stage["name"], task["name"], step["name"]) == ("build", "all", "one")
    assert (step["status"], step["exitCode"]) == ("Succeeded", 0)
    assert "outcomeReason" not in run
    status, result = await caller.send("GET", f"/build-results/{run['buildResultId']}")
    assert status == 200
    assert (result["status"], result["pipelineRunId"]) == ("Succeeded", run_id)
    _, listed = await caller.send("GET", f"/build-results?repositoryId={result['repositoryId']}")
    assert listed["items"] == [result]
    assert result["exitCodes"] == [{"step": "build/all/one", "code": 0}]


async def test_a_failed_run_says_why(caller: Caller) -> None:
    run_id = await caller.a_finished_run("exit 3")
    _, run = await caller.send("GET", f"/pipeline-runs/{run_id}")
    assert run["status"] == "Failed"
    assert "build/all/one" in run["outcomeReason"]


async def test_a_log_is_read_page_by_page(caller: Caller) -> None:
    run_id = await caller.a_finished_run()
    texts: list[str] = []
    page: dict[str, Any] = {"nextOffset": 0, "complete": False}
    while not page["complete"]:
        path = f"/pipeline-runs/{run_id}/logs?offset={page['nextOffset']}&limit=2&follow=true"
        _, page = await caller.send("GET", path)
        texts.extend(line["text"] for line in page["lines"])
    assert "hello" in texts


async def test_a_run_is_cancelled_and_cannot_be_cancelled_again(caller: Caller) -> None:
    made = await caller.a_pipeline(await caller.platform.a_repository())
    _, started = await caller.send("POST", f"/pipelines/{made['pipelineId']}/run", {})
    path = f"/pipeline-runs/{started['pipelineRunId']}/cancel"
    status, run = await caller.send("POST", path)
    assert (status, run["status"], run["outcomeReason"]) == (200, "Canceled", "cancelled by user:ann")
    status, problem = await caller.send("POST", path)
    assert status == 409
    assert problem["code"] == "illegal_transition"


async def test_a_run_that_is_over_is_done_again_at_its_commit(caller: Caller) -> None:
    run_id = await caller.a_finished_run("exit 3")
    _, first = await caller.send("GET", f"/pipeline-runs/{run_id}")
    status, again = await caller.send("POST", f"/pipeline-runs/{run_id}/retry")
    assert (status, again["status"]) == (201, "Started")
    assert again["buildNumber"] == "20260611.2"
    _, second = await caller.send("GET", f"/pipeline-runs/{again['pipelineRunId']}")
    assert (second["commitSha"], second["branch"]) == (first["commitSha"], first["branch"])
    assert second["reason"] == "retry"
    status, refused = await caller.send("POST", f"/pipeline-runs/{again['pipelineRunId']}/retry")
    assert (status, refused["code"]) == (409, "run_active")


async def test_runs_are_listed_by_pipeline_by_repository_and_all_together(caller: Caller) -> None:
    repository = await caller.platform.a_repository()
    made = await caller.a_pipeline(repository)
    await caller.send("POST", f"/pipelines/{made['pipelineId']}/run", {})
    for filter_by in (f"?pipelineId={made['pipelineId']}", f"?repositoryId=repo-{repository.id}", ""):
        status, page = await caller.send("GET", f"/pipeline-runs{filter_by}")
        assert (status, len(page["items"])) == (200, 1)
        assert "stages" not in page["items"][0]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/pipelines/generate", {}, 400),
        ("POST", "/pipelines/generate", {"moduleType": "Rocket"}, 400),
        ("GET", "/pipelines?repositoryId=7", None, 400),
        ("GET", f"/pipelines/pipe-{'0' * 32}", None, 404),
        ("GET", "/pipelines/nonsense", None, 404),
        ("POST", f"/pipelines/pipe-{'0' * 32}/run", {}, 404),
        ("POST", f"/pipelines/pipe-{'0' * 32}/run", {"reason": "x" * 201}, 400),
        ("GET", f"/pipeline-runs/run-{'0' * 32}", None, 404),
        ("GET", f"/pipeline-runs/run-{'0' * 32}/logs", None, 404),
        ("GET", f"/pipeline-runs/run-{'0' * 32}/logs?limit=0", None, 400),
        ("POST", f"/pipeline-runs/run-{'0' * 32}/cancel", None, 404),
        ("GET", f"/build-results/build-{'0' * 32}", None, 404),
    ],
)
async def test_what_is_wrong_or_not_there_is_refused(
    caller: Caller, method: str, path: str, body: object, status: int
) -> None:
    assert (await caller.send(method, path, body))[0] == status


async def test_a_reader_may_not_run_and_a_rival_sees_nothing(caller: Caller) -> None:
    made = await caller.a_pipeline(await caller.platform.a_repository())
    path = f"/pipelines/{made['pipelineId']}"
    assert (await caller.send("POST", f"{path}/run", {}, token="reader"))[0] == 403
    assert (await caller.send("GET", path, token="reader"))[0] == 200
    assert (await caller.send("GET", path, token="rival"))[0] == 404
