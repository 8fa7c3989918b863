"""Azurite, Microsoft's own emulator of Blob Storage: installed by npm on first use, run as a child process.

Everything is in memory. It checks who a token is for and until when, not who signed it.
`python -m tests.standins.azurite` prints one JSON line with its endpoint, and serves until told to stop.
"""

import argparse
import asyncio
import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.standins.certificates import Certificate, make_certificate
from tests.standins.hosting import until_told_to_stop

ACCOUNT = "devstoreaccount1"
INSTALL_SECONDS = 300
START_SECONDS = 60
_HERE = Path(__file__).parent
_PLACE = Path(sys.prefix) / "azurite"
"""Within the virtual environment, so that it is ignored and cleaned away with it."""
_MAIN = _PLACE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_LISTENS = re.compile(rb"successfully listens on (https://\S+)")


class CannotRun(Exception):
    """Azurite cannot be had on this machine; the message says what is missing."""


def installed() -> Path:
    """Its main file, installed exactly as the lock file says unless it is there. Raises CannotRun."""
    if sys.prefix == sys.base_prefix:
        raise CannotRun(
            "Azurite is installed into the virtual environment, and there is none: run `make setup`."
        )
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise CannotRun("Azurite needs npm and node on the PATH: install Node.js 20 or newer.")
    _PLACE.mkdir(exist_ok=True)
    wanted = hashlib.sha256((_HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = _PLACE / "installed"
    with (_PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of the same run installs it only once
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(_HERE / name, _PLACE / name)
            # No package's own script runs: none is needed, and each could do anything.
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            made = subprocess.run(
                command, cwd=_PLACE, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            if made.returncode != 0:
                raise CannotRun(f"npm could not install Azurite: {made.stderr.strip()[-500:]}")
            stamp.write_text(wanted)
    return _MAIN


@asynccontextmanager
async def azurite(certificate: Certificate, port: int = 0) -> AsyncIterator[str]:
    """Run it, on a free port by default; gives the account's endpoint. Raises CannotRun."""
    main = await asyncio.to_thread(installed)
    process = await asyncio.create_subprocess_exec(
        "node", main, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--oauth", "basic",
        "--cert", certificate.chain, "--key", certificate.key,
        "--inMemoryPersistence", "--extentMemoryLimit", "512", "--disableTelemetry", "--silent",
        "--skipApiVersionCheck",  # the SDK is newer than any released Azurite
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        address = await asyncio.wait_for(_address(process), START_SECONDS)
        yield f"{address}/{ACCOUNT}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    said = b""
    while line := await process.stdout.readline():
        said += line
        if found := _LISTENS.search(line):
            return found[1].decode()
    raise CannotRun(f"Azurite ended before it listened: {said.decode(errors='replace')[-500:]}")


async def serve(port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-azurite-") as folder:
        certificate = make_certificate(Path(folder))
        async with azurite(certificate, port) as endpoint:
            print(json.dumps({"endpoint": endpoint, **certificate.environment}), flush=True)  # noqa: T201
            await until_told_to_stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))
