"""Runs whose worker dies at every commit, is taken over while it lives, or gets a message twice."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from shared.adapters.runners.subprocess import SubprocessRunner
from shared.domain.kernel.ids import Root
from shared.domain.pipelines.model import PipelineRun, RunStatus, StepStatus
from shared.domain.pipelines.tree import steps_of
from shared.ports.runner import Runner, Workspace
from shared.ports.source_host import Place
from shared.ports.store import Document, Partition, Query, Store, TenantStore, Walk, Write
from shared.services.once import Inbox
from shared.services.unit import AlreadyDone
from tests.support.pipelines import BIN, WORKER, Platform, a_definition, a_platform, a_step
from tests.support.source import ANN

TWO_STEPS = a_definition(a_step("one", "echo one"), a_step("two", "echo two"))


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Fuse:
    """Burns down by one at every commit; at zero the process dies, just before or just after it."""

    left: int
    when: Literal["before", "after"] = "after"

    def check(self, now: Literal["before", "after"]) -> None:
        if now == "before":
            self.left -= 1
        if self.left == 0 and now == self.when:
            self.left = -1_000_000
            raise Killed


@dataclass
class DyingPartition:
    inner: Partition
    fuse: Fuse

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        return await self.inner.read(ids)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        return await self.inner.scan(prefix, after=after, limit=limit)

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        self.fuse.check("before")
        etags = await self.inner.commit(writes)
        self.fuse.check("after")
        return etags


@dataclass
class DyingTenant:
    inner: TenantStore
    fuse: Fuse

    def partition(self, root: Root) -> Partition:
        return DyingPartition(self.inner.partition(root), self.fuse)

    async def query(self, query: Query) -> list[Document]:
        return await self.inner.query(query)

    async def walk(self, query: Query) -> Walk:
        return await self.inner.walk(query)


@dataclass
class DyingStore:
    inner: Store
    fuse: Fuse

    def open(self, tenant: str) -> TenantStore:
        return DyingTenant(self.inner.open(tenant), self.fuse)

    async def ready(self) -> None:
        await self.inner.ready()

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class RememberingRunner:
    """Notes which workspaces were opened; they are real ones."""

    inner: Runner
    opened: list[str] = field(default_factory=list)

    async def open(self, name: str) -> Workspace:
        self.opened.append(name)
        return await self.inner.open(name)

    async def sweep(self, keep: Sequence[str] = ()) -> int:
        return await self.inner.sweep(keep)


def on_a_fuse(platform: Platform, fuse: Fuse) -> Platform:
    """The same platform in a process that dies."""
    units = replace(platform.source.units, store=DyingStore(platform.source.store, fuse))
    executor = replace(platform.runs.executor, units=units)
    return replace(platform, runs=replace(platform.runs, units=units, executor=executor))


async def ending_is_exact(platform: Platform, run: PipelineRun) -> None:
    """One result, one pair of facts, no slot once it is released."""
    events = await platform.source.events()
    assert events.count("PipelineRunCompleted") == events.count("BuildCompleted") == 1
    assert events.count("PipelineRunStarted") == 1
    documents = await platform.source.store.changes(0, 10_000)
    assert len([d for d in documents if d.kind == "build-result"]) == 1
    await platform.runs.build_result(ANN, run.build_result or "")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("commits", range(1, 7))
async def test_a_run_whose_worker_dies_at_any_commit_is_finished_by_the_next(
    tmp_path: Path, commits: int, when: Literal["before", "after"]
) -> None:
    platform = a_platform(tmp_path)
    run = await platform.started(await platform.a_defined_pipeline(TWO_STEPS))
    with pytest.raises(Killed):
        await on_a_fuse(platform, Fuse(commits, when)).execute(run)
    done = await platform.execute(run)
    assert done.status is RunStatus.SUCCEEDED
    assert [step.status for step in steps_of(done)] == [StepStatus.SUCCEEDED] * 2
    was_over = commits == 6 and when == "after"
    assert done.attempt == (1 if was_over or (commits == 1 and when == "before") else 2)
    await ending_is_exact(platform, done)
    await platform.source.aclose()


@pytest.mark.parametrize(("commits", "when"), [(1, "after"), (2, "before"), (2, "after")])
async def test_a_start_that_dies_after_its_first_batch_is_carried_on_by_the_worker(
    tmp_path: Path, commits: int, when: Literal["before", "after"]
) -> None:
    platform = a_platform(tmp_path)
    pipeline = await platform.a_defined_pipeline(TWO_STEPS)
    with pytest.raises(Killed):
        await on_a_fuse(platform, Fuse(commits, when)).started(pipeline)
    (command,) = [
        document.body["payload"]
        for document in await platform.source.outbox()
        if document.body["eventType"] == "RunPipeline"
    ]
    done = await platform.runs.execute(WORKER, command)
    assert (done.status, done.build_number) == (RunStatus.SUCCEEDED, "20260611.1")
    await ending_is_exact(platform, done)
    await platform.source.aclose()


async def test_a_check_that_died_half_started_is_the_same_run_again(tmp_path: Path) -> None:
    platform = a_platform(tmp_path)
    repository = await platform.a_repository()
    sha = await platform.push(repository, {"app.py": ""})

    async def check(on: Platform) -> PipelineRun:
        return await on.runs.start_for_check(
            ANN, repository=repository, pull_request_id="1" * 32, branch="main", sha=sha, once=None
        )

    with pytest.raises(Killed):
        await check(on_a_fuse(platform, Fuse(1)))
    again = await check(platform)
    assert again.build_number == "20260611.1"
    assert await platform.runs.get(ANN, again.id) == again
    assert (await platform.source.events()).count("RunPipeline") == 1
    await platform.source.aclose()


async def test_a_message_delivered_twice_runs_once(tmp_path: Path) -> None:
    platform = a_platform(tmp_path)
    run = await platform.started(await platform.a_defined_pipeline(TWO_STEPS))
    first = await platform.execute(run)
    assert await platform.execute(run) == first
    assert (await platform.log(run)).count("Attempt") == 1
    await platform.source.aclose()


async def test_a_message_that_was_handled_says_so(tmp_path: Path) -> None:
    platform = a_platform(tmp_path)
    run = await platform.started(await platform.a_defined_pipeline(TWO_STEPS))
    once = Inbox("runs", "evt-1")
    overdue = await platform.payload("RunOverdue", run)
    await platform.runs.expire(WORKER, overdue, once)
    with pytest.raises(AlreadyDone):
        await platform.runs.expire(WORKER, overdue, once)
    await platform.source.aclose()


async def test_a_second_worker_takes_over_and_the_first_one_only_stops(tmp_path: Path) -> None:
    alive, release = tmp_path / "alive", tmp_path / "release"
    script = f"touch {alive}; while [ ! -e {release} ]; do sleep 0.05; done; echo done"
    first = a_platform(tmp_path / "a")
    pipeline = await first.a_defined_pipeline(a_definition(a_step("wait", script)))
    run = await first.started(pipeline)
    other_runner = SubprocessRunner(tmp_path / "other", output_cap=1 << 20, path=f"{BIN}:/usr/bin:/bin")
    executor = replace(first.runs.executor, runner=other_runner)
    second = replace(first, runs=replace(first.runs, executor=executor))
    one = asyncio.create_task(first.execute(run))
    while not alive.exists():
        await asyncio.sleep(0.02)
    two = asyncio.create_task(second.execute(run))
    superseded = await asyncio.wait_for(one, 10)
    assert (superseded.attempt, superseded.is_terminal) == (2, False)
    release.touch()
    done = await asyncio.wait_for(two, 10)
    assert (done.status, done.attempt) == (RunStatus.SUCCEEDED, 2)
    await ending_is_exact(first, done)
    assert "because the one before did not finish" in await first.log(run)
    await first.source.aclose()


async def test_what_earlier_attempts_left_running_is_ended_first(tmp_path: Path) -> None:
    runner = RememberingRunner(
        SubprocessRunner(tmp_path / "work", output_cap=1 << 20, path=f"{BIN}:/usr/bin:/bin")
    )
    platform = a_platform(tmp_path, runner=runner)
    run = await platform.started(await platform.a_defined_pipeline(TWO_STEPS))
    with pytest.raises(Killed):
        await on_a_fuse(platform, Fuse(3)).execute(run)
    await platform.execute(run)
    assert runner.opened == [f"{run.id}-1", f"{run.id}-1", f"{run.id}-2"]
    await platform.source.aclose()


class RefusingRunner:
    """A machine without room."""

    async def open(self, name: str) -> Workspace:
        raise OSError(28, "No space left on device")

    async def sweep(self, keep: Sequence[str] = ()) -> int:
        return 0


async def test_a_machine_that_cannot_make_a_workspace_errors_the_run(tmp_path: Path) -> None:
    platform = a_platform(tmp_path, runner=RefusingRunner())
    run = await platform.execute(await platform.started(await platform.a_defined_pipeline(TWO_STEPS)))
    assert run.status is RunStatus.ERRORED
    assert "No space left" in run.outcome_reason
    assert [step.status for step in steps_of(run)] == [StepStatus.SKIPPED] * 2
    await platform.source.aclose()


async def test_a_checkout_that_fails_leaves_no_workspace(tmp_path: Path) -> None:
    platform = a_platform(tmp_path)

    class Host:
        """Loses the repository between reading the definition and checking out."""

        def __getattr__(self, name: str) -> object:
            return getattr(platform.source.host, name)

        async def checkout(self, place: Place, sha: str, folder: str) -> None:
            raise OSError(5, "Input/output error")

    executor = replace(platform.runs.executor, host=Host())  # type: ignore[arg-type]
    broken = replace(platform, runs=replace(platform.runs, executor=executor))
    run = await broken.execute(await platform.started(await platform.a_defined_pipeline(TWO_STEPS)))
    assert run.status is RunStatus.ERRORED
    assert "cannot be checked out" in run.outcome_reason
    assert not list(platform.work.iterdir())
    await platform.source.aclose()


WORKER_PROCESS = """
import asyncio, json, sys
from dataclasses import replace
from pathlib import Path

from shared.adapters.embedded.system import RandomIds
from tests.support.pipelines import WORKER, a_platform
from tests.support.source import a_source

async def main():
    folder = Path(sys.argv[1])
    source = a_source(folder)
    source.units = replace(source.units, ids=RandomIds())
    await a_platform(folder, source=source).runs.execute(WORKER, json.loads(sys.argv[2]))

asyncio.run(main())
"""


async def test_the_processes_of_a_killed_worker_end_when_the_next_takes_over(tmp_path: Path) -> None:
    alive, seen = tmp_path / "alive", tmp_path / "seen"
    script = f"if [ -e {seen} ]; then exit 0; fi; while :; do date > {alive}; sleep 0.1; done"
    platform = a_platform(tmp_path)
    run = await platform.started(await platform.a_defined_pipeline(a_definition(a_step("one", script))))
    command = json.dumps(await platform.payload("RunPipeline", run))
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER_PROCESS, str(tmp_path), command, cwd=Path(__file__).parents[2]
    )
    while not alive.exists():
        assert killed.returncode is None
        await asyncio.sleep(0.05)
    killed.kill()
    await killed.wait()
    alive.unlink()
    while not alive.exists():
        await asyncio.sleep(0.05)
    seen.touch()
    done = await platform.execute(run)
    assert (done.status, done.attempt) == (RunStatus.SUCCEEDED, 2)
    alive.unlink()
    await asyncio.sleep(0.3)
    assert not alive.exists()
    assert not list(platform.work.iterdir())
    await platform.source.aclose()
