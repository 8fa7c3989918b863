"""What every runner must do. An adapter joins with one more parameter of the fixture `runner`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.runners.subprocess import LINE, SubprocessRunner
from shared.ports.runner import Runner, Step, StepOutcome, Workspace
from tests.support.waiting import runs, until

CAP = 200_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspaces"


@pytest.fixture(params=[SubprocessRunner])
def runner(request: pytest.FixtureRequest, root: Path) -> Runner:
    made: Runner = request.param(root, output_cap=CAP)
    return made


@pytest.fixture
async def workspace(runner: Runner) -> AsyncIterator[Workspace]:
    opened = await runner.open("run-1.1")
    yield opened
    await opened.aclose()


class Recorder:
    """Keeps the lines; says stop once `stop` is set."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.stop = False
        self.asked = 0

    async def on_output(self, stream: str, line: str) -> None:
        self.lines.append((stream, line))

    async def should_stop(self) -> bool:
        self.asked += 1
        return self.stop

    def of(self, stream: str) -> list[str]:
        return [line for name, line in self.lines if name == stream]

    async def run(self, workspace: Workspace, script: str, **step: object) -> StepOutcome:
        made = Step("step", script, **step)  # type: ignore[arg-type]
        return await workspace.run(made, on_output=self.on_output, should_stop=self.should_stop)


@pytest.fixture
def seen() -> Recorder:
    return Recorder()


def number_in(path: Path) -> int | None:
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text else None


async def test_a_step_succeeds_with_whole_lines_of_both_streams(workspace: Workspace, seen: Recorder) -> None:
    outcome = await seen.run(workspace, "echo one; printf 'two\\r\\nthree'; echo err >&2")
    assert (outcome.status, outcome.exit_code, outcome.truncated) == ("succeeded", 0, False)
    assert 0 < outcome.duration < 5
    assert seen.of("stdout") == ["one", "two", "three"]
    assert seen.of("stderr") == ["err"]


async def test_output_arrives_while_the_step_runs_and_in_order(workspace: Workspace, seen: Recorder) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.05; echo $i >&2; sleep 0.05; done; touch done; sleep 0.3"
    running = asyncio.create_task(seen.run(workspace, script))
    await until((workspace.folder / "done").exists)
    assert not running.done()
    assert [line for _, line in seen.lines] == ["1", "1", "2", "2", "3", "3"]
    assert (await running).status == "succeeded"


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 3", 3), ("false; echo no", 1), ("nosuchthing", 127), ("kill -9 $$", 137), ("$unset", 2)],
)
async def test_what_the_command_does_is_an_outcome(
    workspace: Workspace, seen: Recorder, script: str, code: int
) -> None:
    outcome = await seen.run(workspace, script)
    assert (outcome.status, outcome.exit_code) == ("failed", code)
    assert outcome.message == f"The step ended with exit code {code}."
    assert seen.of("stdout") == []


async def test_the_environment_is_scrubbed_to_what_is_promised(workspace: Workspace, seen: Recorder) -> None:
    await seen.run(workspace, "exec env", environment={"GREETING": "hi there", "CI": "yes"})
    environment = dict(line.split("=", 1) for line in seen.of("stdout"))
    environment.pop("PWD", None)  # the shell's own
    scratch = workspace.folder.parent
    assert environment == {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(scratch / "home"),
        "LANG": "C.UTF-8",
        "TMPDIR": str(scratch / "tmp"),
        "CI": "yes",
        "GREETING": "hi there",
    }


async def test_a_step_has_its_folder_an_empty_input_and_no_file_of_ours(
    workspace: Workspace, seen: Recorder, tmp_path: Path
) -> None:
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        await seen.run(workspace, "pwd; cat; readlink /proc/$$/fd/* || true; python -c 'import sys'")
    assert seen.of("stdout")[0] == str(workspace.folder)
    assert not any("ours" in line for line in seen.of("stdout"))


async def test_steps_share_the_folder_of_the_workspace(workspace: Workspace, seen: Recorder) -> None:
    await seen.run(workspace, "echo kept > file; echo x > $HOME/a; echo y > $TMPDIR/b")
    await seen.run(workspace, "cat file $HOME/a $TMPDIR/b")
    assert seen.of("stdout") == ["kept", "x", "y"]


async def test_a_long_line_comes_in_pieces_that_cut_no_character(
    workspace: Workspace, seen: Recorder
) -> None:
    script = f"python -c \"print('ä' * {LINE} + 'z')\"; python -c \"print('x' * {LINE}, end='\\r\\n')\""
    outcome = await seen.run(workspace, script)
    assert outcome.status == "succeeded"
    *pieces, exact = seen.of("stdout")
    assert "".join(pieces) == "ä" * LINE + "z"
    assert all(len(piece.encode()) <= LINE for piece in pieces)
    assert exact == "x" * LINE


async def test_binary_output_is_replaced_not_refused(workspace: Workspace, seen: Recorder) -> None:
    outcome = await seen.run(workspace, "printf 'a\\377\\376b\\n'; head -c 100000 /dev/urandom")
    assert outcome.status == "succeeded"
    assert seen.of("stdout")[0] == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


async def test_output_past_the_cap_is_dropped_and_the_step_goes_on(
    workspace: Workspace, seen: Recorder
) -> None:
    outcome = await seen.run(workspace, "yes 123456789 | head -c 3000000; echo end >&2; touch reached")
    assert (outcome.status, outcome.truncated) == ("succeeded", True)
    assert sum(len(line) + 1 for _, line in seen.lines) == CAP
    assert (workspace.folder / "reached").exists()


async def test_output_of_exactly_the_cap_is_whole(workspace: Workspace, seen: Recorder) -> None:
    outcome = await seen.run(workspace, f"yes 123456789 | head -c {CAP}")
    assert (outcome.truncated, len(seen.lines)) == (False, CAP // 10)


async def test_a_flood_leaves_the_event_loop_to_others(workspace: Workspace, seen: Recorder) -> None:
    flood = asyncio.create_task(seen.run(workspace, "yes", timeout=1.0))
    turns = 0
    while not flood.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert (await flood).status == "timed_out"
    assert turns > 10


async def test_time_runs_out_and_nothing_is_left(workspace: Workspace, seen: Recorder) -> None:
    outcome = await seen.run(workspace, "sleep 1000 & echo $! > child; sleep 1000", timeout=0.3)
    assert (outcome.status, outcome.message) == ("timed_out", "The step took over 0.3 seconds.")
    assert outcome.duration < 3
    child = number_in(workspace.folder / "child")
    assert child
    assert not runs(child)


async def test_sigterm_comes_before_sigkill(workspace: Workspace, seen: Recorder) -> None:
    script = "trap 'echo bye; exit 0' TERM; touch up; while :; do sleep 0.05; done"
    polite = asyncio.create_task(seen.run(workspace, script))
    await until((workspace.folder / "up").exists)
    seen.stop = True
    outcome = await polite
    assert (outcome.status, outcome.exit_code) == ("cancelled", 0)
    assert seen.of("stdout") == ["bye"]


async def test_who_ignores_sigterm_is_killed_after_three_seconds(
    workspace: Workspace, seen: Recorder
) -> None:
    outcome = await seen.run(workspace, "trap '' TERM; while :; do sleep 1; done", timeout=0.2)
    assert (outcome.status, outcome.exit_code) == ("timed_out", 137)
    assert 3 <= outcome.duration < 6


async def test_should_stop_is_asked_about_twice_a_second(workspace: Workspace, seen: Recorder) -> None:
    await seen.run(workspace, "sleep 1.2")
    assert 2 <= seen.asked <= 4


async def test_a_stop_that_hangs_does_not_hold_the_timeout_up(workspace: Workspace, seen: Recorder) -> None:
    async def hangs() -> bool:
        await asyncio.sleep(1000)
        return False

    step = Step("step", "sleep 1000", timeout=0.2)
    outcome = await workspace.run(step, on_output=seen.on_output, should_stop=hangs)
    assert outcome.status == "timed_out"


@pytest.mark.parametrize(
    "background",
    [
        "sleep 1000 & echo $! > child",
        "(trap '' TERM HUP; sleep 1000 & echo $! > child; wait) &",
        "setsid sh -c 'echo $$ > child; exec sleep 1000' &",
        "for i in 1 2 3 4 5 6 7 8; do (for j in 1 2 3; do sleep 1000 & done; wait) & done; echo $! > child",
    ],
)
async def test_background_children_neither_hold_the_step_up_nor_outlive_it(
    workspace: Workspace, seen: Recorder, background: str
) -> None:
    outcome = await seen.run(workspace, f"{background}\nuntil [ -s child ]; do sleep 0.01; done; echo done")
    assert (outcome.status, seen.of("stdout")) == ("succeeded", ["done"])
    assert outcome.duration < 5
    child = number_in(workspace.folder / "child")
    assert child
    assert not runs(child)


async def test_a_step_that_closes_its_output_is_waited_for(workspace: Workspace, seen: Recorder) -> None:
    outcome = await seen.run(workspace, "exec >&- 2>&-; sleep 0.3; touch reached")
    assert outcome.status == "succeeded"
    assert (workspace.folder / "reached").exists()


async def test_a_listener_that_raises_ends_the_step(workspace: Workspace, seen: Recorder) -> None:
    async def refuses(_stream: str, _line: str) -> None:
        raise LookupError("the log is gone")

    step = Step("step", "echo $$ > pid; echo hi; sleep 1000")
    with pytest.raises(LookupError, match="the log is gone"):
        await workspace.run(step, on_output=refuses, should_stop=seen.should_stop)
    pid = number_in(workspace.folder / "pid")
    assert pid
    assert not runs(pid)


async def test_a_slow_listener_loses_nothing(workspace: Workspace) -> None:
    lines: list[str] = []

    async def slow(_stream: str, line: str) -> None:
        await asyncio.sleep(0.03)
        lines.append(line)

    async def never() -> bool:
        return False

    outcome = await workspace.run(Step("step", "seq 100; sleep 1000 &"), on_output=slow, should_stop=never)
    assert outcome.status == "succeeded"
    assert lines == [str(number) for number in range(1, 101)]


async def test_a_cancelled_task_ends_its_step(workspace: Workspace, seen: Recorder) -> None:
    running = asyncio.create_task(seen.run(workspace, "sleep 1000 & echo $! > child; sleep 1000"))
    await until(lambda: number_in(workspace.folder / "child") is not None)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    child = number_in(workspace.folder / "child")
    assert child
    await until(lambda: not runs(child))


@pytest.mark.parametrize(
    "step",
    [
        Step("s", "echo \0"),
        Step("s", "true", environment={"A": "\0"}),
        Step("s", "true", environment={"A=B": "c"}),
    ],
)
async def test_what_no_process_can_be_given_is_errored(
    workspace: Workspace, seen: Recorder, step: Step
) -> None:
    outcome = await workspace.run(step, on_output=seen.on_output, should_stop=seen.should_stop)
    assert (outcome.status, outcome.exit_code) == ("errored", None)
    assert "could not be started" in outcome.message


async def test_a_folder_that_a_step_removed_is_errored_not_raised(
    workspace: Workspace, seen: Recorder
) -> None:
    await seen.run(workspace, 'rm -rf "$PWD" ../pid')
    assert (await seen.run(workspace, "true")).status == "errored"


async def test_a_damaged_pid_file_stops_nobody(workspace: Workspace, seen: Recorder) -> None:
    assert (await seen.run(workspace, "echo '[garbage' > ../pid")).status == "succeeded"


async def test_closing_removes_read_only_folders_and_what_still_runs(runner: Runner, seen: Recorder) -> None:
    workspace = await runner.open("closing")
    await seen.run(workspace, "mkdir -p a/b; touch a/b/c; ln -s /nowhere a/link; chmod 500 a/b a")
    running = asyncio.create_task(seen.run(workspace, "touch up; sleep 1000"))
    await until((workspace.folder / "up").exists)
    await workspace.aclose()
    assert (await running).status == "failed"
    assert not workspace.folder.exists()
    await workspace.aclose()


async def test_a_workspace_opens_empty(runner: Runner, seen: Recorder) -> None:
    await seen.run(await runner.open("again"), "touch old")
    workspace = await runner.open("again")
    assert list(workspace.folder.iterdir()) == []
    await workspace.aclose()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", ".hidden", "a\0", "x" * 200])
async def test_a_name_that_is_no_file_name_is_refused(runner: Runner, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        await runner.open(name)


async def test_many_steps_leak_no_descriptor(workspace: Workspace, seen: Recorder) -> None:
    await seen.run(workspace, "true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(30):
        await seen.run(workspace, "true")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
