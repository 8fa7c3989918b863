"""Installs wheels for Azure's machines into a package, for where a remote build is not wanted."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from deploy.tree import Files

SITE_PACKAGES = ".python_packages/lib/site-packages"
_PYTHON = "3.13"
_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux_2_12_x86_64",
)
_UNREPEATABLE = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""Files of a dist-info that tell of the installation, not of the distribution."""


class CannotVendor(Exception):
    """pip found no wheel for Azure's machines, or no network; the message is what it said."""


def vendored(requirements: str, pip_options: Sequence[str] = ()) -> tuple[Files, dict[str, str]]:
    """The files to put below SITE_PACKAGES, and the sha256 of each wheel by name.

    `requirements` has to name everything: nothing is resolved here.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, listed, report = (
            Path(scratch) / name for name in ("site", "requirements.txt", "report.json")
        )
        listed.write_text(requirements)
        platforms = [option for platform in _PLATFORMS for option in ("--platform", platform)]
        done = subprocess.run(  # noqa: S603 - our own interpreter and its pip
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--target", str(folder), "--report", str(report), "--requirement", str(listed)),
                *("--no-deps", "--no-compile", "--prefer-binary", "--implementation", "cp"),
                *("--python-version", _PYTHON, *platforms, *pip_options),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise CannotVendor("pip cannot install the package's wheels: " + " ".join(said)[:2000])
        _check_built_for_azure(folder)
        return _kept(folder), _digests(json.loads(report.read_text()))


def _check_built_for_azure(folder: Path) -> None:
    """What has no wheel at all is built here; that will do only where nothing was compiled."""
    for told in folder.glob("*.dist-info/WHEEL"):
        tags = [
            line.removeprefix("Tag: ") for line in told.read_text().splitlines() if line.startswith("Tag: ")
        ]
        if not any(tag.endswith("-any") or "-manylinux" in tag for tag in tags):
            name = told.parent.name.partition("-")[0]
            raise CannotVendor(
                f"{name} has no wheel for Azure's machines; publish with a remote build instead."
            )


def _kept(folder: Path) -> Files:
    """Without what differs from one installation to the next; scripts, which name their Python, among it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if not (path.parent.suffix == ".dist-info" and path.name in _UNREPEATABLE)
        and "__pycache__" not in path.parts
        and path.relative_to(folder).parts[0] != "bin"
    }


def _digests(report: dict[str, Any]) -> dict[str, str]:
    """From pip's report; a wheel that came from a folder has no digest in it."""
    found: dict[str, str] = {}
    for item in report["install"]:
        hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" in hashes:
            found[canonicalize_name(item["metadata"]["name"])] = str(hashes["sha256"])
    return found
