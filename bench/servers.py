"""Starts the servers of a run on one core, each with a data folder of its own, and ends exactly those."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from local.issuer import Issuer

ROOT = Path(__file__).resolve().parents[1]
AUDIENCE = "slipway"
SERVER_CORE, CLIENT_CORE = 0, 1
SCOPES = ("devops.releases.plan", "devops.releases.read")


class ServerFailed(Exception):
    """A server did not start, or died. The message ends with its log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One issuer for every server of the run: all verify the same tokens."""

    issuer: Issuer
    jwks_url: str

    def tokens(self, tenants: Sequence[str]) -> list[str]:
        """One per tenant, each of another caller."""
        return [
            self.issuer.mint(tenant=tenant, subject=f"service:caller-{number}", scopes=SCOPES)
            for number, tenant in enumerate(tenants)
        ]


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


@contextmanager
def identity(folder: Path) -> Iterator[Identity]:
    """An issuer whose keys are served over HTTP for as long as the block runs."""
    port = free_port()
    issuer = Issuer(folder / "identity", f"http://127.0.0.1:{port}", AUDIENCE)

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.jwks()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", port), Keys) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Identity(issuer, f"http://127.0.0.1:{port}/jwks.json")
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving(name: str, kind: str, target: str, folder: Path, known: Identity) -> Iterator[Server]:
    """`kind` is `host` with an app's folder as target, or `uvicorn` with `module:app`."""
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    given = settings_for(known, home, port)
    with ExitStack() as stack:
        log = stack.enter_context((home / "log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.serve", str(SERVER_CORE), kind, target],
            cwd=ROOT,
            env={**os.environ, **given},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        server = Server(name, port, home, process)
        try:
            _wait(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def settings_for(known: Identity, home: Path, port: int) -> dict[str, str]:
    """The environment of either side. Logs only what goes wrong, and no caller is metered: the peer does
    neither."""
    return {
        "SLIPWAY_ROLE": "api",
        "SLIPWAY_PORT": str(port),
        "SLIPWAY_DATA_DIR": str(home),
        "SLIPWAY_LOG_LEVEL": "WARNING",
        "SLIPWAY_TIERS": "*:unmetered",
        "SLIPWAY_ISSUER": known.issuer.issuer,
        "SLIPWAY_JWKS_URL": known.jwks_url,
        "REFERENCE_DATABASE": str(home / "reference.db"),
        "REFERENCE_ISSUER": known.issuer.issuer,
        "REFERENCE_AUDIENCE": AUDIENCE,
        "REFERENCE_JWKS_URL": known.jwks_url,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: Server, seconds: float = 30.0) -> None:
    """Until it answers anything at all: a path that nobody has is a 404 from each of them."""
    for _ in range(int(seconds / 0.05)):
        if server.process.poll() is not None:
            raise ServerFailed(f"{server.name} ended before it was ready.\n{server.log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/nothing-here", timeout=5):
                return
        except urllib.error.HTTPError as answer:
            answer.close()
            return
        except OSError:
            time.sleep(0.05)
    raise ServerFailed(f"{server.name} did not answer within {seconds} seconds.\n{server.log}")
