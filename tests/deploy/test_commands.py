"""The commands as a pipeline calls them, with packages kept in Blob Storage."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.__main__ import main
from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES
from shared.names import BLOBS
from tests.deploy.conftest import a_package
from tests.deploy.scm import FAILED, ScmStandIn
from tests.standins.azurite import CannotRun
from tests.standins.cloud import cloud
from tests.standins.hosting import hosted

type Command = Callable[..., int]


@pytest.fixture
def deployment_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ScmStandIn, Command]]:
    """A site, and a command that is told where it and the container are."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(hosted(lambda: cloud(tmp_path)))
        except CannotRun as missing:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(missing))
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        site = stack.enter_context(hosted(ScmStandIn(made.identity.issuer, looks=0).serving))
        place = (
            "--app",
            "func-one",
            "--site",
            site.url,
            "--storage",
            made.blob_endpoint,
            "--container",
            BLOBS,
        )
        yield site, lambda *arguments: main([*arguments, *place])


def test_a_package_is_published_and_the_one_before_comes_back(
    deployment_site: tuple[ScmStandIn, Command], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, command = deployment_site
    one, two, before = (tmp_path / name for name in ("one.zip", "two.zip", "before.zip"))
    one.write_bytes(a_package("one"))
    two.write_bytes(a_package("two"))
    assert command("publish", str(one)) == 0
    assert command("publish", str(two)) == 0
    assert site.live == two.read_bytes()
    assert command("rollback", "--out", str(before)) == 0
    assert site.live == one.read_bytes() == before.read_bytes()
    assert "func-one runs sha256:" in capsys.readouterr().out

    assert command("rollback") == 1
    assert "no earlier package" in capsys.readouterr().err
    site.outcome = FAILED
    assert command("publish", str(two)) == 1
    assert "No matching distribution" in capsys.readouterr().err


def test_making_a_package_tells_its_size_its_digest_and_its_cold_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "slipway.zip"
    assert main(["package", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    with zipfile.ZipFile(out) as archive:
        assert f"{out.stat().st_size:,} bytes, {len(archive.namelist())} files, imported in " in told
    assert "sha256:" in told


def test_a_package_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--url", "http://127.0.0.1:1", "--token-file", str(tmp_path / "none")]
    assert main(["smoke", str(tmp_path / "none.zip"), *arguments]) == 1
    assert capsys.readouterr().err.startswith("deploy: ")


def test_the_emulator_gets_every_queue_of_the_catalogue_within_its_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emulator-config", "--out", str(tmp_path / "new" / "config.json")]) == 0
    assert main(["emulator-config"]) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "new" / "config.json").read_text() == text
    (namespace,) = json.loads(text)["UserConfig"]["Namespaces"]
    told = {queue["Name"]: queue["Properties"] for queue in namespace["Queues"]}
    assert {name: each["RequiresSession"] for name, each in told.items()} == {
        queue.name: queue.requires_session for queue in QUEUE_ENTITIES
    }
    assert {each["DefaultMessageTimeToLive"] for each in told.values()} == {"PT1H"}
    assert {each["DuplicateDetectionHistoryTimeWindow"] for each in told.values()} == {"PT5M"}
    assert {each["MaxDeliveryCount"] for each in told.values()} == {3}
