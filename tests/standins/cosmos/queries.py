"""Runs one query over a range of keys, page by page, and refuses what Azure refuses."""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json, to_json

from tests.standins.cosmos import charges
from tests.standins.cosmos.documents import Documents, json_path
from tests.standins.cosmos.errors import Refused, bad_request, not_offered
from tests.standins.cosmos.evaluate import compiled, sort_key
from tests.standins.cosmos.feed import MAX_PAGE_BYTES, Span
from tests.standins.cosmos.sql import UNDEFINED, Apply, Constant, Node, Property, Select
from tests.standins.cosmos.totals import total

DEFAULT_PAGE = 100
_LAST = "\U0010ffff"
"""Sorts behind every other character."""
_RANKS = (
    "WHEN 'null' THEN 1 WHEN 'true' THEN 2 WHEN 'false' THEN 2 WHEN 'integer' THEN 4 WHEN 'real' THEN 4 "
    "WHEN 'text' THEN 5 WHEN 'array' THEN 6 WHEN 'object' THEN 7"
)
_SQL_COMPARISONS = {"=", "<", "<=", ">", ">="}


@dataclass(frozen=True, slots=True)
class Page:
    """`texts` are the results as JSON. Without a continuation there are no more."""

    texts: list[str]
    continuation: str | None
    charge: float


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    document: dict[str, Any]
    text: str
    order: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a page ended: the last item, its values in the order, what is still to leave out and to give."""

    number: int = 0
    order: tuple[Any, ...] = ()
    skip: int = 0
    left: int | None = None


def run(documents: Documents, span: Span, query: Select, text: str, limit: int, token: str | None) -> Page:
    """One page of at most `limit` results and 4 MB. `text` is what a continuation is bound to."""
    _check_order(documents, query)
    position = _opened(token, text) if token else _Position(skip=query.offset or 0, left=_most(query))
    matches = _Matches(documents, span, query, position)
    if query.aggregates:
        results = [to_json(total(query, [row.document for row in matches])).decode()]
        return Page(results, None, matches.charge(0))
    texts, end = _cut(query, matches, position, limit)
    return Page(texts, _closed(end, text) if end else None, matches.charge(sum(map(len, texts))))


class _Matches:
    """What satisfies the condition behind a position, in the query's order; and what looking has cost."""

    def __init__(self, documents: Documents, span: Span, query: Select, position: _Position) -> None:
        where, values = span.sql()
        more, constants = _superset(documents, query.where)
        if not query.order:
            more += " AND number > ?"
            constants.append(position.number)
        self._rows = documents.rows(where + more, [*values, *constants], _order_sql(query))
        self._test = compiled(query.where or Constant(True))
        self._keys = [(compiled(order.by), order.descending) for order in query.order]
        self._position = position
        self._is_indexed = _is_indexed(documents, query.where)
        self._loaded = self._found = 0

    def __iter__(self) -> Iterator[_Row]:
        for number, doc, _ in self._rows:
            self._loaded += 1
            document = from_json(doc)
            if self._test(document) is True:
                self._found += 1
                row = _Row(number, document, doc, tuple(sort_key(key(document)) for key, _ in self._keys))
                if not self._position.order or self._is_behind(row):
                    yield row

    def _is_behind(self, row: _Row) -> bool:
        """Not by finding the item of the position, which may be gone by now, but where it lay."""
        for (_, descending), mine, last in zip(self._keys, row.order, self._position.order, strict=True):
            if mine != last:
                return bool(mine > last) != descending
        return row.number > self._position.number

    def charge(self, size: int) -> float:
        """Without an index everything is loaded, and what does not match is loaded for nothing."""
        scanned = 0 if self._is_indexed else self._loaded - self._found
        return charges.query(self._loaded, scanned, size)


def _cut(
    query: Select, found: Iterable[_Row], at: _Position, limit: int
) -> tuple[list[str], _Position | None]:
    """The page, and where it ended if there is more."""
    shape = _shape(query)
    texts: list[str] = []
    size = 0
    for row in found:
        if at.left == 0:
            return texts, None
        if at.skip:
            at = replace(at, number=row.number, order=row.order, skip=at.skip - 1)
            continue
        if len(texts) == limit or (texts and size + len(row.text) > MAX_PAGE_BYTES):
            return texts, at
        if (result := shape(row)) is not None:
            texts.append(result)
            size += len(result)
        left = None if at.left is None else at.left - 1
        at = _Position(row.number, row.order, 0, left)
    return texts, None


def _shape(query: Select) -> Any:
    """A function from a row to its result as JSON, or None where it has none."""
    if query.items is None:
        return lambda row: row.text
    if query.value:
        value = compiled(query.items[0][1])
        return lambda row: None if (x := value(row.document)) is UNDEFINED else to_json(x).decode()
    columns = [(name, compiled(node)) for name, node, _ in query.items]
    return lambda row: to_json(
        {name: x for name, column in columns if (x := column(row.document)) is not UNDEFINED}
    ).decode()


def _most(query: Select) -> int | None:
    return query.top if query.top is not None else query.limit


def _check_order(documents: Documents, query: Select) -> None:
    """An order is served by an index or not at all."""
    indexing = documents.container.indexing
    paths: list[tuple[str, ...]] = []
    for order in query.order:
        if not isinstance(order.by, Property) or not all(isinstance(step, str) for step in order.by.path):
            raise bad_request(
                "Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a document "
                "path."
            )
        paths.append(tuple(str(step) for step in order.by.path))
    if query.order and query.aggregates:
        raise not_offered("ORDER BY together with an aggregate")
    if len(paths) == 1 and not indexing.covers(paths[0]):
        raise bad_request("The index path corresponding to the specified order-by item is excluded.")
    pairs = [(path, order.descending) for path, order in zip(paths, query.order, strict=True)]
    if len(paths) > 1 and not indexing.serves(pairs):
        raise bad_request(
            "The order by query does not have a corresponding composite index that it can be served from."
        )


def _terms(node: Node | None) -> Iterable[Node]:
    """What has to hold all together."""
    match node:
        case None:
            return
        case Apply("AND", arguments):
            for argument in arguments:
                yield from _terms(argument)
        case _:
            yield node


def _is_indexed(documents: Documents, where: Node | None) -> bool:
    """Whether the index can answer at least one term, so that not everything has to be loaded."""
    if where is None:
        return True
    for term in _terms(where):
        match term:
            case Apply(_, (Property(path), *_)) if path and all(isinstance(step, str) for step in path):
                if documents.container.indexing.covers(tuple(str(step) for step in path)):
                    return True
            case _:
                continue
    return False


def _superset(documents: Documents, where: Node | None) -> tuple[str, list[Any]]:
    """SQL for what an index could answer, letting through at least what the query does."""
    sql = ""
    values: list[Any] = []
    for term in _terms(where):
        match term:
            case Apply(symbol, (Property(path), Constant(value))) if symbol in _SQL_COMPARISONS:
                constants = [value]
                comparison = f"{symbol} ?"
            case Apply("STARTSWITH", (Property(path), Constant(str() as value))):
                constants = [value, value + _LAST]
                comparison = "BETWEEN ? AND ?"
            case Apply("IN", (Property(path), *rest)) if all(isinstance(x, Constant) for x in rest):
                constants = [x.value for x in rest if isinstance(x, Constant)]
                comparison = f"IN ({', '.join('?' * len(constants))})"
            case _:
                continue
        names = _names(path)
        if not names or not documents.container.indexing.covers(names):
            continue
        if all(isinstance(value, str) or _is_number(value) for value in constants):
            sql += f" AND {_column(names)} {comparison}"
            values += constants
    return sql, values


def _is_number(value: Any) -> bool:
    """Or a boolean; and one that SQLite can hold."""
    return isinstance(value, int | float) and abs(value) <= 2**53


def _order_sql(query: Select) -> str:
    """The query's order for SQLite, without the paths that have one value only."""
    fixed = {
        node.path
        for term in _terms(query.where)
        if isinstance(term, Apply) and term.name == "="
        for node, other in (term.arguments, term.arguments[::-1])
        if isinstance(node, Property) and isinstance(other, Constant)
    }
    parts = []
    for order in query.order:
        if isinstance(order.by, Property) and order.by.path not in fixed and (names := _names(order.by.path)):
            direction = "DESC" if order.descending else "ASC"
            column = _column(names)
            if names != ("id",):
                kind = f"json_type(doc, '{json_path(names)}')"
                parts.append(f"CASE {kind} {_RANKS} ELSE 0 END {direction}")
                column = f"CASE WHEN {kind} NOT IN ('array', 'object') THEN {column} END"
            parts.append(f"{column} {direction}")
    return ", ".join([*parts, "number"])


def _names(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The path, if it is one of names only."""
    names = tuple(step for step in path if isinstance(step, str))
    return names if len(names) == len(path) else ()


def _column(names: tuple[str, ...]) -> str:
    return "id" if names == ("id",) else f"json_extract(doc, '{json_path(names)}')"


def _closed(position: _Position, text: str) -> str:
    order = [list(pair) for pair in position.order]
    data = [zlib.crc32(text.encode()), position.number, order, position.skip, position.left]
    return base64.b64encode(json.dumps(data, separators=(",", ":")).encode()).decode()


def _opened(token: str, text: str) -> _Position:
    try:
        check, number, order, skip, left = json.loads(base64.b64decode(token, validate=True))
        position = _Position(number, tuple((kind, value) for kind, value in order), skip, left)
    except (ValueError, TypeError):
        raise _bad_token() from None
    if check != zlib.crc32(text.encode()):
        raise _bad_token()
    return position


def _bad_token() -> Refused:
    return bad_request("Invalid Continuation Token: it is malformed, or that of another query.")
