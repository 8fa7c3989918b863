"""The provisioner on the Automation API, with a stand-in for the CLI on the path."""

import os
import stat
from pathlib import Path

import pytest

from shared.adapters.provisioners.automation import AutomationProvisioner
from shared.ports.provisioner import (
    Config,
    EngineUnavailable,
    PlanChanged,
    Program,
    ProgramFailed,
    Progress,
    Stack,
    StackBusy,
    UnknownStack,
)
from tests.support.app import SteppingClock
from tests.support.host import ROOT

STACK = Stack("acme", "shop", "dev")
TWO = Config({"one": "1", "two": "1"}, {"password": "correct horse"})


async def quiet(_event: Progress) -> None:
    """Nobody listens."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AutomationProvisioner:
    tools, states, program = (tmp_path / name for name in ("bin", "states", "shop"))
    for folder in (tools, states, program):
        folder.mkdir()
    command = tools / "pulumi"
    source = (ROOT / "tests" / "support" / "pulumi_cli.py").read_text()
    command.write_text(source.replace("#!/usr/bin/env python3", f"#!{ROOT / '.venv' / 'bin' / 'python'}", 1))
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (program / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (program / "Pulumi.dev.yaml").write_text("config: {}\n")
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return AutomationProvisioner(
        root=tmp_path / "work",
        programs={"shop": Program("shop", program)},
        clock=SteppingClock(),
        state_url=f"file://{states}",
    )


async def test_a_stack_is_previewed_applied_once_and_destroyed(engine: AutomationProvisioner) -> None:
    heard: list[str] = []

    async def listen(event: Progress) -> None:
        heard.append(event.line)

    plan = await engine.preview(STACK, TWO, on_event=listen)
    assert (plan.engine_mode, plan.counts["create"]) == ("automation", 2)
    assert heard == ["create demo:index:Thing one", "create demo:index:Thing two"]
    with pytest.raises(UnknownStack):
        await engine.state(STACK)
    done = await engine.apply(STACK, TWO, plan.digest, on_event=quiet)
    again = await engine.apply(STACK, TWO, plan.digest, on_event=quiet)
    assert (done.repeated, again.repeated, done.counts["create"]) == (False, True, 2)
    state = await engine.state(STACK)
    assert (state.digest, [each.name for each in state.resources]) == (plan.digest, ["one", "two"])
    gone = await engine.preview(STACK, Config(), on_event=quiet, destroy=True)
    assert gone.counts["delete"] == 2
    await engine.destroy(STACK, Config(), gone.digest, on_event=quiet)
    with pytest.raises(UnknownStack):
        await engine.state(STACK)
    assert list((engine.root).iterdir()) == []


async def test_another_plan_than_the_approved_one_is_refused(engine: AutomationProvisioner) -> None:
    plan = await engine.preview(STACK, TWO, on_event=quiet)
    with pytest.raises(PlanChanged):
        await engine.apply(STACK, Config({"one": "2"}), plan.digest, on_event=quiet)


async def test_a_program_that_fails_says_why_and_a_busy_stack_is_told_apart(
    engine: AutomationProvisioner,
) -> None:
    with pytest.raises(ProgramFailed) as failed:
        await engine.preview(STACK, Config({"fail": "There is no such region."}), on_event=quiet)
    assert [each.message for each in failed.value.diagnostics] == ["There is no such region."]
    with pytest.raises(StackBusy):
        await engine.preview(STACK, Config({"busy": "1"}), on_event=quiet)


def test_without_the_cli_it_says_so_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="needs the Pulumi CLI on the path"):
        AutomationProvisioner(root=tmp_path, programs={}, clock=SteppingClock())
