"""Pipeline definitions as text: the domain says what may be in one, the adapter how it is written."""

from typing import Protocol

from shared.domain.pipelines.definition import Definition


class Definitions(Protocol):
    def render(self, definition: Definition) -> bytes:
        """The text of a definition: equal definitions give equal bytes on every machine."""

    def parse(self, text: bytes) -> Definition:
        """What a text says that anyone may have edited. Raises InvalidDefinition with every problem."""
