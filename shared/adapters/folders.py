"""What adapters do to folders: safe names, atomic writes and links, removal that really removes."""

import os
import shutil
import stat
from pathlib import Path
from urllib.parse import quote


def segment(name: str) -> str:
    """`name` as one file name. Equal only for equal names, and never one that climbs or hides.

    Raises ValueError for a name that is empty or too long for a file system.
    """
    safe = quote(name, safe="")
    if safe.startswith("."):
        safe = "%2E" + safe[1:]
    if not 1 <= len(safe) <= 200:
        raise ValueError("a name has 1 to 200 characters")
    return safe


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Readers see the old content or the new, also after a power cut if `durable`; only this user may read
    it."""
    beside = path.with_name(path.name + ".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target` in one step: there is no moment without it."""
    beside = link.with_name(link.name + ".new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)


def remove(folder: Path) -> None:
    """Remove a folder and everything below, read-only folders too (module caches make such). Gone already
    is fine."""
    if not folder.exists(follow_symlinks=False):
        return
    try:
        shutil.rmtree(folder)
    except PermissionError:
        for parent, children, _ in os.walk(folder):
            for path in (Path(parent), *(Path(parent, child) for child in children)):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | stat.S_IRWXU)
        shutil.rmtree(folder)
