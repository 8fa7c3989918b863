"""A program gets no network, nothing of our environment, bounded time and memory; what it says is kept."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.provisioners.embedded import Limits
from shared.adapters.provisioners.embedded.monitor import Monitor
from shared.adapters.provisioners.embedded.simulation import Simulation
from shared.adapters.provisioners.embedded.state import Snapshot
from shared.ports.provisioner import Config, ProgramFailed, Progress
from tests.support.pulumi_programs.site import Site
from tests.support.waiting import runs


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _can_leave_network() -> bool:
    script = "import os; os.unshare(os.CLONE_NEWNET | (os.CLONE_NEWUSER if os.geteuid() else 0))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


async def test_a_program_reaches_no_one_or_the_plan_says_that_it_could(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plan = await site.act("connect", target=str(listening.getsockname()[1]))
    warned = any("could not be taken away" in diagnostic.message for diagnostic in plan.diagnostics)
    reached = plan.outputs["seen"] == "error 0"
    assert (reached, warned) == ((False, False) if _can_leave_network() else (True, True))


async def test_a_network_that_could_not_be_taken_away_is_told() -> None:
    said: list[Progress] = []

    async def listen(event: Progress) -> None:
        said.append(event)

    simulation = Simulation("dev", "p", Path(), Snapshot(), preview=True, references=lambda name: None)
    monitor = Monitor(simulation, {}, {}, listen, str)
    await monitor.hand_order(b'{"network": "operation not permitted"}', None)
    assert [diagnostic.severity for diagnostic in monitor.diagnostics] == ["warning"]
    assert "could not be taken away (operation not permitted)" in said[0].line


async def test_a_program_sees_nothing_of_our_environment(site: Site) -> None:
    os.environ["SLIPWAY_TEST_SECRET"] = "correct horse"
    try:
        plan = await site.act("look_around")
    finally:
        del os.environ["SLIPWAY_TEST_SECRET"]
    names = set(json.loads(str(plan.outputs["seen"])))
    expected = {"GRPC_ENABLE_FORK_SUPPORT", "HOME", "LANG", "PATH", "PYTHONUNBUFFERED", "TMPDIR"}
    assert names - {"LC_CTYPE"} == expected


async def test_a_failing_program_leaves_its_traceback(site: Site) -> None:
    with pytest.raises(ProgramFailed, match="ValueError: the shelf is empty") as failed:
        await site.act("raise_error")
    (diagnostic,) = failed.value.diagnostics
    assert diagnostic.severity == "error"
    assert 'raise ValueError("the shelf is empty")' in diagnostic.message


async def test_memory_time_and_processor_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="MemoryError"):
        await Site(tmp_path).act("allocate")
    with pytest.raises(ProgramFailed, match="processor time"):
        await Site(tmp_path, limits=Limits(time=30, cpu=1)).act("burn")
    pid = tmp_path / "pid"
    with pytest.raises(ProgramFailed, match=r"over 1\.5 seconds"):
        await Site(tmp_path, limits=Limits(time=1.5)).act("hang", target=str(pid))
    assert not pid.exists() or not runs(int(pid.read_text()))


async def test_a_program_that_leaves_early_has_not_succeeded(site: Site) -> None:
    with pytest.raises(ProgramFailed, match="before it had registered its outputs"):
        await site.act("leave")
    with pytest.raises(ProgramFailed, match="exit code 1") as failed:
        await site.act("give_up")
    assert failed.value.diagnostics[-1].message == "there is no more paper"


async def test_what_a_program_says_is_told_without_its_secrets_and_not_without_end(site: Site) -> None:
    settings = Config({"act": "chatter"}, {"password": "correct horse"})
    plan = await site.preview(settings, site.stack(program="hostile"))
    lines = [event.line for event in site.events]
    assert "said [secret]" in lines
    assert "warning: warned [secret]" in lines
    assert plan.diagnostics[-1].message == "warned [secret]"
    assert "correct horse" not in json.dumps([event.line for event in await site.engine.log(plan.stack)])
    assert 5_000 < sum(event.kind == "output" for event in site.events) < 15_000


async def test_what_the_engine_cannot_do_fails_clearly(site: Site) -> None:
    with pytest.raises(ProgramFailed) as failed:
        await site.act("impossible")
    said = "\n".join(diagnostic.message for diagnostic in failed.value.diagnostics)
    assert "does not support transforms" in said
    assert "made (pulumi-python:dynamic:Resource) is a dynamic resource" in said
    assert "is to be imported (id-of-it)" in said
    assert "Duplicate resource URN" in said
    assert "demo:index:lookUp asks the cloud" in said


async def test_hooks_are_named_and_not_run(site: Site) -> None:
    plan = await site.act("hooked")
    assert plan.counts["create"] == 2
    assert "The hook 'say' is known and never run" in plan.diagnostics[-1].message


def test_without_pulumi_the_engine_says_what_to_install(tmp_path: Path) -> None:
    script = f"""
import sys
sys.modules["pulumi"] = None
from shared.adapters.provisioners.embedded.__main__ import main
sys.exit(main(["preview", "--program", {str(tmp_path)!r}, "--stack", "dev"]))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "install infra/requirements.txt" in ended.stderr
