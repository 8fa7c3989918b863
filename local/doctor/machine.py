"""This machine: the programs and the folder that an installation on it needs."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from local.doctor.finding import Finding, fail, ok, warn
from shared.settings import Settings

_PYTHON: Final = (3, 13)
_SQLITE: Final = (3, 37, 0)
"""The first with strict tables."""
_GIT: Final = (2, 20)
_FREE_WARN, _FREE_FAIL = 1 << 30, 100 << 20


def examine_machine(settings: Settings) -> Iterator[Finding]:
    """Writes and removes one file in the data folder; changes nothing else."""
    yield _python()
    yield _git()
    if settings.platform == "embedded":
        yield _sqlite()
    yield from _folder(settings.data_dir)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _PYTHON:
        return fail("python", "its version", version, "Install Python 3.13, and run make setup.")
    return ok("python", "its version", version)


def _git() -> Finding:
    program = shutil.which("git")
    if program is None:
        return fail("git", "find it", "it is not on the PATH", "Install git, as in apt-get install git.")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    told = done.stdout.strip().removeprefix("git version ")
    numbers = [int(part) for part in told.split(".")[:2] if part.isdigit()]
    if tuple(numbers) < _GIT:
        return warn("git", "its version", told or "it does not say", "Install git 2.20 or later.")
    return ok("git", "its version", told)


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < _SQLITE:
        advice = "Install a Python that is built with SQLite 3.37 or later."
        return fail("sqlite", "its version", sqlite3.sqlite_version, advice)
    return ok("sqlite", "its version", sqlite3.sqlite_version)


def _folder(folder: Path) -> Iterator[Finding]:
    tried = f"write a file in {folder}"
    advice = "Choose another with --data-dir or SLIPWAY_DATA_DIR, or give this user the right to write there."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="doctor-") as probe:
            probe.write(b"doctor")
            probe.flush()
    except OSError as error:
        yield fail("data folder", tried, error.strerror or str(error), advice)
        return
    yield ok("data folder", tried)
    free = shutil.disk_usage(folder).free
    told = f"{free / (1 << 30):.1f} GiB"
    if free < _FREE_WARN:
        judge = fail if free < _FREE_FAIL else warn
        yield judge(
            "disk", "its free space", told, f"Free some: {folder} grows with every run's log and build."
        )
    else:
        yield ok("disk", "its free space", told)
