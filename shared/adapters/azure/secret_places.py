"""Where a tenant's secret lies in a vault that is flat, and what its tags say. Reads and writes nothing.

A tenant and a name of 127 characters do not fit into a name of 127 characters, so the place is a digest of
both. Two readable parts stand before it for people; the digest alone tells secrets apart.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from shared.adapters.secret_rules import check_name
from shared.domain.kernel.errors import Invalid
from shared.ports.vault import SecretOwner

TENANT, NAME, SET_AT, GONE = "tenant", "name", "setAt", "gone"
"""Our tags. A version without them was set by an operator's tool."""

_VERSION = re.compile(r"[0-9A-Za-z]{1,64}")
_TAG_CHARACTERS = 256
_PART_CHARACTERS = 36


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """One secret of one tenant. `key` is its name in the vault: equal for names that differ in case only."""

    tenant: str
    name: str
    key: str

    @classmethod
    def of(cls, tenant: str, name: str) -> Self:
        """Raises Invalid for a name that is not 1-127 letters, digits and dashes."""
        check_name(name)
        both = json.dumps([tenant, name.lower()]).encode("ascii")
        digest = base64.b32encode(hashlib.sha256(both).digest()).decode("ascii").rstrip("=").lower()
        return cls(tenant, name, f"{_readable(tenant)}-{_readable(name)}-{digest}")

    def tags(self, set_at: datetime) -> dict[str, str]:
        """Key Vault keeps creation times in whole seconds; `setAt` orders the versions of one second."""
        return {TENANT: _tag(self.tenant), NAME: self.name, SET_AT: set_at.isoformat(timespec="microseconds")}


def is_version(version: str) -> bool:
    """Whether a vault could have made it. Any other text could name another resource in the request."""
    return _VERSION.fullmatch(version) is not None


def name_in(tags: Mapping[str, str] | None, otherwise: str) -> str:
    return (tags or {}).get(NAME, otherwise)


def owner_in(tags: Mapping[str, str] | None) -> SecretOwner | None:
    """None for what an operator's tool has set, and for a tenant whose name no tag can hold."""
    told = tags or {}
    try:
        check_name(told.get(NAME, ""))
    except Invalid:
        return None
    return SecretOwner(told[TENANT], told[NAME]) if told.get(TENANT) else None


def order_in(tags: Mapping[str, str] | None) -> str:
    return (tags or {}).get(SET_AT, "")


def is_gone(tags: Mapping[str, str] | None) -> bool:
    """Whether the version was deleted by us. It may stand in the vault again, when its name is used anew."""
    return GONE in (tags or {})


def _readable(text: str) -> str:
    return re.sub(r"[^0-9a-z]+", "-", text.lower())[:_PART_CHARACTERS].strip("-") or "x"


def _tag(text: str) -> str:
    """As it is where a tag can hold it. What names a tenant comes from an issuer, and may be anything."""
    if len(text) <= _TAG_CHARACTERS and text.isprintable():
        return text
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
