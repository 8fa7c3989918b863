"""A resource as rules see it: plain values, and a mark where a preview cannot know one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Unknown:
    """Only known once it is deployed; then every rule is asked again."""

    def __repr__(self) -> str:
        return "(not known yet)"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Seen:
    """One resource. `kind` is its type without the provider; `references` say what each input is made of."""

    kind: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    protect: bool = False
    references: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        """By dotted path; None where there is nothing, UNKNOWN below what is not known."""
        value: Any = self.inputs
        for part in path.split("."):
            if value is UNKNOWN:
                return UNKNOWN
            if not isinstance(value, Mapping):
                return None
            value = value.get(part)
        return value

    def items(self, path: str) -> list[Any]:
        """A list by dotted path; empty where there is none, or none is known."""
        found = self.get(path)
        return found if isinstance(found, list) else []

    def refuses(self, path: str, *allowed: Any) -> bool:
        """Whether the value is known to be another than these. What is left out counts: Azure's defaults are
        the open ones."""
        found = self.get(path)
        return found is not UNKNOWN and found not in allowed
