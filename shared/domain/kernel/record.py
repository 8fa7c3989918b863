"""Which document kind and which consistency root a stored type belongs to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, dataclass_transform

from shared.domain.kernel.ids import Root, root_of


@dataclass(frozen=True, slots=True)
class RecordKind:
    """`kind` names the document, `root` the kind of root it lives in, `schema` the version new documents
    get."""

    kind: str
    root: str
    schema: int = 1

    def document(self, entity_id: str) -> str:
        return f"{self.kind}:{entity_id}"

    def root_of(self, entity_id: str) -> Root:
        return root_of(self.root, entity_id)


class Entity(Protocol):
    """A stored dataclass. `revision` counts its saved changes from 1 and is what an ETag says."""

    __record__: ClassVar[RecordKind]

    @property
    def id(self) -> str: ...
    @property
    def revision(self) -> int: ...


REGISTRY: dict[str, type[Entity]] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record[T](kind: str, *, root: str, schema: int = 1) -> Callable[[type[T]], type[T]]:
    """Make a class a frozen, keyword-only dataclass stored as `kind` in the partition of its `root`."""

    def register(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        made.__record__ = RecordKind(kind, root, schema)  # type: ignore[attr-defined]
        if kind in REGISTRY:
            raise TypeError(f"two records are called {kind}")
        REGISTRY[kind] = made  # type: ignore[assignment]
        return made

    return register
