"""The SQL that the document store sends to Cosmos DB. For declared indexes only; a list names its tenant.

Every text is served by the containers of `cosmos_indexing`: what orders by several paths has its composite.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from shared.adapters.azure.cosmos_indexing import EXPIRES_AT, ID, KIND, TENANT, Path, ordering
from shared.ports.index import Index
from shared.ports.store import Document, Query

type Parameters = list[dict[str, Any]]
type Statement = tuple[str, Parameters]


def list_statement(tenant: str, index: Index, query: Query, now: int) -> Statement:
    """One page of an index within one tenant; `now` is in microseconds."""
    values: dict[str, Any] = {
        "@tenant": tenant,
        "@kind": index.kind,
        "@now": now,
        "@skip": query.skip,
        "@limit": query.limit,
        **{f"@equal{place}": query.where[name] for place, name in enumerate(index.equal)},
    }
    if query.after is not None:
        values["@value"], values["@after"] = query.after
    return list_sql(index, query.descending, query.after is not None), _parameters(values)


def read_statement(ids: Sequence[str]) -> Statement:
    """The documents of one partition with these ids."""
    names = [f"@id{place}" for place in range(len(ids))]
    sql = f"SELECT * FROM c WHERE {_name(ID)} IN ({', '.join(names)})"  # noqa: S608 - only names of parameters
    return sql, _parameters(dict(zip(names, ids, strict=True)))


def scan_statement(prefix: str, after: str, limit: int, now: int) -> Statement:
    """The documents of one partition whose id starts with `prefix` and is greater than `after`, by id."""
    values = {"@prefix": prefix, "@after": after, "@limit": limit, "@now": now}
    return _SCAN, _parameters(values)


def in_order(documents: Iterable[Document], query: Query) -> list[Document]:
    """Pages of several partition ranges, each in its own order, as one page: numbers before texts."""

    def place(document: Document) -> tuple[bool, Any, str]:
        value = document.body[query.order]
        return isinstance(value, str), value, document.id

    merged = sorted(documents, key=place, reverse=query.descending)
    return merged[query.skip : query.skip + query.limit]


@cache
def list_sql(index: Index, descending: bool, is_after: bool) -> str:
    order, position = ordering(index), _name(("body", index.order))
    terms = [
        f"{_name(TENANT)} = @tenant",
        f"{_name(KIND)} = @kind",
        *(f"{_name(('body', name))} = @equal{place}" for place, name in enumerate(index.equal)),
        f"IS_DEFINED({position})",
        f"NOT IS_NULL({position})",
    ]
    if is_after:
        over = "<" if descending else ">"
        # The first term is a range that the index seeks; the second only drops the last page's equals.
        terms += [f"{position} {over}= @value", f"({position} {over} @value OR {_name(ID)} {over} @after)"]
    direction = " DESC" if descending else " ASC"
    return (
        f"SELECT * FROM c WHERE {' AND '.join([*terms, _ALIVE])}"  # noqa: S608 - names are checked, values bound
        f" ORDER BY {', '.join(_name(path) + direction for path in order)} OFFSET @skip LIMIT @limit"
    )


def _name(path: Path) -> str:
    return "c" + "".join(f'["{name}"]' for name in path)


def _parameters(values: dict[str, Any]) -> Parameters:
    return [{"name": name, "value": value} for name, value in values.items()]


_ALIVE = f"(NOT IS_DEFINED({_name(EXPIRES_AT)}) OR {_name(EXPIRES_AT)} > @now)"
_SCAN = (
    f"SELECT * FROM c WHERE STARTSWITH({_name(ID)}, @prefix) AND {_name(ID)} > @after AND {_ALIVE}"  # noqa: S608
    f" ORDER BY {_name(ID)} ASC OFFSET 0 LIMIT @limit"
)
