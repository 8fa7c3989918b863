"""What an unpacked release looked like, so that a file which somebody edits or removes in it is noticed. Only
files with another time are read again; whoever forges that is not kept out by this."""

import hashlib
import json
from pathlib import Path
from typing import Any

from shared.adapters import folders

type _Mark = dict[str, Any]


def seal(release: Path, at: Path) -> None:
    """Write down how the files of a release are. What it makes itself while it runs is not among them."""
    files = sorted(path for path in release.rglob("*") if path.is_file())
    known = {str(path.relative_to(release)): _mark(path) for path in files}
    at.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folders.write_atomically(at, json.dumps(known).encode())


def altered(release: Path, at: Path) -> str:
    """The first file that is not as it was; empty where all are, or nobody has written down how they were."""
    try:
        known: dict[str, _Mark] = json.loads(at.read_bytes())
    except FileNotFoundError:
        return ""
    return next((name for name, mark in known.items() if not _is_as(release / name, mark)), "")


def _is_as(path: Path, mark: _Mark) -> bool:
    try:
        found = path.lstat()
        if (found.st_size, found.st_mode) != (mark["size"], mark["mode"]):
            return False
        # A copy of the whole folder, or a restored one, has other times and is no change.
        return bool(found.st_mtime_ns == mark["time"] or _digest(path) == mark["sha256"])
    except (FileNotFoundError, NotADirectoryError):
        return False


def _mark(path: Path) -> _Mark:
    found = path.lstat()
    mark = {"size": found.st_size, "mode": found.st_mode, "time": found.st_mtime_ns}
    return {**mark, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
