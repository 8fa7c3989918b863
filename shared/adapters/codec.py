"""Stored dataclasses to JSON-ready documents and back, with pydantic's TypeAdapter and a schema version."""

from collections.abc import Callable, Hashable
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, cast, get_args, get_type_hints

from pydantic import TypeAdapter

from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.record import Entity

type Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

# (kind, from version) -> the step to the next version. A stored sample of every version stays in the tests.
UPGRADES: dict[tuple[str, int], Upgrade] = {}


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type[Any], kind))


@cache
def _times(kind: Hashable) -> tuple[str, ...]:
    """The fields that hold a time."""
    record = cast(type[Any], kind)
    hints = get_type_hints(record)
    return tuple(
        field.name
        for field in fields(record)
        if datetime in (hints[field.name], *get_args(hints[field.name]))
    )


class RecordCodec:
    """The Codec port. Times are written as RFC 3339 with six digits and `Z`, so that text order is time
    order."""

    def encode(self, entity: Entity) -> dict[str, Any]:
        body = cast(dict[str, Any], _adapter(cast(Hashable, type(entity))).dump_python(entity, mode="json"))
        for name in _times(cast(Hashable, type(entity))):
            body[name] = _fixed_width(body[name])
        body["schema"] = entity.__record__.schema
        return body

    def decode[T: Entity](self, kind: type[T], body: dict[str, Any]) -> T:
        record = kind.__record__
        version = body.get("schema", 1)
        if version > record.schema:
            raise Permanent(f"A {record.kind} was written by a newer version of Slipway (schema {version}).")
        while version < record.schema:
            body = UPGRADES[record.kind, version](body)
            version += 1
        return cast(
            T,
            _adapter(cast(Hashable, kind)).validate_python({k: v for k, v in body.items() if k != "schema"}),
        )


def _fixed_width(text: str | None) -> str | None:
    """pydantic leaves a zero fraction out, which would break the order of texts within a second."""
    return text[:-1] + ".000000Z" if text is not None and len(text) == len("2026-01-01T00:00:00Z") else text
