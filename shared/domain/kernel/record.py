"""Which document kind and which consistency root a stored type belongs to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, dataclass_transform

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


class Entity:
    """What every record class inherits: `@record("branch", root="repository") class Branch(Entity): ...`.

    `revision` counts the saved changes from 1 and is what an ETag says.
    """

    __slots__ = ()
    __record__: ClassVar[RecordKind]
    id: str
    revision: int


REGISTRY: dict[str, type[Entity]] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record[T: Entity](kind: str, *, root: str, schema: int = 1) -> Callable[[type[T]], type[T]]:
    """Make a class a frozen, keyword-only dataclass stored as `kind` in the partition of its `root`."""

    def register(cls: type[T]) -> type[T]:
        if not issubclass(cls, Entity):
            raise TypeError(f"{cls.__name__} has to inherit Entity to be a record")
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        made.__record__ = RecordKind(kind, root, schema)
        if kind in REGISTRY:
            raise TypeError(f"two records are called {kind}")
        REGISTRY[kind] = made
        return made

    return register
