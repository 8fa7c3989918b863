"""Fresh randomness for names, as a port."""

from typing import Protocol


class Ids(Protocol):
    def new(self) -> str:
        """32 hex digits that nobody has seen before."""
