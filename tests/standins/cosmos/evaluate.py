"""What an expression says of an item: three-valued logic, types that never mix, and undefined.

By the documented tables: to compare different types, or to order objects or arrays, is undefined.
"""

import operator
from collections.abc import Callable
from typing import Any

from tests.standins.cosmos.errors import bad_request, not_offered
from tests.standins.cosmos.sql import (
    AGGREGATES,
    UNDEFINED,
    Apply,
    ArrayOf,
    Constant,
    Node,
    ObjectOf,
    Property,
)

type Value = Any
type Evaluate = Callable[[dict[str, Any]], Value]

_RANKS = {bool: 2, int: 4, float: 4, str: 5, list: 6, dict: 7, type(None): 1, type(UNDEFINED): 0}
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def compiled(node: Node) -> Evaluate:
    match node:
        case Constant(value):
            return lambda _: value
        case Property(path):
            return _property(path)
        case ArrayOf(items):
            parts = [compiled(item) for item in items]
            return lambda doc: [found for part in parts if (found := part(doc)) is not UNDEFINED]
        case ObjectOf(entries):
            named = [(name, compiled(inner)) for name, inner in entries]
            return lambda doc: {name: found for name, part in named if (found := part(doc)) is not UNDEFINED}
        case Apply(name, arguments):
            return _applied(name, [compiled(argument) for argument in arguments])


def rank(value: Value) -> int:
    """Of the value's type in the order of types: undefined, null, booleans, numbers, strings, the rest."""
    return _RANKS[type(value)]


def sort_key(value: Value) -> tuple[int, Value]:
    kind = rank(value)
    return kind, (value if kind in {2, 4, 5} else 0)


def equal(left: Value, right: Value) -> Value:
    if left is UNDEFINED or right is UNDEFINED or rank(left) != rank(right):
        return UNDEFINED
    return _same(left, right)


def _same(left: Value, right: Value) -> bool:
    """Deep equality in which `true` is not 1."""
    if rank(left) != rank(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    return bool(left == right)


def _property(path: tuple[str | int, ...]) -> Evaluate:
    def find(doc: dict[str, Any]) -> Value:
        value: Any = doc
        for step in path:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step, UNDEFINED)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return UNDEFINED
        return value

    return find


def _applied(name: str, parts: list[Evaluate]) -> Evaluate:
    if name in AGGREGATES:
        raise bad_request(f"Cannot perform an aggregate function, {name}, on an expression here.")
    if name in {"AND", "OR"}:
        return _junction(parts[0], parts[1], stop=name == "OR")
    if name not in _FUNCTIONS:
        raise not_offered(f"the function {name}")
    least, most, function = _FUNCTIONS[name]
    if not least <= len(parts) <= most:
        raise bad_request(f"The function {name} does not take {len(parts)} arguments.")
    if len(parts) == 1:
        only = parts[0]
        return lambda doc: function(only(doc))
    if len(parts) == 2:
        first, second = parts
        return lambda doc: function(first(doc), second(doc))
    return lambda doc: function(*[part(doc) for part in parts])


def _junction(left: Evaluate, right: Evaluate, *, stop: bool) -> Evaluate:
    """AND and OR: `stop` decides alone; what is no boolean is undefined and decides nothing."""

    def decide(doc: dict[str, Any]) -> Value:
        first = left(doc)
        if first is stop:
            return stop
        second = right(doc)
        if second is stop:
            return stop
        return (not stop) if first is second is (not stop) else UNDEFINED

    return decide


def _not(value: Value) -> Value:
    return (not value) if isinstance(value, bool) else UNDEFINED


def _unequal(left: Value, right: Value) -> Value:
    return _not(equal(left, right))


def _ordering(symbol: str) -> Callable[[Value, Value], Value]:
    compare = _COMPARISONS[symbol]

    def ordered(left: Value, right: Value) -> Value:
        kind = rank(left)
        if kind != rank(right) or kind not in {1, 2, 4, 5}:
            return UNDEFINED
        return compare(sort_key(left), sort_key(right))

    return ordered


def _in(value: Value, *items: Value) -> Value:
    """As the equalities with OR between them."""
    answers = [equal(value, item) for item in items]
    if True in answers:
        return True
    return UNDEFINED if UNDEFINED in answers else False


def _arithmetic(symbol: str) -> Callable[[Value, Value], Value]:
    compute = _ARITHMETIC[symbol]
    return lambda left, right: compute(left, right) if rank(left) == rank(right) == 4 else UNDEFINED


def _text(function: Callable[..., Value]) -> Callable[..., Value]:
    """A function of strings: undefined for anything else."""
    return lambda *values: function(*values) if all(isinstance(v, str) for v in values) else UNDEFINED


def _search(test: Callable[[str, str], bool]) -> Callable[..., Value]:
    """A test of two strings, that takes as a third argument whether case is ignored."""

    def search(text: Value, part: Value, ignore_case: Value = False) -> Value:
        if not (isinstance(text, str) and isinstance(part, str) and isinstance(ignore_case, bool)):
            return UNDEFINED
        return test(text.lower(), part.lower()) if ignore_case else test(text, part)

    return search


def _array_contains(items: Value, wanted: Value) -> Value:
    if not isinstance(items, list):
        return False if items is not UNDEFINED else UNDEFINED
    return any(_same(item, wanted) for item in items)


_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Value]]] = {
    "=": (2, 2, equal),
    "!=": (2, 2, _unequal),
    **{symbol: (2, 2, _ordering(symbol)) for symbol in _COMPARISONS},
    **{symbol: (2, 2, _arithmetic(symbol)) for symbol in _ARITHMETIC},
    "||": (2, 2, _text(operator.add)),
    "NOT": (1, 1, _not),
    "IN": (2, 2001, _in),
    "IS_DEFINED": (1, 1, lambda value: value is not UNDEFINED),
    "IS_NULL": (1, 1, lambda value: value is None),
    "IS_STRING": (1, 1, lambda value: rank(value) == 5),
    "IS_NUMBER": (1, 1, lambda value: rank(value) == 4),
    "IS_BOOL": (1, 1, lambda value: rank(value) == 2),
    "IS_ARRAY": (1, 1, lambda value: rank(value) == 6),
    "IS_OBJECT": (1, 1, lambda value: rank(value) == 7),
    "IS_PRIMITIVE": (1, 1, lambda value: rank(value) in {1, 2, 4, 5}),
    "STARTSWITH": (2, 3, _search(str.startswith)),
    "ENDSWITH": (2, 3, _search(str.endswith)),
    "CONTAINS": (2, 3, _search(lambda text, part: part in text)),
    "STRINGEQUALS": (2, 3, _search(operator.eq)),
    "ARRAY_CONTAINS": (2, 2, _array_contains),
    "ARRAY_LENGTH": (1, 1, lambda value: len(value) if isinstance(value, list) else UNDEFINED),
    "LENGTH": (1, 1, _text(len)),
    "LOWER": (1, 1, _text(str.lower)),
    "UPPER": (1, 1, _text(str.upper)),
    "CONCAT": (2, 200, _text(lambda *values: "".join(values))),
}
