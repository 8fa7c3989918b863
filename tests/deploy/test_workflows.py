"""The pipelines: pinned, least privileged, without a secret, and calling nothing that is not there."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.__main__ import parser
from tests.support.host import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def named(path: Path) -> str:
    return path.stem


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            yield f"{path.stem}.{name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        yield from ((name, step) for step in job.get("steps", ()))


def test_zizmor_finds_nothing_that_matters() -> None:
    """Injected scripts, kept credentials, wide permissions: what gets a pipeline stolen."""
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [str(zizmor), "--offline", "--min-severity", "medium", "--format", "json-v1", str(FOLDER)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout) == [], done.stdout


def test_every_action_is_pinned_by_its_commit_and_says_its_version() -> None:
    """A tag can be moved to other code overnight."""
    lines = [
        (path.name, line.strip().removeprefix("- "))
        for path in WORKFLOWS
        for line in path.read_text().splitlines()
        if "uses:" in line and "uses: ./" not in line
    ]
    assert [each for each in lines if not PINNED.fullmatch(each[1])] == []
    pins = {tuple(line.removeprefix("uses: ").split("@")) for _, line in lines}
    assert len(pins) == len({action for action, _ in pins}), "one action in two versions"


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_a_workflow_grants_nothing_that_a_job_did_not_ask_for(path: Path) -> None:
    assert read(path)["permissions"] == {}


def test_every_job_says_what_it_may_and_how_long() -> None:
    silent = [
        name
        for name, job in jobs()
        if "permissions" not in job or ("uses" not in job and "timeout-minutes" not in job)
    ]
    assert silent == []


def test_no_checkout_leaves_its_token_behind() -> None:
    kept = [
        name
        for name, step in steps()
        if str(step.get("uses", "")).startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") is not False
    ]
    assert kept == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_no_workflow_needs_a_secret(path: Path) -> None:
    """Who it is, is proved by the run itself; there is nothing to leak and nothing to rotate."""
    assert "secrets." not in path.read_text()
    assert "secrets: inherit" not in path.read_text()


def test_what_changes_a_stack_runs_alone_and_is_never_stopped_halfway() -> None:
    changing = [job for name, job in jobs() if name == "deploy-stack.deploy"]
    assert [job["concurrency"] for job in changing] == [
        {"group": "stack-${{ inputs.stack }}", "cancel-in-progress": False}
    ]


def test_a_pull_request_never_gets_an_identity_that_may_change_anything() -> None:
    """Its code is a stranger's: the environments it runs in are those of the reading identities."""
    triggers = {path.stem: read(path)[True] for path in WORKFLOWS}  # type: ignore[index]
    for name, job in jobs():
        workflow = name.partition(".")[0]
        if "pull_request" in triggers[workflow] and job["permissions"].get("id-token") == "write":
            assert str(job["environment"]).endswith("-preview")
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    assert not any("pull_request_target" in str(trigger) for trigger in triggers.values())


def test_every_command_that_is_called_exists() -> None:
    script = "\n".join(str(step.get("run", "")) for _, step in steps())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", script)) - targets == set()
    for line in re.findall(r"python -m deploy ([a-z-]+)", script):
        with pytest.raises(SystemExit) as asked:
            parser().parse_args([line, "--help"])
        assert asked.value.code == 0


def test_pulumi_is_the_version_that_the_program_is_written_for() -> None:
    pinned = re.findall(r"^pulumi==(.+)$", (ROOT / "infra" / "requirements.txt").read_text(), re.MULTILINE)
    told = [step["with"]["pulumi-version"] for _, step in steps() if "pulumi/" in str(step.get("uses"))]
    assert set(told) == set(pinned)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", [str(path) for path in WORKFLOWS]),
        ("vendor.compose-spec", [str(ROOT / "compose.yaml")]),
    ],
)
def test_each_is_what_its_schema_says(schema: str, files: list[str]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
