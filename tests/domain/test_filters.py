"""Filters: what the grammar takes, what it refuses and where, and what a filter says of a document."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.kernel.filters import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_LEAVES,
    AllOf,
    AnyOf,
    BadFilter,
    Compare,
    Field,
    Filter,
    Not,
    Operator,
    all_of,
    conditions,
    evaluate,
    parse,
)


def read_colour(value: object) -> str:
    if value not in ("Red", "Blue"):
        raise ValueError("Must be Red or Blue.")
    return str(value).lower()


FIELDS = {
    "n": Field("number"),
    "colour": Field("colour", read_colour),
    "tags": Field("tags"),
    "owner.name": Field("owner.name"),
}
BODY = {"number": 3, "colour": "red", "tags": ["a", 1, None], "owner": {"name": "Ann"}, "nothing": None}


def wanted(**conditions: Any) -> Filter:
    return parse(json.dumps({name.replace("__", "."): value for name, value in conditions.items()}), FIELDS)


def test_a_scalar_is_equality_and_a_list_is_any_of() -> None:
    assert wanted(n=3) == Compare("number", Operator.EQ, 3)
    assert wanted(n=[3, 4]) == Compare("number", Operator.IN, (3, 4))


def test_several_conditions_hold_together() -> None:
    assert wanted(n={"gte": 1, "lt": 5}, colour="Red") == AllOf(
        (
            AllOf((Compare("number", Operator.GTE, 1), Compare("number", Operator.LT, 5))),
            Compare("colour", Operator.EQ, "red"),
        )
    )


def test_combinators_nest() -> None:
    assert parse('{"or": [{"n": 1}, {"not": {"and": [{"n": 2}]}}]}', FIELDS) == AnyOf(
        (Compare("number", Operator.EQ, 1), Not(AllOf((Compare("number", Operator.EQ, 2),))))
    )


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"n": 3}, True),
        ({"n": 3.0}, True),
        ({"n": "3"}, False),
        ({"n": True}, False),
        ({"n": {"ne": 4}}, True),
        ({"n": {"gt": 2}}, True),
        ({"n": {"gt": "2"}}, False),
        ({"n": {"lte": 3}}, True),
        ({"n": {"lt": 3}}, False),
        ({"n": {"nin": [1, 2]}}, True),
        ({"n": []}, False),
        ({"n": {"exists": True}}, True),
        ({"n": {"startsWith": "3"}}, False),
        ({"colour": "Red"}, True),
        ({"colour": {"ne": "Blue"}}, True),
        ({"tags": {"contains": "a"}}, True),
        ({"tags": {"contains": True}}, False),
        ({"tags": {"contains": "b"}}, False),
        ({"tags": "a"}, False),
        ({"owner.name": {"contains": "nn"}}, True),
        ({"owner.name": {"startsWith": "A"}}, True),
        ({"owner.name": {"gte": "Ann"}}, True),
    ],
    ids=str,
)
def test_a_condition_says_what_it_says(condition: dict[str, Any], holds: bool) -> None:
    assert evaluate(parse(json.dumps(condition), FIELDS), BODY) is holds


@pytest.mark.parametrize("body", [{}, {"number": None}], ids=["missing", "null"])
@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (None, True),
        ({"ne": 1}, True),
        ({"exists": False}, True),
        ({"exists": True}, False),
        ({"lt": 9}, False),
        ([1, None], True),
        ({"contains": "a"}, False),
        ({"nin": [1]}, True),
    ],
    ids=str,
)
def test_what_is_missing_is_null(body: dict[str, Any], condition: object, holds: bool) -> None:
    assert evaluate(parse(json.dumps({"n": condition}), FIELDS), body) is holds


def nested(depth: int) -> str:
    return '{"not":' * (depth - 1) + '{"n":1}' + "}" * (depth - 1)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "filter"),
        ("[]", "filter"),
        ("{}", "filter"),
        ("null", "filter"),
        ('{"n": NaN}', "filter"),
        ('{"n": 1, "n": 2}', "filter"),
        ('{"n": "\\ud800"}', "filter"),
        ("[" * 3000, "filter"),
        ('{"number": 1}', "filter.number"),
        ('{"n": {}}', "filter.n"),
        ('{"n": {"like": 1}}', "filter.n.like"),
        ('{"n": {"in": 1}}', "filter.n.in"),
        ('{"n": [[1]]}', "filter.n[0]"),
        ('{"n": {"eq": {}}}', "filter.n.eq"),
        ('{"n": {"gt": true}}', "filter.n.gt"),
        ('{"n": {"gt": null}}', "filter.n.gt"),
        ('{"n": {"exists": 1}}', "filter.n.exists"),
        ('{"n": {"contains": null}}', "filter.n.contains"),
        ('{"n": {"startsWith": 1}}', "filter.n.startsWith"),
        ('{"colour": {"startsWith": "R"}}', "filter.colour.startsWith"),
        ('{"or": []}', "filter.or"),
        ('{"and": {}}', "filter.and"),
        ('{"not": []}', "filter.not"),
        ('{"or": [{"n": 1}, {"colour": ["Red", "Green"]}]}', "filter.or[1].colour[1]"),
        (nested(MAX_DEPTH + 1), "filter.not.not.not.not.not"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_is_named_by_its_path(text: str, path: str) -> None:
    with pytest.raises(BadFilter) as bad:
        parse(text, FIELDS)
    assert [problem.field for problem in bad.value.problems] == [path]
    assert bad.value.problems[0].message.endswith(".")


def test_the_limits_themselves_are_within_the_limits() -> None:
    parse(nested(MAX_DEPTH), FIELDS)
    text = json.dumps({"or": [{"n": number} for number in range(MAX_LEAVES)]})
    parse(text, FIELDS)
    parse('{"n": ""}'.replace('""', f'"{"x" * (MAX_BYTES - 9)}"'), FIELDS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps({"or": [{"n": number} for number in range(MAX_LEAVES + 1)]}), "32 conditions"),
        ('{"n": ""}'.replace('""', f'"{"x" * (MAX_BYTES - 8)}"'), "4096 at most"),
        ('{"n": "\\u20ac"}'.replace("\\u20ac", "€" * 2000), "4096 at most"),
    ],
    ids=["leaves", "bytes", "bytes of UTF-8"],
)
def test_beyond_the_limits_a_filter_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadFilter, match=says):
        parse(text, FIELDS)


scalars = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0]) | st.sampled_from("abA1")
)
ordered = st.integers(-2, 2) | st.sampled_from("ab") | st.sampled_from([0.5, 1.0])
names = st.sampled_from(["x", "y", "z.w"])
operands = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.fixed_dictionaries({"eq": scalars}),
    st.fixed_dictionaries({"ne": scalars}),
    st.fixed_dictionaries({"in": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"nin": st.lists(scalars, max_size=3)}),
    *(st.fixed_dictionaries({word: ordered}) for word in ("gt", "gte", "lt", "lte")),
    st.fixed_dictionaries({"contains": ordered}),
    st.fixed_dictionaries({"startsWith": st.sampled_from(["", "a", "ab"])}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"gte": ordered, "lte": ordered}),
)
leaves = st.dictionaries(names, operands, min_size=1, max_size=2)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=5,
)
values = scalars | st.lists(scalars, max_size=2) | st.sampled_from(["ab", "ba"])
bodies = st.fixed_dictionaries(
    {}, optional={"x": values, "y": values, "z": st.dictionaries(st.just("w"), values)}
)


def naive(filter_: Any, body: dict[str, Any]) -> bool:
    """The grammar read straight off the JSON, written apart from the product."""
    return all(naive_member(name, value, body) for name, value in filter_.items())


def naive_member(name: str, value: Any, body: dict[str, Any]) -> bool:
    if name == "and":
        return all(naive(one, body) for one in value)
    if name == "or":
        return any(naive(one, body) for one in value)
    if name == "not":
        return not naive(value, body)
    found: Any = body.get("z", {}).get("w") if name == "z.w" else body.get(name)
    operators = value if isinstance(value, dict) else {"in" if isinstance(value, list) else "eq": value}
    return all(naive_leaf(word, found, operand) for word, operand in operators.items())


def typed(value: Any) -> tuple[str, Any]:
    return ("number", value) if type(value) in (int, float) else (type(value).__name__, value)


def naive_leaf(word: str, found: Any, operand: Any) -> bool:
    kind = typed(found)[0]
    operands = [typed(one) for one in operand] if isinstance(operand, list) else [typed(operand)]
    is_ordered = kind == operands[0][0] if operands else False
    checks: dict[str, Callable[[], bool]] = {
        "eq": lambda: typed(found) in operands,
        "ne": lambda: typed(found) not in operands,
        "in": lambda: typed(found) in operands,
        "nin": lambda: typed(found) not in operands,
        "exists": lambda: (found is None) != operand,
        "startsWith": lambda: kind == "str" and found[: len(operand)] == operand,
        "contains": lambda: (
            operands[0] in [typed(one) for one in found]
            if kind == "list"
            else kind == operands[0][0] == "str" and found.find(operand) >= 0
        ),
        "gt": lambda: is_ordered and found > operand,
        "gte": lambda: is_ordered and found >= operand,
        "lt": lambda: is_ordered and found < operand,
        "lte": lambda: is_ordered and found <= operand,
    }
    return bool(checks[word]())


@given(filters, bodies)
def test_a_filter_means_what_the_grammar_says(filter_: dict[str, Any], body: dict[str, Any]) -> None:
    parsed = parse(json.dumps(filter_), {name: Field(name) for name in ("x", "y", "z.w")})
    assert evaluate(parsed, body) is naive(filter_, body)
    assert all(evaluate(one, body) for one in conditions(parsed)) is naive(filter_, body)


@given(st.text(max_size=60) | st.text(alphabet='{}[]":,xnotradegi1', max_size=60))
def test_any_text_is_a_filter_or_a_named_mistake(text: str) -> None:
    with suppress(BadFilter):
        assert parse(text, {"x": Field("x")}) is not None


def test_nothing_to_say_is_no_filter() -> None:
    leaf = Compare("x", Operator.EQ, 1)
    assert (all_of([]), all_of([leaf]), all_of([leaf, leaf])) == (None, leaf, AllOf((leaf, leaf)))
    assert conditions(None) == ()
