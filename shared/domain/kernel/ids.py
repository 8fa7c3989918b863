"""Ids that carry their consistency root, so that every GET by id is one point read.

An id is 32 hex digits of a UUID. A root's id is a UUIDv5 (of its natural key, or of a nonce); a child's id
is a
UUIDv8 whose 60 leading custom bits are its root's, so that the partition is read off any id of the tree.
No index,
no lookup document, no query. Surfaces write ids with a prefix (`rel-` + hex) or with dashes and read both
forms.
"""

import hashlib
import re
import uuid
from dataclasses import dataclass

_NAMESPACE = uuid.UUID("5f1b8f0e-3c0a-5d9e-9a57-1b7c1d3f4a60")
_HEX = re.compile(r"[0-9a-f]{32}")
_DASHED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Root:
    """A consistency root: what must change together shares it. Written into the partition key."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"


def root_id(kind: str, tenant: str, *natural: str) -> str:
    """The id of a root: the same parts give the same id, so that a second create conflicts in one
    partition."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join((kind, tenant, *natural))).hex


def child_id(root: str, kind: str, *parts: str) -> str:
    """The id of a thing inside the root with id `root` (or of any id in that tree), derived from `parts`."""
    key = _key(root)
    tail = int.from_bytes(hashlib.sha256("\x1f".join((root, kind, *parts)).encode()).digest()[:8]) & (
        (1 << 62) - 1
    )
    return f"{key[:12]}8{key[12:]}{(0b10 << 62) | tail:016x}"


def root_of(kind: str, any_id: str) -> Root:
    """The root of that kind whose tree `any_id` belongs to."""
    return Root(kind, _key(any_id))


def _key(any_id: str) -> str:
    # Nibble 12 is the UUID version; the twelve before and the three after it are the root's own.
    return any_id[:12] + any_id[13:16]


def parse_id(text: str, prefix: str) -> str | None:
    """The 32 hex digits of an id in any written form (`prefix-hex`, hex, dashed), or None where it is
    none."""
    text = text.removeprefix(prefix + "-")
    if _HEX.fullmatch(text):
        return text
    return text.replace("-", "") if _DASHED.fullmatch(text) else None


def dashed(any_id: str) -> str:
    return str(uuid.UUID(any_id))
