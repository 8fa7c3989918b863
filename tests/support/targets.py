"""Bundles with a service that can be told to misbehave, and a look at what a target left running."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import aiohttp

from shared.adapters.targets.folder import FolderTarget
from shared.ports.target import LiveState, Workload
from tests.support.app import SteppingClock

PLACE = ("acme", "dev", "greeter")

SERVER = """
import http.server, os, signal, subprocess, sys, time
if "CHILD" in os.environ:
    child = subprocess.Popen(["sleep", "1000"])
    open(os.environ["CHILD"], "w").write(str(child.pid))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = repr(dict(os.environ)).encode()
        self.send_response(int(os.environ.get("STATUS", "200")) if self.path == "/ready" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
print("starting", flush=True)
if "STUBBORN" in os.environ: signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "SECRET" in os.environ: print("the secret is " + os.environ["SECRET"], flush=True)
if "EXIT" in os.environ: sys.exit(int(os.environ["EXIT"]))
time.sleep(float(os.environ.get("SLOW", "0")))
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = "service: {command: [python, server.py], health: /ready, stop_timeout: 0.5}"
SERVICE = {"server.py": SERVER, "slipway.yml": MANIFEST}


def tar_gz(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def zipped(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


class Artifact:
    """A bundle on disk, counting how often it was fetched."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.fetched = 0
        path.write_bytes(data)

    async def __call__(self) -> Path:
        self.fetched += 1
        return self.path


type Pack = Callable[[bytes | dict[str, str]], Artifact]


def made(root: Path, health_timeout: float = 10) -> FolderTarget:
    return FolderTarget(root, SteppingClock(), health_timeout=health_timeout)


def workload(artifact: Artifact, version: str = "1.0.0", **variables: str) -> Workload:
    return Workload(*PLACE, version, artifact.digest, f"rev-{version}", variables)


async def get(live: LiveState, path: str = "/") -> str:
    assert live.url is not None
    async with aiohttp.ClientSession() as session, session.get(live.url + path) as response:
        return await response.text()


def folder(root: Path) -> Path:
    return root.joinpath(*PLACE)


def running(root: Path) -> list[int]:
    """Every process that was started below `root`."""
    mark = f"TMPDIR={root}/".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found
