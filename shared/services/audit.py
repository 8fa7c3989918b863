"""The audit chain of a consistency root: read, and verified link by link."""

from dataclasses import dataclass
from typing import Any

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import digest
from shared.domain.kernel.errors import NotFound
from shared.domain.kernel.ids import Root
from shared.ports.store import Store
from shared.services.unit import AUDIT_HEAD, GENESIS

PAGE = 500


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """Entries oldest first. `broken_at` is the sequence of the first entry whose hash or link does not
    hold."""

    root: str
    entries: tuple[dict[str, Any], ...]
    length: int
    head: str
    broken_at: int | None
    next: int | None = None

    @property
    def verified(self) -> bool:
        return self.broken_at is None


@dataclass(frozen=True, slots=True)
class Audit:
    store: Store

    async def trail(self, actor: Actor, root: Root, *, after: int = 0, limit: int = PAGE) -> AuditTrail:
        """Up to `limit` entries after sequence `after`, verified against each other and, at the end, the
        head."""
        partition = self.store.open(actor.tenant).partition(root)
        found = await partition.read([AUDIT_HEAD, _entry(after)])
        if AUDIT_HEAD not in found:
            raise NotFound("There is no such resource.")
        head = found[AUDIT_HEAD].body
        if after > head["sequence"]:
            return AuditTrail(str(root), (), head["sequence"], head["hash"], None)
        documents = await partition.scan("audit:", after=_entry(after), limit=limit)
        entries = tuple(document.body for document in documents)
        previous = found[_entry(after)].body["hash"] if after else GENESIS
        broken = first_broken(entries, after, previous)
        last = after + len(entries)
        if broken is None and last < head["sequence"] and len(entries) < limit:
            broken = last + 1
        if broken is None and last == head["sequence"] and entries and entries[-1]["hash"] != head["hash"]:
            broken = last
        more = last if last < head["sequence"] and entries else None
        return AuditTrail(str(root), entries, head["sequence"], head["hash"], broken, more)


def first_broken(entries: tuple[dict[str, Any], ...], after: int, previous: str) -> int | None:
    """The sequence of the first entry that does not follow from the one before it, or None."""
    for position, entry in enumerate(entries, start=after + 1):
        content = {key: value for key, value in entry.items() if key != "hash"}
        linked = entry["sequence"] == position and entry["previous"] == previous
        if not linked or digest(content).removeprefix("sha256:") != entry["hash"]:
            return position
        previous = entry["hash"]
    return None


def _entry(sequence: int) -> str:
    return f"audit:{sequence:010d}"
