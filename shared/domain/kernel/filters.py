"""The filter grammar of lists: JSON text to a checked tree, and what the tree says of a document.

Pure: it knows neither indexes nor stores. `{"status": "open", "or": [{"n": {"gt": 3}}, {"tag": ["a"]}]}`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.domain.kernel.errors import Invalid, Problem

MAX_BYTES = 4096
MAX_DEPTH = 5
MAX_LEAVES = 32

type Scalar = str | int | float | bool | None


class Operator(StrEnum):
    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NIN = "nin"
    CONTAINS = "contains"
    STARTS_WITH = "startsWith"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Compare:
    """One leaf. `field` is a stored name, dotted within objects; `value` is a tuple for `in` and `nin`."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    filters: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    filters: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    filter: "Filter"


type Filter = Compare | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Field:
    """A field that callers may filter and sort by: its stored name, and how their values become stored ones.

    `read` raises ValueError with a sentence for a value that the field cannot have. A field with `words` has
    no other values, and each says what it means of a document: a state as callers know it may be several
    stored ones.
    """

    stored: str
    read: Callable[[Scalar], Scalar] | None = None
    words: "Mapping[str, Filter] | None" = None


class BadFilter(Invalid):
    """The filter is malformed, too large, or names what cannot be filtered by. The problem has its path."""

    code = "invalid_filter"


def parse(text: str, fields: Mapping[str, Field]) -> Filter:
    """The filter in `text`, over `fields` by their names on the wire.

    Raises BadFilter at the first mistake, with the path to it: `filter.or[0].status.in[1]`.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise _bad("filter", "Is not valid Unicode.") from None
    if size > MAX_BYTES:
        raise _bad("filter", f"Has {size} bytes; write it in {MAX_BYTES} at most.")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # JSON can spell half a character
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _Repeated) else "Is not valid JSON; send an object."
        raise _bad("filter", reason) from None
    return _Parser(fields).filter(value, "filter", 1)


def equality(field: Field, value: Scalar, path: str) -> Filter:
    """What `field` having this value means. Raises BadFilter for a value that it cannot have."""
    if field.words is not None:
        return _meaning(field.words, value, path)
    return Compare(field.stored, Operator.EQ, _read(field, value, path))


def evaluate(wanted: Filter, body: Mapping[str, Any]) -> bool:
    """Whether a document's body satisfies the filter.

    A missing field is null. Numbers equal by value, everything else by type and value. Order holds between
    two numbers or two texts, and between nothing else.
    """
    match wanted:
        case AllOf(filters):
            return all(evaluate(one, body) for one in filters)
        case AnyOf(filters):
            return any(evaluate(one, body) for one in filters)
        case Not(inner):
            return not evaluate(inner, body)
        case Compare(name, operator, value):
            return _HOLDS[operator](_found(body, name), value)


def conditions(wanted: Filter | None) -> tuple[Filter, ...]:
    """What must hold all together, as far as the top of the filter says."""
    if wanted is None:
        return ()
    if isinstance(wanted, AllOf):
        return tuple(inner for one in wanted.filters for inner in conditions(one))
    return (wanted,)


def all_of(filters: Sequence[Filter]) -> Filter | None:
    """The filter that says all of these; None where there is nothing to say."""
    return None if not filters else filters[0] if len(filters) == 1 else AllOf(tuple(filters))


class _Parser:
    """One pass over one filter; counts its leaves."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = fields
        self._leaves = 0

    def filter(self, value: object, path: str, depth: int) -> Filter:
        if not isinstance(value, dict) or not value:
            raise _bad(path, 'Must be an object with a condition, such as {"status": "..."}.')
        if depth > MAX_DEPTH:
            raise _bad(path, f"Is nested deeper than {MAX_DEPTH} levels; write it flatter.")
        filters = [self._member(name, inner, f"{path}.{name[:80]}", depth) for name, inner in value.items()]
        return filters[0] if len(filters) == 1 else AllOf(tuple(filters))

    def _member(self, name: str, value: object, path: str, depth: int) -> Filter:
        match name:
            case "and":
                return AllOf(self._several(value, path, depth))
            case "or":
                return AnyOf(self._several(value, path, depth))
            case "not":
                return Not(self.filter(value, path, depth + 1))
            case _:
                return self._condition(name, value, path)

    def _several(self, value: object, path: str, depth: int) -> tuple[Filter, ...]:
        if not isinstance(value, list) or not value:
            raise _bad(path, "Must be a list of at least one filter.")
        return tuple(self.filter(one, f"{path}[{place}]", depth + 1) for place, one in enumerate(value))

    def _condition(self, name: str, value: object, path: str) -> Filter:
        field = self._fields.get(name)
        if field is None:
            known = ", ".join(sorted(self._fields)) or "nothing"
            raise _bad(path, f"This list cannot be filtered by it; filter by {known}.")
        if isinstance(value, list):
            return self._leaf(field, Operator.IN, value, path)
        if not isinstance(value, dict):
            return self._leaf(field, Operator.EQ, value, path)
        if not value:
            raise _bad(path, "Must have an operator, such as eq.")
        leaves = []
        for word, operand in value.items():
            if word not in Operator:
                raise _bad(f"{path}.{word[:80]}", f"Is no operator; use {', '.join(Operator)}.")
            leaves.append(self._leaf(field, Operator(word), operand, f"{path}.{word}"))
        return leaves[0] if len(leaves) == 1 else AllOf(tuple(leaves))

    def _leaf(self, field: Field, operator: Operator, value: object, path: str) -> Filter:
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            raise _bad(path, f"A filter has at most {MAX_LEAVES} conditions; ask for less at once.")
        if field.words is not None:
            return _worded(field.words, operator, value, path)
        return _compared(field, operator, value, path)


def _compared(field: Field, operator: Operator, value: object, path: str) -> Compare:
    match operator:
        case Operator.IN | Operator.NIN:
            if not isinstance(value, list):
                raise _bad(path, "Must be a list of values.")
            read = tuple(_read(field, one, f"{path}[{place}]") for place, one in enumerate(value))
            return Compare(field.stored, operator, read)
        case Operator.EXISTS:
            if not isinstance(value, bool):
                raise _bad(path, "Must be true or false.")
            return Compare(field.stored, operator, value)
        case Operator.STARTS_WITH:
            if not isinstance(value, str):
                raise _bad(path, "Must be a text.")
            if field.read is not None:
                raise _bad(path, "Works on plain texts only, and this field is none; use eq or in.")
            return Compare(field.stored, operator, value)
        case Operator.CONTAINS:
            if value is None:
                raise _bad(path, "Must be a text, a number, true or false.")
        case Operator.GT | Operator.GTE | Operator.LT | Operator.LTE:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise _bad(path, "Must be a number or a text.")
    return Compare(field.stored, operator, _read(field, value, path))


def _worded(words: Mapping[str, Filter], operator: Operator, value: object, path: str) -> Filter:
    """A condition on a field that has words: what they mean, one of them, or none of them."""
    match operator:
        case Operator.EQ:
            return _meaning(words, value, path)
        case Operator.NE:
            return Not(_meaning(words, value, path))
        case Operator.IN | Operator.NIN:
            if not isinstance(value, list):
                raise _bad(path, "Must be a list of values.")
            meant = AnyOf(tuple(_meaning(words, one, f"{path}[{at}]") for at, one in enumerate(value)))
            return meant if operator is Operator.IN else Not(meant)
    raise _bad(path, "Works on texts, numbers and times, and this field has a few words; use eq or in.")


def _meaning(words: Mapping[str, Filter], value: object, path: str) -> Filter:
    if isinstance(value, str) and value in words:
        return words[value]
    raise _bad(path, f"Must be one of {', '.join(words)}.")


def _read(field: Field, value: object, path: str) -> Scalar:
    if not (value is None or isinstance(value, str | int | float | bool)):
        raise _bad(path, "Must be a text, a number, true, false or null.")
    if value is None or field.read is None:
        return value
    try:
        return field.read(value)
    except ValueError as error:
        raise _bad(path, str(error)) from None


def _found(body: Mapping[str, Any], name: str) -> Any:
    value: Any = body
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(found: Any, value: Any) -> bool:
    if _is_number(found) and _is_number(value):
        return bool(found == value)
    return type(found) is type(value) and bool(found == value)


def _any_equal(found: Any, values: Any) -> bool:
    return any(_equal(found, value) for value in values)


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, list):
        return any(_equal(one, value) for one in found)
    return isinstance(found, str) and isinstance(value, str) and value in found


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(found: Any, value: Any) -> bool:
        is_comparable = (_is_number(found) and _is_number(value)) or (
            isinstance(found, str) and isinstance(value, str)
        )
        return is_comparable and holds(found, value)

    return check


_HOLDS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: _equal,
    Operator.NE: lambda found, value: not _equal(found, value),
    Operator.GT: _ordered(lambda found, value: found > value),
    Operator.GTE: _ordered(lambda found, value: found >= value),
    Operator.LT: _ordered(lambda found, value: found < value),
    Operator.LTE: _ordered(lambda found, value: found <= value),
    Operator.IN: _any_equal,
    Operator.NIN: lambda found, values: not _any_equal(found, values),
    Operator.CONTAINS: _contains,
    Operator.STARTS_WITH: lambda found, value: isinstance(found, str) and found.startswith(value),
    Operator.EXISTS: lambda found, value: (found is not None) is value,
}


class _Repeated(ValueError):
    """A name stands twice in one object."""


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise _Repeated(f"The name {name[:80]!r} stands twice in one object; use `and`.")
        made[name] = value
    return made


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _bad(path: str, message: str) -> BadFilter:
    return BadFilter(f"{path}: {message}", Problem(path, message, "invalid_filter"))
