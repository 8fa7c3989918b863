"""The doctor: what is well, what is not, and in which words it says what to do."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from local.doctor import Finding, Result, examine, run
from local.doctor.azure import from_clock
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.system import SystemClock
from shared.domain.kernel.errors import Permanent, Transient
from shared.names import QUEUES, RUNS, parked
from shared.ports.bus import MAX_DELIVERY_COUNT, Message
from shared.settings import Settings

WELL = {Result.OK}


def settings(folder: Path) -> Settings:
    return Settings.load({}, data_dir=folder)


def results(findings: list[Finding]) -> Mapping[str, Result]:
    """The worst that was found of each subject."""
    worst: dict[str, Result] = {}
    order = [Result.OK, Result.WARN, Result.FAIL]
    for each in findings:
        worst[each.subject] = max(worst.get(each.subject, Result.OK), each.result, key=order.index)
    return worst


def of(findings: list[Finding], subject: str) -> Finding:
    """The worst finding about it."""
    return next(each for each in findings if each.subject == subject and each.result is not Result.OK)


async def test_a_new_installation_is_well(tmp_path: Path) -> None:
    findings = await examine(settings(tmp_path / "data"))
    assert set(results(findings).values()) == WELL, findings
    looked_at = {each.subject for each in findings}
    assert {
        "settings",
        "python",
        "git",
        "sqlite",
        "data folder",
        "disk",
        "store",
        "vault",
        "blobs",
    } < looked_at
    assert {f"queue {name}" for queue in QUEUES for name in (queue, parked(queue))} < looked_at


async def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    for _ in range(2):
        await examine(settings(tmp_path))
    assert [path.name for path in (tmp_path / "blobs").rglob("doctor*") if path.is_file()] == []
    assert list(tmp_path.glob("doctor-*")) == []


async def test_a_folder_that_cannot_be_made_says_where_to_choose_another(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    findings = await examine(settings(tmp_path / "file" / "data"))
    assert of(findings, "data folder").result is Result.FAIL
    assert "--data-dir" in of(findings, "data folder").advice
    assert "store" not in results(findings)


async def test_a_machine_without_git_is_told_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = await examine(settings(tmp_path / "data"))
    assert of(findings, "git").result is Result.FAIL
    assert "Install git" in of(findings, "git").advice


async def test_dead_letters_are_a_warning_with_the_command_that_gives_them_again(tmp_path: Path) -> None:
    bus = SqliteBus(tmp_path / "bus.db", SystemClock())
    await bus.send(RUNS, [Message("m1", b"{}", session_id="s")])
    await bus.send(parked(RUNS), [Message("m2", b"{}", session_id="s")])
    for _ in range(MAX_DELIVERY_COUNT):
        (received,) = await bus.receive(RUNS)
        await bus.abandon(received)
    await bus.aclose()
    findings = await examine(settings(tmp_path))
    assert of(findings, "queue runs").result is Result.WARN
    assert of(findings, "queue runs").advice.endswith("slipway redrive runs.")
    assert of(findings, "queue runs-parked").told == "1 parked"


class Refusing:
    """A vault whose role is missing, and blobs that are away."""

    async def get(self, tenant: str, name: str, version: str | None = None) -> None:
        raise Permanent("The vault does not let this process do that. Grant its identity the role X.")

    async def put(self, tenant: str, path: str, data: bytes) -> None:
        raise Transient("The storage account cannot be reached; try again.")


async def test_a_port_that_refuses_is_named_with_its_own_words(tmp_path: Path) -> None:
    findings = await examine(settings(tmp_path), vault=Refusing(), blobs=Refusing())
    assert {subject for subject, worst in results(findings).items() if worst is Result.FAIL} == {
        "vault",
        "blobs",
    }
    assert "Grant its identity" in of(findings, "vault").told
    assert of(findings, "blobs").advice


def test_the_command_prints_and_its_code_is_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(settings(tmp_path / "data"), as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told[0] == {
        "subject": "settings",
        "tried": "read them",
        "result": "ok",
        "told": "platform embedded, role all",
        "advice": "",
    }
    (tmp_path / "file").touch()
    assert run(settings(tmp_path / "file" / "data")) == 1
    assert "FAIL\tdata folder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "result"), [(0, Result.OK), (29, Result.OK), (45, Result.WARN), (600, Result.FAIL)]
)
def test_a_clock_that_is_minutes_off_is_found(seconds: int, result: Result) -> None:
    assert from_clock("vault", timedelta(seconds=seconds)).result is result
