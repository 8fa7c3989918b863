"""Files that only this user may read, made once and replaced whole. Must not be used for what grows."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """Make `folder`, or close it to others (0700) where it was made before, by whomever."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def keep(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of `path`, made by `make` on first use, mode 0600.

    Two processes that start together both get the content of the one that was first.
    """
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return path.read_bytes()
    except FileNotFoundError:
        draft = _draft(path, make())
    try:
        # A rename would replace what another process has begun to use; a link refuses.
        os.link(draft, path)
        sync_folder(path.parent)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_bytes()


def replace(path: Path, content: bytes) -> None:
    """Write `path` whole, mode 0600: a reader or a crash meets the old content or the new one."""
    _draft(path, content).replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames within `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _draft(path: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the first byte
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
