"""The README's walk, exactly as it is written, pasted into bash against a server of its own."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.host import ROOT
from tests.support.process import ServerProcess

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pasted(text: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a text as if it were pasted into bash: by standard input, so that a command which reads it would
    eat what follows, here as there. The first command that fails ends it."""
    return subprocess.run(
        ["bash", "-s"],
        input=f"set -eu -o pipefail\n{text}",
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.journey
def test_every_line_of_the_readme_works_when_it_is_pasted(tmp_path: Path) -> None:
    blocks = _BLOCK.findall((ROOT / "README.md").read_text())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with ServerProcess(tmp_path / "data") as server:
        walked = pasted(
            "".join(blocks),
            {
                "SLIPWAY_URL": server.url,
                "SLIPWAY_PORT": str(server.port),
                "SLIPWAY_DATA_DIR": str(server.data_dir),
                "TMPDIR": str(scratch),
            },
        )
        assert server.terminate() == 0, server.log
    said = f"{walked.stdout}\n{walked.stderr}"
    assert walked.returncode == 0, said
    assert walked.stderr == "", said
    lines = walked.stdout.splitlines()
    assert lines.count("Passed") == 1, "the pull request's checks"
    assert lines.count("Succeeded") == 1, "the pipeline run"
    assert any("ask someone else" in line for line in lines), "the refusal of the planner's vote"
    assert lines.count("Approved") == 1, "Ann's vote"
    assert lines.count("Deployed") == 3, "dev, test and staging"
    assert any('"greeting": "Hello, world"' in line for line in lines), "the deployed service"
    assert lines.count("the chain holds") == 2, "the audit trails of the component and of staging"
