"""The `slipway` command: what it prints, what it refuses, and how it exits."""

import io
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from local.cli import main
from local.secrets import opened_vault, read_value
from shared.domain.kernel.errors import Invalid
from shared.settings import Settings
from tests.functions.conftest import APPS
from tests.support.host import ROOT
from tests.support.process import ServerFailed, ServerProcess

SMALL = APPS / "small"


def server(folder: Path, **environment: str) -> ServerProcess:
    return ServerProcess(folder, app_directory=SMALL, health="/small/ping", environment=environment)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_is_and_stops_quietly_when_asked(tmp_path: Path, number: signal.Signals) -> None:
    with server(tmp_path / "data") as running:
        assert running.log == (
            f"Slipway serves 9 functions at {running.url}, data in {tmp_path / 'data'}; Ctrl-C stops it.\n"
        )
        ready = running.log
        assert running.terminate(number) == 0
        assert running.log == ready


def test_a_killed_server_starts_again_on_the_same_folder_and_port(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        url = running.url
        running.kill9()
        running.restart()
        assert running.url == url


def test_a_second_server_on_a_data_folder_is_refused(tmp_path: Path) -> None:
    with server(tmp_path / "data"), pytest.raises(ServerFailed) as refused, server(tmp_path / "data"):
        pass
    assert "ended with 2" in str(refused.value)
    assert "Another server uses the data folder" in str(refused.value)


def test_a_taken_port_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--data-dir", str(tmp_path)], SMALL) == 2
    refused = one_line(capsys)
    assert f"Port {port} cannot be used" in refused


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data")], SMALL) == 2
    assert "cannot be written" in one_line(capsys)


def test_a_folder_without_a_host_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--data-dir", str(tmp_path / "data")], tmp_path) == 2
    assert "host.json does not exist" in one_line(capsys)


def test_bad_settings_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_LIMIT", "none")
    monkeypatch.setenv("SLIPWAY_ROLE", "captain")
    assert main(["serve", "--port", "70000", "--data-dir", str(tmp_path)], SMALL) == 2
    refused = one_line(capsys)
    for name in ("SLIPWAY_PORT", "SLIPWAY_RUN_LIMIT", "SLIPWAY_ROLE"):
        assert name in refused


def test_a_machine_without_git_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["serve", "--port", "0", "--data-dir", str(tmp_path / "data")], SMALL) == 2
    assert "git was not found" in one_line(capsys)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["serve", "token", "routes", "redrive", "demo"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert "--data-dir" in capsys.readouterr().out


def test_a_queue_that_does_not_exist_cannot_be_redriven(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["redrive", "nowhere"])
    assert left.value.code == 2
    assert "source, checks, runs" in capsys.readouterr().err.replace("'", "")


def test_token_prints_only_the_token(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        done = running.run("token", "--tenant", "acme", "--subject", "ann", "--scopes", "a.read a.write")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(".") == 2
    assert done.stdout.strip().isascii()


def test_a_running_server_publishes_the_keys_of_its_tokens(tmp_path: Path) -> None:
    with (
        server(tmp_path / "data") as running,
        urllib.request.urlopen(f"{running.url}/.well-known/jwks.json", timeout=5) as answer,
    ):
        assert answer.status == 200


def test_nobody_hears_more_when_the_reader_of_the_output_hangs_up(tmp_path: Path) -> None:
    code = "import sys; from local.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "token",
        "--tenant",
        "t",
        "--subject",
        "s",
        "--data-dir",
        str(tmp_path),
    ]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, env=buffered, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


async def test_a_secret_is_set_from_standard_input_and_never_shown(tmp_path: Path) -> None:
    place = ("secrets", "set", "github-token", "--tenant", "acme", "--data-dir", str(tmp_path))
    command = [sys.executable, "-m", "local.cli", *place]
    told = subprocess.run(
        command, cwd=ROOT, input="ghp_correctHorse\n", capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert "The secret github-token of acme has a new current version" in told.stdout
    assert "correctHorse" not in told.stdout
    async with opened_vault(Settings.load({}, data_dir=tmp_path)) as vault:
        assert (await vault.get("acme", "github-token")).value == "ghp_correctHorse"


@pytest.mark.parametrize(("typed", "value"), [("a b\n", "a b"), ("a\r\n", "a"), ("a\nb\n\n", "a\nb\n")])
def test_a_secrets_value_is_all_but_the_end_of_its_line(typed: str, value: str) -> None:
    assert read_value(io.StringIO(typed)) == value


def test_a_secret_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="pipe the secret's value in"):
        read_value(io.StringIO("\n"))


@pytest.mark.parametrize("chosen", [["--surface", "moon"], ["--surface", "devops", "--provider", "Moon"]])
def test_an_unknown_surface_or_provider_is_refused_with_those_there_are(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["demo", *chosen])
    assert refused.value.code == 2
    told = capsys.readouterr().err
    assert "devops" in told
    assert "choose from" in told


def test_a_provider_goes_with_a_surface(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--provider", "GitHub", "--data-dir", str(tmp_path)]) == 2
    assert "say --surface as well" in one_line(capsys)
