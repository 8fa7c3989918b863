"""One small file per ref move that nobody has recorded yet, in one folder for all repositories.

An `.intent` is on disk before the ref moves and becomes `.moved` after it, so that a process killed in
between leaves a trace to judge. It never opens a repository.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from shared.ports.source_host import Place, RefUpdate

_INTENT = ".intent"
_MOVED = ".moved"
_GONE = "0" * 40


@dataclass(frozen=True, slots=True)
class Entry:
    """A journaled move. `certain` is False where the process may have died before the ref moved."""

    update: RefUpdate
    certain: bool


class Journal:
    """Files are named `{time}-{branch key}-{new sha}`: a listing is in order of time and needs no reading."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def intend(
        self, place: Place, branch: str, old: str | None, new: str | None, by: str, at: datetime
    ) -> RefUpdate:
        """Write down a move that is about to happen; durable when this returns."""
        token = f"{at:%Y%m%dT%H%M%S%f}-{_key(place, branch)}-{new or _GONE}"
        update = RefUpdate(place=place, branch=branch, old=old, new=new, pushed_by=by, at=at, token=token)
        facts = {
            "tenant": place.tenant,
            "project": place.project,
            "name": place.name,
            "branch": branch,
            "old": old,
            "new": new,
            "pushed_by": by,
            "at": at.isoformat(),
        }
        partial = self._folder / f".{token}.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._folder / (token + _INTENT))
        self._sync()
        return update

    def happened(self, update: RefUpdate) -> None:
        """The ref moved. A crash before this is no loss: the intent is judged by the branch's head."""
        (self._folder / (update.token + _INTENT)).rename(self._folder / (update.token + _MOVED))

    def state(self, update: RefUpdate) -> Literal["intent", "moved", "gone"]:
        """Where the entry stands now; only exact for one who holds the repository's lock."""
        if (self._folder / (update.token + _INTENT)).exists():
            return "intent"
        return "moved" if (self._folder / (update.token + _MOVED)).exists() else "gone"

    def forget(self, token: str) -> None:
        """Drop an entry: recorded, or never happened. Twice is fine."""
        for suffix in (_MOVED, _INTENT):
            (self._folder / (token + suffix)).unlink(missing_ok=True)

    def settle(self, place: Place, branch: str, new: str | None) -> None:
        """Drop every entry that moved this branch to this sha."""
        for path in self._folder.glob(f"*-{_key(place, branch)}-{new or _GONE}.*"):
            path.unlink(missing_ok=True)

    def entries(self, before: datetime) -> list[Entry]:
        """Everything written at or before this time, oldest first. One directory listing."""
        paths = sorted(path for path in self._folder.iterdir() if path.suffix in {_INTENT, _MOVED})
        found = (self._read(path) for path in paths)
        return [entry for entry in found if entry is not None and entry.update.at <= before]

    def _read(self, path: Path) -> Entry | None:
        try:
            facts = json.loads(path.read_bytes())
        except FileNotFoundError:
            # Acknowledged, or renamed by its writer, since the listing; the next listing tells.
            return None
        update = RefUpdate(
            place=Place(facts["tenant"], facts["project"], facts["name"]),
            branch=facts["branch"],
            old=facts["old"],
            new=facts["new"],
            pushed_by=facts["pushed_by"],
            at=datetime.fromisoformat(facts["at"]),
            token=path.stem,
        )
        return Entry(update, certain=path.suffix == _MOVED)

    def _sync(self) -> None:
        # A rename is only durable once the folder is, or a power cut loses the entry and keeps the ref.
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _key(place: Place, branch: str) -> str:
    natural = "\0".join((place.tenant, place.project, place.name, branch))
    return hashlib.sha256(natural.encode()).hexdigest()[:16]
