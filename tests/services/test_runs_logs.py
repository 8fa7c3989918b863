"""The log of a run as callers read it: pages, cursors, following, and what a dead writer leaves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.pipelines.logs import LogLine, encode_lines
from shared.domain.pipelines.model import PipelineRun, RunStatus
from tests.support.pipelines import AT, Platform, a_definition, a_platform, a_step
from tests.support.source import ANN


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = a_platform(tmp_path)
    yield made
    await made.source.aclose()


async def a_started_run(platform: Platform, script: str = "true") -> PipelineRun:
    return await platform.started(await platform.a_defined_pipeline(a_definition(a_step("one", script))))


async def texts_from(platform: Platform, run: PipelineRun, offset: int, limit: int = 1000) -> list[str]:
    page = await platform.runs.logs(ANN, run.id, offset=offset, limit=limit)
    return [line.text for line in page.lines]


async def test_a_run_without_a_log_has_an_empty_page_that_is_not_the_end(platform: Platform) -> None:
    page = await platform.runs.logs(ANN, (await a_started_run(platform)).id)
    assert (page.lines, page.next_offset, page.complete) == ((), 0, False)


async def test_pages_continue_where_the_one_before_stopped_until_all_is_read(platform: Platform) -> None:
    run = await a_started_run(platform, "for n in 1 2 3 4 5 6 7; do echo line $n; done")
    await platform.execute(run)
    whole = await platform.runs.logs(ANN, run.id, limit=1000)
    assert whole.complete
    read: list[LogLine] = []
    offset, complete = 0, False
    while not complete:
        page = await platform.runs.logs(ANN, run.id, offset=offset, limit=3)
        assert page.next_offset > offset
        read.extend(page.lines)
        offset, complete = page.next_offset, page.complete
    assert tuple(read) == whole.lines
    assert offset == whole.next_offset
    after = await platform.runs.logs(ANN, run.id, offset=offset)
    assert (after.lines, after.complete) == ((), True)


async def test_an_offset_is_where_its_line_is(platform: Platform) -> None:
    run = await a_started_run(platform, "echo a; echo b")
    await platform.execute(run)
    for line in (await platform.runs.logs(ANN, run.id, limit=1000)).lines:
        assert (await texts_from(platform, run, line.offset, 1)) == [line.text]


async def test_an_offset_within_a_line_goes_on_with_the_next(platform: Platform) -> None:
    run = await a_started_run(platform)
    first = encode_lines("first", at=AT, level="info")
    second = encode_lines("second", at=AT, level="info")
    await platform.blobs.append("acme", run.logs_path, first + second)
    assert await texts_from(platform, run, 3) == ["second"]
    assert await texts_from(platform, run, len(first)) == ["second"]
    assert await texts_from(platform, run, 10_000) == []


async def test_an_unfinished_last_line_is_never_shown_and_does_not_keep_a_finished_log_open(
    platform: Platform,
) -> None:
    run = await a_started_run(platform)
    whole = encode_lines("whole", at=AT, level="info")
    await platform.blobs.append("acme", run.logs_path, whole + b'{"torn')
    page = await platform.runs.logs(ANN, run.id)
    assert ([line.text for line in page.lines], page.next_offset) == (["whole"], len(whole))
    assert not page.complete
    await platform.runs.expire(ANN, await platform.payload("RunOverdue", run))
    assert (await platform.runs.logs(ANN, run.id, offset=len(whole))).complete


async def test_the_next_attempt_ends_a_line_that_a_killed_one_left(platform: Platform) -> None:
    run = await a_started_run(platform, "echo said")
    await platform.blobs.append("acme", run.logs_path, b'{"torn')
    await platform.execute(run)
    texts = await texts_from(platform, run, 0)
    assert texts[0] == '{"torn'
    assert "said" in texts


async def test_a_follower_sees_lines_as_they_come_and_then_the_end(
    platform: Platform, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = await a_started_run(platform, f"echo before; while [ ! -e {go} ]; do sleep 0.05; done; echo after")
    execution = asyncio.create_task(platform.execute(run))
    read: list[str] = []
    offset, complete = 0, False
    while not complete:
        page = await platform.runs.logs(ANN, run.id, offset=offset, follow=True, wait=5)
        read.extend(line.text for line in page.lines)
        offset, complete = page.next_offset, page.complete
        if "before" in read and not go.exists():
            assert "after" not in read
            go.touch()
    assert read[-1] == "Recording the result."
    assert read.index("before") < read.index("after")
    assert (await execution).status is RunStatus.SUCCEEDED


async def test_following_waits_no_longer_than_told(platform: Platform) -> None:
    run = await a_started_run(platform)
    began = asyncio.get_running_loop().time()
    page = await platform.runs.logs(ANN, run.id, follow=True, wait=0.3)
    assert (page.lines, page.complete) == ((), False)
    assert 0.2 < asyncio.get_running_loop().time() - began < 3


async def test_a_cancelled_runs_log_stays_open_for_its_last_lines(platform: Platform) -> None:
    run = await a_started_run(platform)
    await platform.runs.cancel(ANN, run.id, None)
    assert not (await platform.runs.logs(ANN, run.id)).complete
    platform.source.clock.advance(seconds=5)
    assert (await platform.runs.logs(ANN, run.id)).complete


async def test_a_log_longer_than_a_page_of_bytes_is_read_whole(platform: Platform) -> None:
    run = await a_started_run(platform)
    block = b"".join(encode_lines(f"{n} {'x' * 6000}", at=AT, level="info") for n in range(200))
    await platform.blobs.append("acme", run.logs_path, block)
    await platform.runs.expire(ANN, await platform.payload("RunOverdue", run))
    numbers: list[int] = []
    offset, complete = 0, False
    while not complete:
        page = await platform.runs.logs(ANN, run.id, offset=offset, limit=1000)
        numbers.extend(int(line.text.partition(" ")[0]) for line in page.lines)
        offset, complete = page.next_offset, page.complete
    assert numbers == list(range(200))


async def test_values_of_the_environment_are_not_in_the_log(platform: Platform) -> None:
    step = replace(a_step("one", 'test -n "$KEY"'), environment={"KEY": "hunter2"})
    run = await platform.started(await platform.a_defined_pipeline(a_definition(step)))
    done = await platform.execute(run)
    assert done.status is RunStatus.SUCCEEDED
    assert "hunter2" not in await platform.log(run)
