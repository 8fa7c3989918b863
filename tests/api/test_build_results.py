"""Builds that a CI system reports: written once, checked, and as good as our own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, an_api
from tests.support.builds import CI, a_build, a_pipeline, a_report, a_tarball, digest_of, upload

ARTIFACT = {"kind": "image", "ref": "registry.example.com/api:1", "digest": "sha256:" + "a" * 64}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path)
    yield made
    await made.app.aclose()


@pytest.fixture
async def pipeline(api: Api) -> str:
    return (await a_pipeline(api.app.units)).id


async def report(api: Api, body: dict[str, Any], status: int = 201, **more: Any) -> Any:
    return await api.expect(status, "POST", "/build-results", body, token=CI, **more)


async def events(api: Api) -> list[str]:
    documents = (await api.app.feed.read("", 500)).documents
    return [each.body["eventType"] for each in documents if each.kind == "outbox"]


async def test_a_reported_build_is_read_like_our_own(api: Api, pipeline: str) -> None:
    made = await report(api, a_report(pipeline, artifacts=[ARTIFACT]))
    assert made["tests"] == {"total": 3, "passed": 2, "failed": 0, "skipped": 1}
    assert made["artifacts"] == [{**ARTIFACT, "name": "api", "size": 0}]
    assert await api.expect(200, "GET", f"/build-results/{made['buildResultId']}") == made
    listed = await api.expect(200, "GET", f"/build-results?pipelineId=pipe-{pipeline}")
    assert listed["items"] == [made]
    run = await api.expect(200, "GET", f"/pipeline-runs/{made['pipelineRunId']}")
    assert (run["status"], run["attempt"], run["reason"]) == ("Succeeded", 1, "external")
    assert run["buildResultId"] == made["buildResultId"]
    assert sorted(await events(api)) == ["BuildCompleted", "PipelineRunCompleted"]


async def test_the_same_report_again_is_the_same_answer_also_without_a_key(api: Api, pipeline: str) -> None:
    answers = [await report(api, a_report(pipeline)) for _ in range(3)]
    assert answers == [answers[0]] * 3
    assert len(await events(api)) == 2


async def test_a_crowd_of_the_same_report_writes_one_result(api: Api, pipeline: str) -> None:
    answers = await asyncio.gather(*(report(api, a_report(pipeline)) for _ in range(3)))
    assert answers == [answers[0]] * 3
    assert len(await events(api)) == 2


async def test_another_result_of_the_same_attempt_is_refused(api: Api, pipeline: str) -> None:
    first = await report(api, a_report(pipeline))
    refused = await report(api, a_report(pipeline, status="Failed"), 409)
    assert (refused["code"], refused["buildResultId"]) == ("build_result_exists", first["buildResultId"])
    assert await api.expect(200, "GET", f"/build-results/{first['buildResultId']}") == first


async def test_a_later_attempt_is_what_the_run_shows_and_an_earlier_one_is_kept(
    api: Api, pipeline: str
) -> None:
    second = await report(api, a_report(pipeline, attempt=2))
    first = await report(api, a_report(pipeline, attempt=1, status="Failed"))
    assert first["pipelineRunId"] == second["pipelineRunId"]
    run = await api.expect(200, "GET", f"/pipeline-runs/{first['pipelineRunId']}")
    assert (run["status"], run["attempt"], run["buildResultId"]) == ("Succeeded", 2, second["buildResultId"])
    third = await report(api, a_report(pipeline, attempt=3, status="Canceled"))
    run = await api.expect(200, "GET", f"/pipeline-runs/{first['pipelineRunId']}")
    assert (run["status"], run["buildResultId"]) == ("Canceled", third["buildResultId"])
    by_run = {"pipelineRunId": first["pipelineRunId"], "moduleId": "module-x", "status": "Succeeded"}
    fourth = await report(api, {**by_run, "attempt": 4})
    assert fourth["pipelineRunId"] == first["pipelineRunId"]


async def test_a_failed_build_is_told_twice(api: Api, pipeline: str) -> None:
    await report(api, a_report(pipeline, status="Failed", tests=None))
    assert sorted(await events(api)) == ["BuildCompleted", "BuildFailed", "PipelineRunCompleted"]


async def test_a_build_number_belongs_to_one_commit(api: Api, pipeline: str) -> None:
    await report(api, a_report(pipeline))
    refused = await report(api, a_report(pipeline, attempt=2, commitSha="0" * 40), 409)
    assert refused["code"] == "build_number_taken"


async def test_every_contradiction_is_named_at_once(api: Api, pipeline: str) -> None:
    body = a_report(
        pipeline,
        tests={"total": 5, "passed": 2, "failed": 1, "skipped": 1},
        artifacts=[{**ARTIFACT, "digest": "sha256:" + "A" * 64}, ARTIFACT],
    )
    refused = await report(api, body, 400)
    assert [row["field"] for row in refused["errors"]] == [
        "tests.total",
        "artifacts[0].digest",
        "artifacts[1].name",
    ]
    assert await events(api) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"pipelineRunId": "run-" + "0" * 32},
        {"commitSha": None},
        {"pipelineId": None},
        {"buildNumber": "no blanks"},
        {"coverage": 1.5},
        {"attempt": 0},
        {"status": "Great"},
        {"commitSha": "main"},
    ],
    ids=str,
)
async def test_a_report_that_does_not_say_what_it_is_of_is_refused(
    api: Api, pipeline: str, changes: dict[str, Any]
) -> None:
    assert (await report(api, a_report(pipeline, **changes), 400))["errors"]


async def test_the_module_is_the_pipelines(api: Api, pipeline: str) -> None:
    refused = await report(api, a_report(pipeline, moduleId="module-y"), 422)
    assert (refused["code"], refused["module"]) == ("report_mismatch", "module-x")


async def test_only_who_builds_may_report(api: Api, pipeline: str) -> None:
    for role, status in (("developer", 403), ("agent", 403), ("operator", 403), ("service-account", 201)):
        token = f"acme/user+ann/{role}"
        await api.expect(status, "POST", "/build-results", a_report(pipeline), token=token)


async def test_what_was_uploaded_is_taken_by_its_id(api: Api, pipeline: str) -> None:
    archive = a_tarball({"slipway.yml": b"{}\n"})
    digest = await upload(api, "art-1", archive)
    made = await report(
        api, a_report(pipeline, artifacts=[{"kind": "bundle", "ref": "art-1", "digest": digest}])
    )
    (artifact,) = made["artifacts"]
    assert (artifact["name"], artifact["size"]) == ("art-1", len(archive))
    assert await api.app.blobs.read("acme", artifact["ref"]) == archive
    again = await report(
        api,
        a_report(
            pipeline,
            buildNumber="4711.2",
            artifacts=[{"kind": "bundle", "ref": artifact["ref"], "digest": digest}],
        ),
    )
    assert again["artifacts"][0]["size"] == len(archive)


async def test_content_that_is_not_here_as_told_is_named(api: Api, pipeline: str) -> None:
    await upload(api, "art-1", a_tarball({"a": b"1"}))
    wrong = [
        {"name": "a", "kind": "bundle", "ref": "art-1", "digest": digest_of(b"other")},
        {"name": "b", "kind": "bundle", "ref": "art-2", "digest": digest_of(b"other")},
        {"name": "c", "kind": "bundle", "ref": "artifacts/sha256/" + "0" * 64, "digest": digest_of(b"x")},
    ]
    refused = await report(api, a_report(pipeline, artifacts=wrong), 400)
    assert [row["field"] for row in refused["errors"]] == [
        "artifacts[0].digest",
        "artifacts[1].ref",
        "artifacts[2].ref",
    ]


async def test_a_release_is_planned_of_a_reported_build(api: Api) -> None:
    built = await a_build(api, artifacts=[ARTIFACT])
    plan = {
        "projectId": "proj-x",
        "moduleId": "module-x",
        "buildResultId": built["buildResultId"],
        "targetEnvironment": "dev",
    }
    release = await api.expect(201, "POST", "/releases", plan)
    assert release["version"] == "1.0.0"
