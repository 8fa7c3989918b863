"""Which packages an app was given, and their bytes: what a rollback goes back to.

One publisher at a time for each app: the pipeline's concurrency group sees to that.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from shared.domain.kernel.errors import NotFound
from shared.ports.blobs import Blobs

_OURS: Final = "deploy"
"""The space among the blobs that is not a tenant's."""
_KEPT: Final = 20


class NothingToGoBackTo(Exception):
    """No package but the current one was ever published, or all of them were withdrawn."""


@dataclass(frozen=True, slots=True)
class Published:
    """One publish. `digest` is the sha256 of the package in hex. What was rolled back is `withdrawn`."""

    digest: str
    remote_build: bool
    at: str
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Packages:
    """The packages of one app."""

    blobs: Blobs
    app: str

    async def keep(self, package: bytes) -> str:
        """Store the bytes under their digest, which is the answer."""
        digest = hashlib.sha256(package).hexdigest()
        if await self.blobs.info(_OURS, self._place(digest)) is None:
            await self.blobs.put(_OURS, self._place(digest), package)
        return digest

    async def read(self, digest: str) -> bytes:
        """The bytes, checked against their digest. Raises NotFound."""
        package = await self.blobs.read(_OURS, self._place(digest))
        if hashlib.sha256(package).hexdigest() != digest:
            raise NotFound(f"The kept package {digest[:12]} is damaged; publish a new one instead.")
        return package

    async def record(self, digest: str, at: datetime, *, remote_build: bool) -> None:
        """This package runs from now on."""
        history = await self.history()
        await self._write([*history, Published(digest, remote_build, at.isoformat())])

    async def withdraw(self, digest: str) -> None:
        """No rollback goes to this package any more."""
        history = await self.history()
        await self._write(
            [replace(each, withdrawn=each.withdrawn or each.digest == digest) for each in history]
        )

    async def before(self) -> tuple[Published, Published]:
        """The current publish, and the one to go back to. Raises NothingToGoBackTo."""
        history = await self.history()
        current = history[-1] if history else None
        for each in reversed(history):
            if current is not None and each.digest != current.digest and not each.withdrawn:
                return current, each
        raise NothingToGoBackTo(f"{self.app} has no earlier package to go back to; publish a mended one.")

    async def history(self) -> list[Published]:
        """The last publishes, oldest first."""
        try:
            told = await self.blobs.read(_OURS, self._history_place)
        except NotFound:
            return []
        return [Published(**each) for each in json.loads(told)]

    async def _write(self, history: list[Published]) -> None:
        told = json.dumps([asdict(each) for each in history[-_KEPT:]], indent=1)
        await self.blobs.put(_OURS, self._history_place, told.encode())

    def _place(self, digest: str) -> str:
        return f"packages/{digest}.zip"

    @property
    def _history_place(self) -> str:
        return f"published/{self.app}.json"
