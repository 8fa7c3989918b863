"""Which queries a document store allows. Apart from the store: whatever starts has to know the names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Index:
    """A query that is allowed: equality on `equal` fields of a kind, in the order of one `order` field,
    then id.

    `equal` fields hold texts, whole numbers or booleans; every document of the kind has its `order` field.
    """

    kind: str
    equal: tuple[str, ...]
    order: str
