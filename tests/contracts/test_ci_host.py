"""Workflows at a vendor: started once, watched to their end, read whole. Runs against every vendor."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.kernel.errors import Invalid
from shared.ports.ci_host import CiArtifact, CiJob, CiRun, CiStatus, CiStep, UnknownRun, UnknownWorkflow
from shared.ports.source_host import RepositoryMissing
from tests.contracts.vendor_bench import BEFORE, Ended, VendorBench

BUILD = ".github/workflows/build.yml"
AT = datetime(2030, 6, 11, 10, tzinfo=UTC)
MOST = 1024 * 1024


@pytest.fixture
def bench(vendor: VendorBench) -> VendorBench:
    vendor.add_workflow(BUILD, "target")
    return vendor


async def start(bench: VendorBench, once: str = "req-1", workflow: str = BUILD, ref: str = "main") -> CiRun:
    inputs = {"target": "staging"}
    ci = bench.vendor.ci
    return await ci.start(bench.place, workflow, ref=ref, inputs=inputs, once=once, since=BEFORE)


async def test_a_workflow_is_started_once_for_one_request(bench: VendorBench) -> None:
    run = await start(bench)
    assert (run.status, run.conclusion, run.sha) == (CiStatus.QUEUED, None, bench.head)
    assert (await start(bench)).id == run.id
    assert (await start(bench, "req-12")).id != run.id
    assert len(bench.runs()) == 2


async def test_a_start_whose_answer_was_lost_is_found(bench: VendorBench) -> None:
    bench.lose("start")
    run = await start(bench)
    assert bench.runs() == [run.id]


async def test_what_was_begun_before_the_request_does_not_answer_it(bench: VendorBench) -> None:
    run = await start(bench)
    later = run.started_at + timedelta(seconds=2)
    again = await bench.vendor.ci.start(bench.place, BUILD, ref="main", inputs={}, once="req-1", since=later)
    assert again.id != run.id


async def test_what_a_request_has_begun_is_found_by_its_name(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    found = await ci.started(bench.place, BUILD, once="req-1", since=BEFORE)
    assert found is not None
    assert found.id == run.id
    later = run.started_at + timedelta(seconds=2)
    for workflow, once, since in (
        (BUILD, "req-2", BEFORE),
        (BUILD, "req-1", later),
        (".github/workflows/nope.yml", "req-1", BEFORE),
        ("../build.yml", "req-1", BEFORE),
    ):
        assert await ci.started(bench.place, workflow, once=once, since=since) is None
    bench.forget_repository()
    with pytest.raises(RepositoryMissing):
        await ci.started(bench.place, BUILD, once="req-1", since=BEFORE)


async def test_a_run_is_followed_to_its_end(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    bench.begin(run.id)
    running = await ci.find(bench.place, run.id)
    assert running is not None
    assert (running.status, running.conclusion, running.finished_at) == (CiStatus.RUNNING, None, None)
    bench.end(run.id, Ended(bench.failure, at=AT))
    ended = await ci.find(bench.place, run.id)
    assert ended is not None
    assert (ended.status, ended.conclusion, ended.finished_at) == (CiStatus.COMPLETED, bench.failure, AT)
    assert await ci.find(bench.place, "99999") is None
    assert await ci.find(bench.place, "../1") is None


async def test_what_cannot_be_started_is_told(bench: VendorBench) -> None:
    for path in (".github/workflows/nope.yml", "nope.yml", "elsewhere/build.yml", "../build.yml"):
        with pytest.raises(UnknownWorkflow, match=r"nope|build"):
            await start(bench, workflow=path)
    bench.add_workflow(".github/workflows/plain.yml")
    with pytest.raises(Invalid, match="target"):
        await start(bench, workflow=".github/workflows/plain.yml")
    with pytest.raises(Invalid):
        await start(bench, ref="no-such-branch")
    assert bench.runs() == []


async def test_the_jobs_of_a_run_have_their_steps_in_order(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    bench.end(run.id, Ended(bench.success, {"build": ["checkout", "compile"], "test": ["unit"]}))
    jobs = await ci.jobs(bench.place, run.id)
    assert [(job.name, [step.name for step in job.steps]) for job in jobs] == [
        ("build", ["checkout", "compile"]),
        ("test", ["unit"]),
    ]
    parts: list[CiJob | CiStep] = [*jobs, *(step for job in jobs for step in job.steps)]
    for each in parts:
        assert (each.status, each.conclusion) == (CiStatus.COMPLETED, bench.success)
        assert each.started_at is not None
        assert each.finished_at is not None
        assert each.started_at <= each.finished_at
    assert len({job.id for job in jobs}) == 2


async def test_a_run_that_has_not_begun_has_no_jobs_yet(bench: VendorBench) -> None:
    run = await start(bench)
    assert await bench.vendor.ci.jobs(bench.place, run.id) == []
    assert await bench.vendor.ci.artifacts(bench.place, run.id) == []


async def test_a_log_is_the_jobs_in_their_order(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    with pytest.raises(UnknownRun):
        await ci.log(bench.place, run.id)
    steps = {"test": ["unit"], "build": ["compile"]}
    bench.end(run.id, Ended(bench.success, steps, {"test": "\ufefftested\n", "build": "built\n"}))
    assert await ci.log(bench.place, run.id) == "tested\nbuilt\n"


async def test_a_run_is_cancelled_and_cancelling_again_is_fine(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    bench.begin(run.id)
    await ci.cancel(bench.place, run.id)
    await ci.cancel(bench.place, run.id)
    found = await ci.find(bench.place, run.id)
    assert found is not None
    assert (found.status, found.conclusion) == (CiStatus.COMPLETED, bench.cancelled)
    for unknown in ("99999", "../1"):
        await ci.cancel(bench.place, unknown)


async def test_a_run_that_is_over_stays_as_it_ended(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    bench.end(run.id, Ended(bench.success))
    await ci.cancel(bench.place, run.id)
    found = await ci.find(bench.place, run.id)
    assert found is not None
    assert found.conclusion == bench.success


async def test_an_artifact_is_downloaded_as_an_archive(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    left = {"results": {"junit.xml": b"<testsuites/>"}, "bundle": {"bundle.tar.gz": b"packed"}}
    bench.end(run.id, Ended(bench.success, artifacts=left))
    bundle, results = await ci.artifacts(bench.place, run.id)
    assert (bundle.name, results.name) == ("bundle", "results")
    file = io.BytesIO()
    await ci.download(bench.place, run.id, results, file, max_bytes=MOST)
    assert results.size in {None, len(file.getvalue())}
    with zipfile.ZipFile(file) as archive:
        [name] = (name for name in archive.namelist() if name.endswith("junit.xml"))
        assert archive.read(name) == b"<testsuites/>"


async def test_an_artifact_larger_than_asked_for_is_refused(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    bench.end(run.id, Ended(bench.success, artifacts={"bundle": {"a": bytes(range(256))}}))
    [bundle] = await ci.artifacts(bench.place, run.id)
    # What the vendor says of its size is not what counts.
    for artifact in (bundle, CiArtifact(bundle.id, bundle.name, None), CiArtifact(bundle.id, bundle.name, 1)):
        with pytest.raises(Invalid, match="'bundle' is larger than 100 bytes"):
            await ci.download(bench.place, run.id, artifact, io.BytesIO(), max_bytes=100)


async def test_an_artifact_that_is_kept_no_longer_is_left_out(bench: VendorBench) -> None:
    ci, run = bench.vendor.ci, await start(bench)
    bench.end(run.id, Ended(bench.success, artifacts={"a": {"a": b"a"}, "b": {"b": b"b"}}))
    gone, kept = await ci.artifacts(bench.place, run.id)
    bench.expire(run.id, "a")
    assert await ci.artifacts(bench.place, run.id) == [kept]
    for artifact in (gone, CiArtifact("99999", "a", None), CiArtifact("../1", "a", None)):
        with pytest.raises(UnknownRun):
            await ci.download(bench.place, run.id, artifact, io.BytesIO(), max_bytes=MOST)


async def test_an_unknown_run_has_nothing(bench: VendorBench) -> None:
    for run in ("99999", "../1"):
        for read in (bench.vendor.ci.jobs, bench.vendor.ci.log, bench.vendor.ci.artifacts):
            with pytest.raises(UnknownRun):
                await read(bench.place, run)


async def test_what_is_asked_of_a_missing_repository_says_so(bench: VendorBench) -> None:
    bench.forget_repository()
    ci, place = bench.vendor.ci, bench.place
    with pytest.raises(RepositoryMissing):
        await start(bench)
    for read in (ci.find, ci.jobs, ci.log, ci.artifacts, ci.cancel):
        with pytest.raises(RepositoryMissing):
            await read(place, "1")
