"""Every command of the operations guide is one that exists: it is read when there is no time to search."""

import re
import shlex

import pytest

from deploy.__main__ import parser
from local.cli import main
from shared.adapters.azure.secret_places import SecretPlace
from shared.adapters.azure.signer import NAME, PLATFORM
from shared.names import QUEUES
from tests.support.host import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
INLINE = re.findall(r"`([^`\n]+)`", PAGE)
COMMANDS = [line.strip() for line in [*SHELL.splitlines(), *INLINE]]


def called(pattern: str) -> list[str]:
    """What follows the pattern, in each command that has it."""
    found = [re.search(pattern + r"\s+(.+)", command) for command in COMMANDS]
    return sorted({match[1] for match in found if match})


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {each.split()[0] for each in called(r"\bmake")} <= targets


@pytest.mark.parametrize("line", called(r"python -m deploy"))
def test_every_delivery_command_takes_these_arguments(line: str) -> None:
    parser().parse_args(shlex.split(line))


@pytest.mark.parametrize("line", called(r"(?:^|bin/)slipway(?= [a-z-]+)"))
def test_every_slipway_command_exists(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, *rest = shlex.split(line)
    with pytest.raises(SystemExit) as asked:
        main([command, "--help"])
    assert asked.value.code == 0
    told = capsys.readouterr().out
    assert command in told
    switches = {word for word in rest if word.startswith("-")}
    assert set(rest) - switches <= set(QUEUES)
    assert {switch for switch in switches if switch not in told} == set()


def test_every_module_that_is_run_is_there() -> None:
    for line in called(r"python -m"):
        module = line.split()[0]
        place = ROOT / module.replace(".", "/")
        assert module == "pytest" or (place / "__main__.py").exists() or place.with_suffix(".py").exists(), (
            line
        )


def test_every_file_that_is_named_is_there() -> None:
    named = {each for each in INLINE if re.fullmatch(r"[\w./-]+\.(py|yml|yaml|tsv)", each)}
    assert len(named) > 5
    assert {each for each in named if not (ROOT / each).exists()} == set()


def test_the_signing_key_has_the_name_that_the_app_asks_for() -> None:
    assert SecretPlace.of(PLATFORM, NAME).key in SHELL


def test_every_workflow_variable_is_explained() -> None:
    workflows = "\n".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    used = set(re.findall(r"\bvars\.([A-Z_]+)", workflows))
    assert {name for name in used if f"`{name}`" not in PAGE} == set()
