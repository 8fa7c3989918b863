"""Zip files whose bytes depend on nothing but names and contents: same files, same digest, on any day."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from deploy.tree import Files

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that the format can say
_PLAIN_FILE = 0o100644
_UNIX = 3


@dataclass(frozen=True, slots=True)
class Archive:
    """A written zip. `digest` is the sha256 of its bytes, in hex."""

    path: Path
    size: int
    files: int
    digest: str


def write_archive(path: Path, files: Files) -> Archive:
    """Write the zip beside its place and move it there: a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX  # or the bytes would tell the machine it was made on
            entry.external_attr = _PLAIN_FILE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    unfinished.replace(path)
    return archive_at(path)


def archive_at(path: Path) -> Archive:
    """What is known of a zip that is there already."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        count = len(archive.namelist())
    return Archive(path, len(content), count, hashlib.sha256(content).hexdigest())
