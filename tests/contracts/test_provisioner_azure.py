"""Programs of the Azure SDK, and policy packs over what they want."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.provisioners.embedded.policies import PolicyPackFailed
from shared.ports.provisioner import PlanBlocked, Stack
from tests.support.pulumi_programs.site import PROGRAMS, Site, actions, change, config, paths

AZURE = Stack("acme", "azure", "dev")


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root where the program has been applied as it is."""
    root = tmp_path_factory.mktemp("azure")
    asyncio.run(Site(root).up(config(), AZURE))
    return root


@pytest.fixture
def root(grown: Path, tmp_path: Path) -> Path:
    shutil.copytree(grown, tmp_path / "root")
    return tmp_path / "root"


async def test_outputs_have_the_shapes_of_the_sdk(root: Path) -> None:
    state = await Site(root).engine.state(AZURE)
    assert state.outputs["blob"] == "https://stdemo.blob.simulated.invalid/"
    assert str(state.outputs["queue"]).startswith("/subscriptions/00000000-0000-4000-8000-000000000001/")
    account = json.loads(Site(root).state_file(AZURE).read_text())["deployment"]["resources"]
    outputs = next(found["outputs"] for found in account if found["urn"].endswith("::account"))
    (identity,) = outputs["identity"]["userAssignedIdentities"]
    assert identity.endswith("/id-demo")
    assert outputs["name"] == "stdemo"
    assert outputs["privateEndpointConnections"] == []


async def test_names_and_what_the_program_lists_replace_and_the_rest_updates(root: Path) -> None:
    site = Site(root)
    assert actions(await site.preview(config(), AZURE)) == {}
    plan = await site.preview(config(sku="Standard_ZRS"), AZURE)
    assert actions(plan) == {"account": "update"}
    assert paths(plan, "account") == {"sku.name": ("Standard_LRS", "Standard_ZRS")}
    plan = await site.preview(config(session="true"), AZURE)
    assert actions(plan) == {"queue": "replace", "right": "replace"}
    assert (change(plan, "queue").reasons, change(plan, "queue").deleted_first) == (
        ("requiresSession",),
        True,
    )
    assert paths(plan, "right")["scope"][1] == "[unknown]"
    plan = await site.preview(config(group="rg-other"), AZURE)
    assert set(actions(plan).values()) == {"replace"}
    assert len(actions(plan)) == 6


def test_a_wrong_keyword_is_a_traceback_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "azure"
    shutil.copytree(PROGRAMS / "azure", folder)
    text = (folder / "__main__.py").read_text()
    (folder / "__main__.py").write_text(text.replace("namespace_name=", "name_space="))
    ended = _command("preview", "--program", str(folder), "--stack", "dev")
    assert ended.returncode == 1
    assert "name_space" in ended.stderr
    assert "__main__.py" in ended.stderr


async def test_policies_speak_by_their_level_and_the_mandatory_ones_block(root: Path) -> None:
    site = Site(root, packs=["pack"])
    plan = await site.preview(config(), AZURE)
    (violation,) = plan.violations
    assert (violation.pack, violation.policy, violation.level) == ("house", "redundant", "advisory")
    assert violation.urn == change(plan, "account").urn
    assert "One building may burn down." in violation.message
    assert plan.obstacles == ()
    public = config(public="true", sku="Standard_ZRS")
    plan = await site.preview(public, AZURE)
    assert [(violation.policy, violation.level) for violation in plan.violations] == [
        ("no-public-blobs", "mandatory")
    ]
    assert any(event.kind == "violation" for event in site.events)
    with pytest.raises(PlanBlocked, match="Blobs are private"):
        await site.engine.apply(AZURE, public, plan.digest, on_event=site.on_event)
    assert actions(await Site(root).preview(config(), AZURE)) == {}


async def test_a_pack_that_does_not_load_stops_everything(root: Path) -> None:
    with pytest.raises(PolicyPackFailed, match="no policies today"):
        await Site(root, packs=["broken_pack"]).preview(config(), AZURE)
    with pytest.raises(PolicyPackFailed, match=r"needs a PulumiPolicy\.yaml"):
        await Site(root, packs=["things"]).preview(config(), AZURE)


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shared.adapters.provisioners.embedded", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_shows_plans_and_keeps_states(tmp_path: Path) -> None:
    where = ("--program", str(PROGRAMS / "things"), "--stack", "staging", "--state", str(tmp_path))
    first = _command("up", *where)
    assert (first.returncode, first.stderr) == (0, "")
    assert " + demo:index:Thing one" in first.stdout
    assert "up staging: 2 create (local-simulation" in first.stdout
    other = _command(
        "preview", *where, "--config", 'things=[{"name": "one", "inputs": {"size": 5}}]', "--json"
    )
    result = json.loads(other.stdout)
    assert result["counts"]["update"] == 1
    assert result["changes"][1]["paths"] == [{"path": "size", "kind": "changed", "old": 1, "new": 5}]
    assert "delete" in _command("destroy", *where).stdout
    again = _command("destroy", *where)
    assert (again.returncode, again.stderr) == (1, "Stack 'staging' holds nothing to destroy.\n")
