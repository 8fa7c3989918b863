"""What only Azure Pipelines has: definitions that are found or made, timelines, and logs in pieces."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.hosts.azure_devops_ci import ONCE_PARAMETER
from shared.adapters.vendors.answers import Unclear
from shared.domain.kernel.errors import Conflict, Forbidden, Invalid, Permanent, Transient
from shared.ports.ci_host import CiArtifact, CiRun, CiStatus, UnknownRun, UnknownWorkflow
from tests.contracts.azure_devops_site import PAT, PROJECT
from tests.contracts.azure_devops_vendor import AzureDevOpsBench, azure_devops_bench
from tests.contracts.vendor_bench import BEFORE, Ended
from tests.standins.azure_devops.pipelines import Ending
from tests.standins.azure_devops.repository import Repository
from tests.standins.azure_devops.server import Fault

BUILD = ".azuredevops/pipelines/build.yml"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AzureDevOpsBench]:
    async with azure_devops_bench(tmp_path) as opened:
        opened.add_workflow(BUILD, "target")
        yield opened


async def start(bench: AzureDevOpsBench, once: str = "req-1", workflow: str = BUILD) -> CiRun:
    ci = bench.vendor.ci
    return await ci.start(bench.place, workflow, ref="main", inputs={}, once=once, since=BEFORE)


async def test_a_pipeline_is_made_for_a_file_once(bench: AzureDevOpsBench) -> None:
    for once in ("one", "two"):
        await start(bench, once)
    (made,) = bench.pipelines.definitions.values()
    assert made["process"]["yamlFilename"] == f"/{BUILD}"
    assert made["name"].startswith("api-.azuredevops-pipelines-build.yml-")
    bench.add_workflow("other.yml")
    await start(bench, workflow="other.yml")
    assert len(bench.pipelines.definitions) == 2


async def test_a_pipeline_whose_answer_was_lost_is_made_once(bench: AzureDevOpsBench) -> None:
    bench.bench.service.faults.append(Fault("lost", f"{PROJECT}/_apis/pipelines"))
    run = await start(bench)
    assert len(bench.pipelines.definitions) == 1
    assert bench.runs() == [run.id]


async def test_two_that_start_at_once_make_one_pipeline(bench: AzureDevOpsBench) -> None:
    await asyncio.gather(start(bench, "one"), start(bench, "two"))
    assert len(bench.pipelines.definitions) == 1
    assert len(bench.runs()) == 2


async def test_a_pipeline_that_users_made_is_taken(bench: AzureDevOpsBench) -> None:
    configuration = {
        "type": "yaml",
        "path": BUILD,
        "repository": {"id": bench.repository.id, "type": "azureReposGit"},
    }
    url = f"{bench.bench.service.url}/{bench.bench.organization.name}/{PROJECT}"
    body = {"name": "Theirs", "configuration": configuration}
    bench.pipelines.define([bench.repository], 4711, url, body)
    run = await start(bench)
    assert list(bench.pipelines.definitions) == [4711]
    assert run.url == f"{url}/_build/results?buildId={run.id}"
    bench.pipelines.definitions[4711]["queueStatus"] = "disabled"
    await start(bench, "req-2")
    assert len(bench.pipelines.definitions) == 2


async def test_a_pipeline_that_was_disabled_is_told(bench: AzureDevOpsBench) -> None:
    await start(bench)
    (made,) = bench.pipelines.definitions.values()
    made["queueStatus"] = "disabled"
    with pytest.raises(Conflict, match="enable it there"):
        await start(bench, "req-2")


async def test_the_request_is_a_parameter_of_the_build(bench: AzureDevOpsBench) -> None:
    run = await start(bench)
    assert bench.pipelines.build(int(run.id)).told["templateParameters"] == {ONCE_PARAMETER: "req-1"}
    bench.write("main", "bare.yml", b"trigger: none\n")
    with pytest.raises(Invalid, match=f"Unexpected parameter '{ONCE_PARAMETER}'"):
        await start(bench, workflow="bare.yml")


async def test_a_start_that_is_not_found_after_a_lost_answer_is_to_be_tried_again(
    bench: AzureDevOpsBench,
) -> None:
    await start(bench, "warm")
    bench.lose("start")
    call = asyncio.create_task(start(bench))
    # The list lags behind: it does not show the build that was queued.
    while len(bench.runs()) < 2:
        await asyncio.sleep(0.001)
    hidden = bench.pipelines.builds.pop(max(bench.pipelines.builds))
    with pytest.raises(Unclear) as caught:
        await call
    assert isinstance(caught.value, Transient)
    bench.pipelines.builds[hidden.told["id"]] = hidden
    assert (await start(bench)).id == str(hidden.told["id"])


async def test_a_run_is_found_again_though_its_branch_is_gone(bench: AzureDevOpsBench) -> None:
    bench.push("topic", "a")
    ci, place = bench.vendor.ci, bench.place
    run = await ci.start(place, BUILD, ref="topic", inputs={}, once="req", since=BEFORE)
    bench.delete_branch("topic")
    assert (await ci.start(place, BUILD, ref="topic", inputs={}, once="req", since=BEFORE)).id == run.id


async def test_more_builds_than_a_page_are_looked_through(bench: AzureDevOpsBench) -> None:
    first = await start(bench)
    (definition,) = bench.pipelines.definitions
    for number in range(10_000, 10_120):
        body = {"definition": {"id": definition}, "sourceBranch": "refs/heads/main"}
        bench.pipelines.queue([bench.repository], number, "http://here", body)
    assert (await start(bench)).id == first.id


async def test_a_build_of_another_repository_is_unknown(bench: AzureDevOpsBench) -> None:
    run = await start(bench)
    url = f"{bench.bench.service.url}/{bench.bench.organization.name}/{PROJECT}"
    bench.project.repositories["other"] = Repository("other", bench.project.view(url), url)
    other = type(bench.place)(bench.place.tenant, PROJECT, "other", bench.place.provider)
    assert await bench.vendor.ci.find(other, run.id) is None
    with pytest.raises(UnknownRun):
        await bench.vendor.ci.artifacts(other, run.id)
    await bench.vendor.ci.cancel(other, run.id)
    assert bench.pipelines.build(int(run.id)).told["status"] == "notStarted"


async def test_a_build_that_is_being_cancelled_is_still_running(bench: AzureDevOpsBench) -> None:
    run = await start(bench)
    bench.pipelines.build(int(run.id)).told["status"] = "postponed"
    found = await bench.vendor.ci.find(bench.place, run.id)
    assert found is not None
    assert found.status is CiStatus.QUEUED
    bench.begin(run.id)
    assert bench.pipelines.cancel(int(run.id)).told["status"] == "cancelling"
    async with asyncio.timeout(5):
        ended = await bench.vendor.ci.find(bench.place, run.id)
    assert ended is not None
    assert ended.conclusion == "canceled"


async def test_every_build_ends_at_once_where_the_stand_in_is_told_to(bench: AzureDevOpsBench) -> None:
    bench.pipelines.ending = Ending(
        "succeeded", {"build": ["make"]}, {"build": "made\n"}, {"out": {"a": b"1"}}
    )
    run = await start(bench)
    assert (run.status, run.conclusion) == (CiStatus.COMPLETED, "succeeded")
    assert await bench.vendor.ci.log(bench.place, run.id) == "made\n"
    assert [each.name for each in await bench.vendor.ci.artifacts(bench.place, run.id)] == ["out"]


async def test_the_log_of_a_job_that_runs_is_its_tasks(bench: AzureDevOpsBench) -> None:
    run = await start(bench)
    bench.end(run.id, Ended("succeeded", {"build": ["fetch", "make"]}, {"build": "fetched\n"}))
    build = bench.pipelines.build(int(run.id))
    for record in build.records:
        if record["type"] == "Job":
            record["log"] = None
    assert await bench.vendor.ci.log(bench.place, run.id) == "fetched\n"
    build.logs.clear()
    with pytest.raises(UnknownRun):
        await bench.vendor.ci.log(bench.place, run.id)


async def test_a_log_without_end_is_cut(bench: AzureDevOpsBench) -> None:
    run = await start(bench)
    log = {"a": "x" * (17 * 1024 * 1024), "b": "never"}
    bench.end(run.id, Ended("succeeded", {}, log))
    found = await bench.vendor.ci.log(bench.place, run.id)
    assert found.endswith("x\n(the log goes on at Azure DevOps)\n")
    assert len(found) < 17 * 1024 * 1024


async def test_an_artifact_elsewhere_is_not_fetched(bench: AzureDevOpsBench) -> None:
    run = await start(bench)
    bench.end(run.id, Ended("succeeded", artifacts={"out": {"a": b"1"}}))
    (kept,) = bench.pipelines.build(int(run.id)).artifacts
    kept.url = "https://evil.test/_apis/x"
    artifact = CiArtifact("1", "out", None)
    with pytest.raises(Permanent, match="another host") as caught:
        await bench.vendor.ci.download(bench.place, run.id, artifact, io.BytesIO(), max_bytes=1000)
    assert PAT not in str(caught.value)


async def test_a_token_that_may_not_queue_is_told(bench: AzureDevOpsBench) -> None:
    bench.bench.organization.tokens[PAT] = frozenset({"QueueBuilds"})
    with pytest.raises(Forbidden, match="QueueBuilds"):
        await start(bench)
    with pytest.raises(UnknownWorkflow, match="nope"):
        await start(bench, workflow="nope.yml")
