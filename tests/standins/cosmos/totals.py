"""Aggregates over the items that a query found."""

from collections.abc import Sequence
from typing import Any

from tests.standins.cosmos.errors import bad_request, not_offered
from tests.standins.cosmos.evaluate import compiled, rank, sort_key
from tests.standins.cosmos.sql import UNDEFINED, Apply, ArrayOf, Constant, Node, ObjectOf, Select


def total(query: Select, documents: Sequence[dict[str, Any]]) -> Any:
    """The one result of a query with aggregates."""
    assert query.items is not None
    if query.offset is not None or query.top is not None:
        raise not_offered("TOP or OFFSET LIMIT together with an aggregate")
    if query.value:
        return _folded(query.items[0][1], documents)
    return {
        name: value for name, node, _ in query.items if (value := _folded(node, documents)) is not UNDEFINED
    }


def _folded(node: Node, documents: Sequence[dict[str, Any]]) -> Any:
    match node:
        case Constant(value):
            return value
        case ArrayOf(items):
            return [value for item in items if (value := _folded(item, documents)) is not UNDEFINED]
        case ObjectOf(entries):
            pairs = ((name, _folded(inner, documents)) for name, inner in entries)
            return {name: value for name, value in pairs if value is not UNDEFINED}
        case Apply("COUNT" | "SUM" | "MIN" | "MAX" | "AVG" as name, (argument,)):
            evaluate = compiled(argument)
            return _aggregate(name, [v for doc in documents if (v := evaluate(doc)) is not UNDEFINED])
    raise bad_request("A query with an aggregate may not select anything else without GROUP BY.")


def _aggregate(name: str, values: list[Any]) -> Any:
    if name == "COUNT":
        return len(values)
    if name in {"MIN", "MAX"}:
        if not values:
            return UNDEFINED
        return (min if name == "MIN" else max)(values, key=sort_key)
    if any(rank(value) != 4 for value in values):
        return UNDEFINED
    if name == "SUM":
        return sum(values)
    return sum(values) / len(values) if values else UNDEFINED
