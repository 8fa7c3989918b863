"""`slipway demo` as a person runs it: it ends by itself, works again on the same folder, and cleans up."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.host import ROOT
from tests.support.journey import processes_of


@pytest.mark.journey
def test_the_demo_and_the_walk_of_a_surface_play_to_their_end_on_the_same_folder(tmp_path: Path) -> None:
    expected = {
        (): ("staging is Deployed", "verify link by link"),
        ("--surface", "devops"): ("staging: Deployed", "16 of 16 routes answer as the contract says"),
    }
    for chosen, told in expected.items():
        command = [sys.executable, "-m", "local.cli", "demo", "--data-dir", str(tmp_path / "data"), *chosen]
        played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
        assert (played.returncode, played.stderr) == (0, ""), played.stdout
        assert all(text in played.stdout for text in told), played.stdout
        assert processes_of(tmp_path) == []
