"""`slipway demo` as a person runs it: it ends by itself, works again on the same folder, and cleans up."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.host import ROOT
from tests.support.journey import processes_of


@pytest.mark.journey
def test_the_demo_plays_to_its_end_as_often_as_it_is_asked_to(tmp_path: Path) -> None:
    for _ in range(2):
        command = [sys.executable, "-m", "local.cli", "demo", "--data-dir", str(tmp_path / "data")]
        played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (played.returncode, played.stderr) == (0, ""), played.stdout
        assert "staging is Deployed" in played.stdout
        assert "verify link by link" in played.stdout
        assert processes_of(tmp_path) == []
