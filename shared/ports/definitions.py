"""Pipeline definitions as text: the domain says what may be in one, the adapter how it is written."""

from typing import Protocol

from shared.domain.kernel.errors import Problem
from shared.domain.pipelines.definition import Definition
from shared.domain.source.model import Provider


class Definitions(Protocol):
    def render(self, definition: Definition) -> bytes:
        """The text of a definition: equal definitions give equal bytes on every machine."""

    def parse(self, text: bytes) -> Definition:
        """What a text says that anyone may have edited. Raises InvalidDefinition with every problem."""

    def lint(self, provider: Provider, text: bytes) -> tuple[Problem, ...]:
        """What is wrong with a text that is to be committed for the pipelines of that provider."""
