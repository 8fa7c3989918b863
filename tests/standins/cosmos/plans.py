"""What the gateway makes of a query that has to be merged across partitions: a plan for the client to run."""

from typing import Any

from tests.standins.cosmos.errors import Refused, bad_request, not_offered
from tests.standins.cosmos.sql import Apply, Select

_NAMES = {"COUNT": "Count", "SUM": "Sum", "MIN": "Min", "MAX": "Max", "AVG": "Average"}


def needs_plan(query: Select) -> bool:
    """Whether the gateway leaves the merging of this query to the client."""
    bounded = query.top is not None or query.offset is not None
    return bool(query.order or query.aggregates or bounded)


def refused_without_plan() -> Refused:
    return bad_request(
        "The provided cross partition query can not be directly served by the gateway. This is a first "
        "chance (internal) exception that all newer clients will know how to handle gracefully.",
        1004,
    )


def cross_partition_disabled() -> Refused:
    return bad_request(
        "Cross partition query is required but disabled. Please set "
        "x-ms-documentdb-query-enablecrosspartition to true, "
        "specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
    )


def plan(query: Select) -> dict[str, Any]:
    aggregates = query.aggregates
    if aggregates and (query.order or query.items is None or len(query.items) > 1):
        raise not_offered("a plan for aggregates together with anything else")
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": {
            "distinctType": "None",
            "top": query.top,
            "offset": query.offset,
            "limit": query.limit,
            "orderBy": ["Descending" if order.descending else "Ascending" for order in query.order],
            "orderByExpressions": [order.text for order in query.order],
            "groupByExpressions": [],
            "groupByAliases": [],
            "aggregates": [_NAMES[aggregate.name] for aggregate in aggregates],
            "groupByAliasToAggregateType": {},
            "rewrittenQuery": _rewritten(query),
            "hasSelectValue": query.value,
            "dCountInfo": None,
            "hasNonStreamingOrderBy": False,
        },
        "queryRanges": [{"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}],
    }


def _rewritten(query: Select) -> str:
    where = f"WHERE ({query.where_text})" if query.where_text else ""
    if query.aggregates:
        assert query.items is not None
        return (
            f"SELECT VALUE [{_partial(query.aggregates[0], query.items[0][2])}]\nFROM {query.alias}\n{where}"
        )
    top = f"TOP {query.top} " if query.top is not None else ""
    bound = f"\nOFFSET 0 LIMIT {query.offset + (query.limit or 0)}" if query.offset is not None else ""
    if not query.order:
        return f"SELECT {top}{_selected(query)}\nFROM {query.alias}\n{where}{bound}"
    items = ", ".join(f'{{"item": {order.text}}}' for order in query.order)
    orders = ", ".join(f"{order.text} {'DESC' if order.descending else 'ASC'}" for order in query.order)
    # The client replaces the filter when it goes on inside a page; without a condition it stands alone.
    condition = f"({query.where_text}) AND " if query.where_text else ""
    return (
        f"SELECT {top}{query.alias}._rid, [{items}] AS orderByItems, {_payload(query)} AS payload\n"
        f"FROM {query.alias}\nWHERE {condition}({{documentdb-formattableorderbyquery-filter}})\n"
        f"ORDER BY {orders}{bound}"
    )


def _partial(aggregate: Apply, text: str) -> str:
    """What one partition adds to the aggregate: an average cannot be merged, so it adds sum and count."""
    if aggregate.name != "AVG":
        return f'{{"item": {text}}}'
    inside = text[text.index("(") : text.rindex(")") + 1]
    return f'{{"item": {{"sum": SUM{inside}, "count": COUNT{inside}}}}}'


def _selected(query: Select) -> str:
    if query.items is None:
        return "*"
    return ("VALUE " if query.value else "") + ", ".join(
        text if query.value or name.startswith("$") else f"{text} AS {name}" for name, _, text in query.items
    )


def _payload(query: Select) -> str:
    if query.items is None:
        return query.alias
    if query.value:
        return query.items[0][2]
    return "{" + ", ".join(f'"{name}": {text}' for name, _, text in query.items) + "}"
