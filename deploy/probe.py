"""Asks an unpacked package about itself in a fresh interpreter, as a cold start meets it."""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from deploy.vendor import SITE_PACKAGES

_STARTS = 3

# The package's folder goes first on the path, or an installed checkout would answer in its stead.
_BEGIN = "import sys; sys.path[:0] = sys.argv[1:]; sys.dont_write_bytecode = True\n"
_IMPORT = """
from time import perf_counter
before = perf_counter()
import function_app
print(perf_counter() - before)
"""
_DOCUMENTS = """
import json
from functions.api.platform.surface import VERSION
from functions.http.openapi import document_of
from functions.routes import declared
told = {name: document_of(surface, VERSION).decode() for name, surface in declared().items()}
print(json.dumps({"version": VERSION, "documents": told}))
"""


class BrokenPackage(Exception):
    """The package cannot be imported; the message is the traceback's end."""


@contextmanager
def unpacked(package: Path) -> Iterator[Path]:
    """The package in a folder, as long as the block lasts."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(package) as archive:
        archive.extractall(scratch)
        yield Path(scratch)


def import_seconds(folder: Path) -> float:
    """How long `import function_app` takes without compiled files: the median of three starts."""
    return median(float(_told(folder, _IMPORT)) for _ in range(_STARTS))


def api_documents(folder: Path) -> tuple[str, Mapping[str, str]]:
    """The version that the package says it is, and its OpenAPI documents by surface."""
    told = json.loads(_told(folder, _DOCUMENTS))
    return told["version"], told["documents"]


def _told(folder: Path, program: str) -> str:
    # An empty environment: the package is to answer by its defaults, not by this machine's settings.
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", _BEGIN + program, str(folder), str(folder / SITE_PACKAGES)],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BrokenPackage(f"The package cannot be imported: {done.stderr.strip()[-2000:]}")
    return done.stdout
