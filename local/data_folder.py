"""The folder where a local installation keeps everything, and the lock that gives it to one server."""

import fcntl
import os
from pathlib import Path
from typing import Self


class CannotStart(Exception):
    """The server cannot run here. The message is one line that says what to do."""


class DataFolder:
    """Created when missing. The lock goes with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Take the folder. Raises CannotStart when it cannot be written or another server has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotStart(
                f"The data folder {self.path} cannot be written ({error.strerror});"
                " choose another with --data-dir."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise CannotStart(
                f"Another server uses the data folder {self.path};"
                " stop it, or choose another with --data-dir."
            ) from None
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
