"""The main job by the Azure adapters: real SDKs on the wire, against stand-ins and Microsoft's Azurite."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standins.azurite import CannotRun, installed
from tests.support.host import ROOT
from tests.support.journey import processes_of

STEP = re.compile(r"^ +\d+  .*; (\d+) reads, (\d+) writes, (\d+) RU\)$", re.MULTILINE)
MOST_UNITS = 8000
"""Of the whole walk; 5,500 when this was written. A step that begins to scan shows here first."""


@pytest.mark.journey
def test_the_demo_plays_to_its_end_on_azure_and_says_what_each_step_costs(tmp_path: Path) -> None:
    try:
        installed()
    except CannotRun as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.standins", sys.executable, "-m", "local.cli"]
    played = subprocess.run(
        [*command, "demo", "--data-dir", str(tmp_path / "data"), "--meter", "{meter}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    log = tmp_path / "data" / "demo" / "server.log"
    assert (played.returncode, played.stderr) == (0, ""), played.stdout + log.read_text()[-3000:]
    assert "staging is Deployed" in played.stdout
    assert "verify link by link" in played.stdout
    costs = [tuple(map(int, found)) for found in STEP.findall(played.stdout)]
    assert len(costs) == 22, played.stdout
    reads, writes, units = (sum(column) for column in zip(*costs, strict=True))
    assert reads > writes > 0
    assert 0 < units < MOST_UNITS
    assert '"level": "ERROR"' not in log.read_text()
    assert processes_of(tmp_path) == []
