"""`slipway serve` as a process of its own, for tests that kill it. Nothing outlives the block it is in."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.host import ROOT

_READY = re.compile(rb"at (http://127\.0\.0\.1:\d+),")
_COMMAND = """
import sys
from pathlib import Path
from local.cli import main
sys.exit(main(sys.argv[2:], Path(sys.argv[1])))
"""


class ServerFailed(AssertionError):
    """The server did not do what the test asked of it; the message ends with its log."""


class ServerProcess:
    """One server on one data folder. The first start takes a free port, and every later one the same."""

    def __init__(
        self,
        data_dir: Path,
        *,
        app_directory: Path = ROOT,
        health: str = "/health",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = 0
        self._app_directory = app_directory
        self._health = health
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._started: set[psutil.Process] = set()
        data_dir.mkdir(parents=True, exist_ok=True)
        self._log = data_dir.parent / f"{data_dir.name}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def log(self) -> str:
        """What all starts so far have written, on both outputs."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"The server's log:\n{self.log}")
        if self._process is not None:
            self.kill9()
        for stray in self._started:
            # What was deployed outlives its server on purpose; it must not outlive the test.
            with suppress(psutil.NoSuchProcess):
                stray.kill()

    def start(self, seconds: float = 20.0) -> None:
        """Start it and return when it answers its health page."""
        assert self._process is None, "the server runs already"
        written = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            # A group of its own: what the server starts within it is killed with it.
            self._process = subprocess.Popen(
                self._arguments("serve", "--port", str(self.port), "--data-dir", str(self.data_dir)),
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(written, seconds)
        except BaseException:
            self.kill9()
            raise

    def kill9(self) -> None:
        """End it and its group without any chance to clean up; services of their own session run on."""
        self._remember_started()
        self._signal(signal.SIGKILL)
        self._running().wait()
        self._process = None

    def terminate(self, number: signal.Signals = signal.SIGTERM, seconds: float = 15.0) -> int:
        """Ask it to stop, and return its exit code."""
        process = self._running()
        self._remember_started()
        process.send_signal(number)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise ServerFailed(f"The server did not stop within {seconds} seconds.\n{self.log}") from None
        self._signal(signal.SIGKILL)
        self._process = None
        return code

    def restart(self) -> None:
        """Start it again on the same folder and port, killing it first when it runs."""
        if self._process is not None:
            self.kill9()
        self.start()

    def run(self, *arguments: str, seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run another `slipway` command on the same data folder and port."""
        command, *rest = arguments
        place = ("--port", str(self.port), "--data-dir", str(self.data_dir))
        return subprocess.run(
            self._arguments(command, *place, *rest),
            cwd=ROOT,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def _arguments(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", _COMMAND, str(self._app_directory), *arguments]

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server does not run"
        return self._process

    def _remember_started(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._started.update(psutil.Process(self._running().pid).children(recursive=True))

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._running().pid, number)
        except ProcessLookupError:
            return

    def _wait_until_ready(self, written: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (code := self._running().poll()) is not None:
                raise ServerFailed(f"The server ended with {code} before it was ready.\n{self.log}")
            ready = _READY.search(self._log.read_bytes()[written:])
            if ready is not None:
                self.port = int(ready[1].rpartition(b":")[2])
                if self._answers():
                    return
            time.sleep(0.02)
        raise ServerFailed(f"The server was not ready within {seconds} seconds.\n{self.log}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{self._health}", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False
