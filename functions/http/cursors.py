"""Cursors: the place where a page ended, signed for one list as one tenant asks for it.

A cursor of another list, tenant, filter or sort does not verify here, so it can never lead anywhere else.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

from functions.http.fields import ListQuery
from shared.domain.kernel.canonical import canonical_json, sha256_hex
from shared.ports.signer import Signer
from shared.services.listing import Position

_PURPOSE = "list-cursor/1"
"""What is signed says what for, because the same key may sign other things."""


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes and reads the cursors of one list: `name` is its function, `path` its path arguments."""

    signer: Signer
    name: str
    tenant: str
    path: tuple[Any, ...]
    query: ListQuery

    def write(self, position: Position, before: int) -> str:
        """URL-safe text for the place after `before` items, the last of which is at `position`."""
        place = json.dumps([*position, before], separators=(",", ":")).encode()
        signature = self.signer.sign(self._signed(place))
        return base64.urlsafe_b64encode(bytes([len(signature)]) + signature + place).decode().rstrip("=")

    def read(self, cursor: str) -> tuple[Position, int]:
        """The position, and how many items lie before it. Raises ValueError for what `write` did not give."""
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if not packed:
            raise ValueError("not a cursor")
        end = 1 + packed[0]
        signature, place = packed[1:end], packed[end:]
        if not self.signer.verify(self._signed(place), signature):
            raise ValueError("not a cursor of this list")
        value, item, before = json.loads(place)
        return (value, item), before

    def _signed(self, place: bytes) -> bytes:
        asked = [_PURPOSE, self.name, self.tenant, [str(part) for part in self.path], self.query.criteria()]
        return sha256_hex(canonical_json(asked)).encode() + place
