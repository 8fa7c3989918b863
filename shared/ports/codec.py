"""Stored types to documents and back."""

from typing import Any, Protocol

from shared.domain.kernel.record import Entity


class Codec(Protocol):
    def encode(self, entity: Entity) -> dict[str, Any]:
        """JSON-ready; carries the schema version it was written with."""

    def decode[T: Entity](self, kind: type[T], body: dict[str, Any]) -> T:
        """Reads every schema version ever written, upgrading old ones."""
