"""The program and its pack as an engine runs them, unmodified, in a process of their own."""

import json
import subprocess
import sys

import pytest

from infra.recording import Recording
from tests.support.host import ROOT

THE_STACK_ITSELF = 1


def preview(stack: str, *more: str) -> subprocess.CompletedProcess[str]:
    engine = [sys.executable, "-m", "shared.adapters.provisioners.embedded", "preview", "--json"]
    place = ["--program", "infra", "--stack", stack, "--policy-pack", "infra/policy"]
    return subprocess.run([*engine, *place, *more], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_preview_makes_what_was_recorded_and_breaks_no_policy(
    stack: str, recordings: dict[str, Recording]
) -> None:
    done = preview(stack)
    assert done.returncode == 0, done.stderr + done.stdout
    plan = json.loads(done.stdout)
    assert plan["counts"]["create"] == len(recordings[stack].resources) + THE_STACK_ITSELF
    assert plan["violations"] == []


def test_a_wrong_configuration_ends_a_preview_with_its_reason() -> None:
    done = preview("dev", "--config", "slipway:private=true")
    assert done.returncode == 1
    assert "slipway:private needs slipway:serviceBus Premium" in done.stderr


def test_a_policy_stops_a_preview() -> None:
    """The engine asks the pack before anything is made; a pack that is not asked protects nothing."""
    done = preview("dev", "--config", "slipway:environment=prod")
    assert done.returncode == 1
    assert "production-is-protected" in done.stdout + done.stderr
