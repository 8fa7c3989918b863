"""Whoever dies in the middle, the state is as it was, and the next update may begin."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from shared.ports.provisioner import (
    Applied,
    Config,
    EngineLost,
    Stack,
    StackBusy,
    UpdateCancelled,
)
from tests.support.host import ROOT
from tests.support.pulumi_programs.site import Site, config
from tests.support.waiting import runs, until

HANGING = Stack("acme", "hostile", "dev")
SETTINGS = config(act="with_child")
DRIVER = """
import asyncio, sys
from pathlib import Path
from tests.contracts.test_provisioner_recovery import HANGING, SETTINGS
from tests.support.pulumi_programs.site import Site
site = Site(Path(sys.argv[1]))
asyncio.run(site.engine.apply(HANGING, SETTINGS, sys.argv[2], on_event=site.on_event))
"""


@pytest.fixture(scope="session")
def looked_around(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A root with a state, and the digest of a plan whose update then hangs."""
    root = tmp_path_factory.mktemp("looked-around")
    asyncio.run(Site(root).up(config(act="look_around"), HANGING))
    plan = asyncio.run(Site(root).preview(SETTINGS, HANGING))
    return root, plan.digest


@pytest.fixture
def site(looked_around: tuple[Path, str], tmp_path: Path) -> Site:
    shutil.copytree(looked_around[0], tmp_path / "root")
    return Site(tmp_path / "root")


@pytest.fixture
def applied(site: Site) -> bytes:
    return site.state_file(HANGING).read_bytes()


@pytest.fixture
def digest(looked_around: tuple[Path, str]) -> str:
    return looked_around[1]


def hang(site: Site, digest: str) -> asyncio.Task[Applied]:
    return asyncio.create_task(site.engine.apply(HANGING, SETTINGS, digest, on_event=site.on_event))


async def pids(site: Site) -> list[int]:
    """Of the program and of the child it started, once it hangs."""
    log = site.state_file(HANGING).with_name("events.jsonl")
    await until(lambda: "pids " in log.read_text(), 30)
    line = next(event.line for event in await site.engine.log(HANGING) if event.line.startswith("pids "))
    return [int(pid) for pid in line.split()[1:]]


async def settled(site: Site, applied: bytes) -> None:
    """The state is as it was, nothing is left behind, and the stack can be updated."""
    assert site.state_file(HANGING).read_bytes() == applied
    plan = await site.preview(config(act="look_around"), HANGING)
    assert plan.counts["same"] == 1
    mine = [path for path in Path(tempfile.gettempdir()).glob("slipway-iac-*") if _of(path, site)]
    assert mine == []


def _of(work: Path, site: Site) -> bool:
    """Whether the scratch folder belongs to this test; others run beside it."""
    return any(str(work) in lock.read_text() for lock in site.root.rglob("lock"))


async def test_a_killed_program_is_told_apart_from_a_failed_one(
    site: Site, applied: bytes, digest: str
) -> None:
    task = hang(site, digest)
    leader, child = await pids(site)
    os.kill(leader, signal.SIGKILL)
    with pytest.raises(EngineLost, match="signal 9"):
        await task
    assert not runs(child)
    await settled(site, applied)


async def test_a_killed_host_takes_its_program_along_and_frees_the_stack(
    site: Site, applied: bytes, digest: str
) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(site.root), digest], cwd=ROOT)
    try:
        leader, child = await pids(site)
        with pytest.raises(StackBusy, match="under way"):
            await site.act("look_around")
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    await until(lambda: not runs(leader) and not runs(child))
    assert not await site.engine.cancel(HANGING)
    (work,) = (path for path in Path(tempfile.gettempdir()).glob("slipway-iac-*") if _of(path, site))
    await settled(site, applied)
    assert not work.exists()


async def test_a_cancelled_run_ends_at_once(site: Site, applied: bytes, digest: str) -> None:
    assert not await site.engine.cancel(HANGING)
    task = hang(site, digest)
    leader, child = await pids(site)
    assert await Site(site.root).engine.cancel(HANGING)
    with pytest.raises(UpdateCancelled, match="as it was"):
        await asyncio.wait_for(task, 10)
    assert not runs(leader)
    assert not runs(child)
    await settled(site, applied)


async def test_an_abandoned_run_is_ended_too(site: Site, applied: bytes, digest: str) -> None:
    task = hang(site, digest)
    leader, child = await pids(site)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not runs(leader)
    assert not runs(child)
    await settled(site, applied)


async def test_two_updates_of_one_stack_never_overlap(site: Site) -> None:
    stacks = [site.stack("one"), site.stack("one"), site.stack("two")]
    ends = await asyncio.gather(
        *(site.engine.preview(stack, Config(), on_event=site.on_event) for stack in stacks),
        return_exceptions=True,
    )
    assert [type(end).__name__ for end in ends].count("Plan") == 2
    assert [type(end).__name__ for end in ends].count("StackBusy") == 1
    assert type(ends[2]).__name__ == "Plan"
