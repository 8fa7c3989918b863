"""A runner ends what a killed process left running, and never a stranger."""

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shared.adapters import processes
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.ports.runner import Runner
from tests.support.waiting import runs, until


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspaces"


@pytest.fixture(params=[SubprocessRunner])
def runner(request: pytest.FixtureRequest, root: Path) -> Runner:
    made: Runner = request.param(root, output_cap=1000)
    return made


DRIVER = """
import asyncio, sys
from pathlib import Path
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.ports.runner import Step

async def main():
    workspace = await SubprocessRunner(Path(sys.argv[1]), output_cap=1000).open(sys.argv[2])
    async def ignore(stream, line): pass
    async def never(): return False
    await workspace.run(Step("step", sys.argv[3]), on_output=ignore, should_stop=never)

asyncio.run(main())
"""


@pytest.fixture
async def killed(root: Path) -> Callable[[str, str], Awaitable[list[int]]]:
    """Run a script in a driver process, kill -9 the driver in the middle, and give the numbers that the
    script wrote to the file `pids`."""

    async def kill(name: str, script: str) -> list[int]:
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(root), name, script])
        work = root / name / "work"
        try:
            await until((work / "up").exists)
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        return [int(pid) for pid in (work / "pids").read_text().split()]

    return kill


LEFT = "sleep 1000 & echo $! >> pids; echo $$ >> pids; touch up; sleep 1000"


@pytest.mark.parametrize("script", [LEFT, "trap '' TERM HUP; " + LEFT])
async def test_opening_ends_what_a_killed_process_left(
    runner: Runner, killed: Callable[[str, str], Awaitable[list[int]]], script: str
) -> None:
    left = await killed("run-2.1", script)
    assert left
    assert all(map(runs, left))
    workspace = await runner.open("run-2.1")
    await until(lambda: not any(map(runs, left)))
    assert list(workspace.folder.iterdir()) == []
    await workspace.aclose()


async def test_sweeping_ends_and_removes_what_is_not_kept(
    runner: Runner, root: Path, killed: Callable[[str, str], Awaitable[list[int]]]
) -> None:
    left = await killed("run-3.1", LEFT)
    kept = await runner.open("run-4.1")
    assert await runner.sweep(keep=["run-4.1"]) == 1
    await until(lambda: not any(map(runs, left)))
    assert [path.name for path in root.iterdir()] == ["run-4.1"]
    await kept.aclose()
    assert await runner.sweep() == 0


async def test_a_recycled_number_is_never_killed(runner: Runner, root: Path) -> None:
    """A stranger that got the number of a leader: same pid, another start time."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        try:
            (root / "run-5.1").mkdir(parents=True)
            (root / "run-5.1" / "pid").write_text(f'{{"leader": {stranger.pid}, "started": "earlier"}}')
            await runner.sweep()
            assert not (root / "run-5.1").exists()
            assert runs(stranger.pid)
        finally:
            stranger.kill()


async def test_what_left_the_group_of_a_killed_step_is_found_too(runner: Runner, root: Path) -> None:
    """The leader is dead and reaped, its children live on in and outside of its group."""
    script = f"mkdir -p {root}/run-6.1; " + "sleep 1000 & echo $!; setsid sleep 1000 & echo $!"
    environment = {"HOME": f"{root}/run-6.1/home", "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        ["sh", "-c", script], env=environment, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as shell:
        assert shell.stdout is not None
        left = [int(shell.stdout.readline()), int(shell.stdout.readline())]
        shell.wait()
        assert all(map(runs, left))
        await runner.sweep()
        assert not any(map(runs, left))


def test_the_portable_process_table_agrees_with_proc() -> None:
    own = next(row for row in processes.rows_of_ps() if row.pid == os.getpid())
    assert (own.group, own.ended) == (os.getpgid(0), False)
    assert own.started
