"""Documents as items of the container, and back. Knows how both are written, never whether one is current.

An item is {id, tenantId, root, kind, body, write, expiresAt?, ttl?}: `write` names the batch that wrote it
last, `expiresAt` (microseconds) is the moment it is gone by our clock, and `ttl` has Cosmos remove it later.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.ports.store import Document, Write

type Item = Mapping[str, Any]

# The clocks of this process and of Cosmos differ, and what Cosmos removes too early is lost.
_KEPT_LONGER = timedelta(minutes=5)
_MAX_TTL = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ETAG = re.compile(r'("[^"]+")(?:@(-?[0-9]+))?')


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a document, as its etag names it: Cosmos's own etag, and when the version is gone.

    Cosmos accepts the etag of an item that our clock says is gone; so the moment travels with the etag, and a
    commit needs no read to find out.
    """

    etag: str
    expires_at: int | None

    def __str__(self) -> str:
        return self.etag if self.expires_at is None else f"{self.etag}@{self.expires_at}"

    @classmethod
    def parse(cls, etag: str | None) -> "Version | None":
        """None where it is no etag of this store, which then is nobody's current version."""
        found = _ETAG.fullmatch(etag or "")
        return None if found is None else cls(found[1], None if found[2] is None else int(found[2]))

    def is_alive(self, now: int) -> bool:
        return self.expires_at is None or self.expires_at > now


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970, exactly: a float of seconds would lose the last one."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def item_of(write: Write, key: tuple[str, ...], batch: str, now: datetime) -> dict[str, Any]:
    tenant, root = key
    item: dict[str, Any] = {
        "id": write.id,
        "tenantId": tenant,
        "root": root,
        "kind": write.kind,
        "body": write.body,
        "write": batch,
    }
    if write.expires_at is not None:
        left = -((now - write.expires_at - _KEPT_LONGER) // timedelta(seconds=1))
        item |= {"expiresAt": micros(write.expires_at), "ttl": min(max(left, 1), _MAX_TTL)}
    return item


def version_of(item: Item) -> Version:
    return Version(item["_etag"], item.get("expiresAt"))


def is_alive(item: Item, now: int) -> bool:
    return version_of(item).is_alive(now)


def document_of(item: Item) -> Document:
    return Document(
        item["tenantId"],
        item["root"],
        item["id"],
        item["kind"],
        item["body"],
        str(version_of(item)),
        item.get("_lsn", 0),
    )
