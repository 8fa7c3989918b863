"""The query language, as far as it is offered: text to a tree. Knows no item and no index."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.standins.cosmos.errors import Refused, bad_request, not_offered

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<parameter>@\w+)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<symbol><=|>=|!=|<>|\|\||\?\?|[-=<>()\[\]{},.:*/%+?])
    | (?P<end>$)
    )""",
    re.VERBOSE,
)
_CLAUSES = {
    "SELECT",
    "FROM",
    "WHERE",
    "ORDER",
    "GROUP",
    "OFFSET",
    "LIMIT",
    "TOP",
    "VALUE",
    "AS",
    "BY",
    "JOIN",
}
_RESERVED = _CLAUSES | {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "DISTINCT", "ASC", "DESC", "EXISTS"}
AGGREGATES = {"COUNT", "SUM", "MIN", "MAX", "AVG"}


class Undefined:
    """The value of what is not there."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = Undefined()


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any


@dataclass(frozen=True, slots=True)
class Property:
    """A path from the item itself, which is ()."""

    path: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator or a function, by its upper-case name."""

    name: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    entries: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    items: tuple["Node", ...]


type Node = Constant | Property | Apply | ObjectOf | ArrayOf


@dataclass(frozen=True, slots=True)
class Order:
    by: Node
    descending: bool
    text: str


@dataclass(frozen=True, slots=True)
class Select:
    """A query. `items` is None for `*`; with `value` it holds one expression. Texts are as written."""

    items: tuple[tuple[str, Node, str], ...] | None
    value: bool
    alias: str
    where: Node | None
    where_text: str
    order: tuple[Order, ...]
    top: int | None
    offset: int | None
    limit: int | None

    @property
    def aggregates(self) -> list[Apply]:
        return [found for _, node, _ in self.items or () for found in aggregates_in(node)]


def aggregates_in(node: Node) -> list[Apply]:
    match node:
        case Apply(name, arguments):
            return [node] if name in AGGREGATES else [x for inner in arguments for x in aggregates_in(inner)]
        case ObjectOf(entries):
            return [x for _, inner in entries for x in aggregates_in(inner)]
        case ArrayOf(items):
            return [x for inner in items for x in aggregates_in(inner)]
    return []


def parse(text: str, parameters: Mapping[str, Any]) -> Select:
    """The tree of a query with its parameters filled in; Refused where it is wrong or not offered."""
    return _Parser(text, parameters).select()


class _Parser:
    def __init__(self, text: str, parameters: Mapping[str, Any]) -> None:
        self._text = text
        self._parameters = parameters
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        self._alias: str | None = None
        position = 0
        while not self._tokens or self._tokens[-1][0] != "end":
            found = _TOKEN.match(text, position)
            if found is None or found.lastgroup is None:
                raise self._wrong(text[position:].strip()[:1] or "end of input")
            self._tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            position = found.end()

    def select(self) -> Select:
        self._expect("SELECT")
        if self._take("DISTINCT"):
            raise not_offered("DISTINCT")
        top = self._count("TOP") if self._is("TOP") else None
        start = self._at
        self._alias = self._find_alias()
        self._at = start
        value = self._take("VALUE")
        items = None if self._take("*") else self._items(value)
        self._from()
        where, where_text = None, ""
        if self._take("WHERE"):
            begin = self._tokens[self._at][2]
            where = self._or()
            where_text = self._text[begin : self._tokens[self._at][2]].strip()
        if self._is("GROUP"):
            raise not_offered("GROUP BY")
        order = self._order()
        offset = limit = None
        if self._is("OFFSET"):
            offset = self._count("OFFSET")
            limit = self._count("LIMIT")
            if top is not None:
                raise bad_request("'TOP' cannot be used together with 'OFFSET LIMIT'.")
        if self._peek()[0] != "end":
            raise self._wrong(self._peek()[1])
        return Select(items, value, self._alias, where, where_text, order, top, offset, limit)

    def _find_alias(self) -> str:
        """The name of the item, which stands behind what uses it."""
        depth = 0
        while not (depth == 0 and self._is("FROM")):
            kind, token, _ = self._next()
            if kind == "end":
                raise not_offered("a query without FROM")
            depth += (token in "([{") - (token in ")]}")
        self._next()
        name = self._name()
        if self._take("AS"):
            return self._name()
        kind, token, _ = self._peek()
        return self._name() if kind == "word" and token.upper() not in _RESERVED else name

    def _from(self) -> None:
        self._expect("FROM")
        self._name()
        if self._take("AS") or (self._peek()[0] == "word" and self._peek()[1].upper() not in _RESERVED):
            self._next()
        if self._is("JOIN") or self._is("IN") or self._is("."):
            raise not_offered("JOIN, IN and paths in FROM")

    def _items(self, value: bool) -> tuple[tuple[str, Node, str], ...]:
        items: list[tuple[str, Node, str]] = []
        while True:
            begin = self._tokens[self._at][2]
            node = self._or()
            text = self._text[begin : self._tokens[self._at][2]].strip()
            name = f"${len(items) + 1}"
            if isinstance(node, Property) and node.path and isinstance(node.path[-1], str):
                name = node.path[-1]
            if self._take("AS"):
                name = self._name()
            items.append((name, node, text))
            if value or not self._take(","):
                return tuple(items)

    def _order(self) -> tuple[Order, ...]:
        if not self._take("ORDER"):
            return ()
        self._expect("BY")
        orders = []
        while True:
            begin = self._tokens[self._at][2]
            node = self._or()
            text = self._text[begin : self._tokens[self._at][2]].strip()
            descending = self._take("DESC")
            if not descending:
                self._take("ASC")
            orders.append(Order(node, descending, text))
            if not self._take(","):
                return tuple(orders)

    def _count(self, clause: str) -> int:
        self._expect(clause)
        kind, token, _ = self._next()
        found = self._parameter(token) if kind == "parameter" else token
        if kind not in {"number", "parameter"} or not str(found).isdigit() or isinstance(found, bool):
            raise bad_request(f"The {clause} specification has to be a whole number, not {found!r}.")
        return int(found)

    def _or(self) -> Node:
        node = self._and()
        while self._take("OR"):
            node = Apply("OR", (node, self._and()))
        return node

    def _and(self) -> Node:
        node = self._not()
        while self._take("AND"):
            node = Apply("AND", (node, self._not()))
        return node

    def _not(self) -> Node:
        return Apply("NOT", (self._not(),)) if self._take("NOT") else self._comparison()

    def _comparison(self) -> Node:
        node = self._sum()
        for symbol in ("<=", ">=", "!=", "<>", "=", "<", ">"):
            if self._take(symbol):
                return Apply("!=" if symbol == "<>" else symbol, (node, self._sum()))
        negated = self._take("NOT")
        if self._take("IN"):
            self._expect("(")
            node = Apply("IN", (node, *self._until(")")))
        elif self._take("BETWEEN"):
            low = self._sum()
            self._expect("AND")
            node = Apply("AND", (Apply(">=", (node, low)), Apply("<=", (node, self._sum()))))
        elif self._is("LIKE") or self._is("??") or self._is("?") or negated:
            raise not_offered(self._peek()[1])
        return Apply("NOT", (node,)) if negated else node

    def _sum(self) -> Node:
        node = self._term()
        while (symbol := self._peek()[1]) in {"+", "-", "||"} and self._peek()[0] == "symbol":
            self._next()
            node = Apply(symbol, (node, self._term()))
        return node

    def _term(self) -> Node:
        node = self._atom()
        while (symbol := self._peek()[1]) in {"*", "/", "%"} and self._peek()[0] == "symbol":
            self._next()
            node = Apply(symbol, (node, self._atom()))
        return node

    def _atom(self) -> Node:
        kind, token, _ = self._next()
        if kind == "number":
            return Constant(float(token) if any(sign in token for sign in ".eE") else int(token))
        if kind == "string":
            return Constant(_unquoted(token))
        if kind == "parameter":
            return self._steps(Constant(self._parameter(token)))
        if kind == "word":
            return self._word(token)
        if token == "-":
            return Apply("-", (Constant(0), self._atom()))
        if token == "(":
            node = self._or()
            self._expect(")")
            return node
        if token == "[":
            return ArrayOf(self._until("]"))
        if token == "{":
            return ObjectOf(tuple(self._entries()))
        raise self._wrong(token)

    def _word(self, word: str) -> Node:
        constants = {"true": True, "false": False, "null": None, "undefined": UNDEFINED}
        if word.lower() in constants:
            return Constant(constants[word.lower()])
        if self._take("("):
            if word.upper() == "EXISTS" or self._is("SELECT"):
                raise not_offered("sub-queries")
            return Apply(word.upper(), self._until(")"))
        if word == self._alias:
            return self._steps(Property(()))
        if word.upper() in _RESERVED:
            raise self._wrong(word)
        raise bad_request(f"Identifier '{word}' could not be resolved.")

    def _steps(self, node: Node) -> Node:
        while self._is(".") or self._is("["):
            if not isinstance(node, Property):
                raise not_offered("a path on anything but the item")
            if self._take("."):
                node = Property((*node.path, self._name()))
                continue
            self._expect("[")
            kind, token, _ = self._next()
            if kind not in {"string", "number"}:
                raise not_offered("a computed path")
            node = Property((*node.path, _unquoted(token) if kind == "string" else int(token)))
            self._expect("]")
        return node

    def _until(self, close: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(close):
            if items:
                self._expect(",")
            items.append(self._or())
        return tuple(items)

    def _entries(self) -> list[tuple[str, Node]]:
        entries: list[tuple[str, Node]] = []
        while not self._take("}"):
            if entries:
                self._expect(",")
            kind, token, _ = self._next()
            name = _unquoted(token) if kind == "string" else token
            self._expect(":")
            entries.append((name, self._or()))
        return entries

    def _parameter(self, name: str) -> Any:
        if name not in self._parameters:
            raise bad_request(f"The query names the parameter {name}, which was not given.")
        return self._parameters[name]

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._at]

    def _next(self) -> tuple[str, str, int]:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _is(self, expected: str) -> bool:
        kind, token, _ = self._tokens[self._at]
        return (token.upper() if kind == "word" else token) == expected and kind in {"word", "symbol"}

    def _take(self, expected: str) -> bool:
        if taken := self._is(expected):
            self._next()
        return taken

    def _expect(self, expected: str) -> None:
        if not self._take(expected):
            raise self._wrong(self._peek()[1])

    def _name(self) -> str:
        kind, token, _ = self._next()
        if kind != "word":
            raise self._wrong(token)
        return token

    @staticmethod
    def _wrong(token: str) -> Refused:
        return bad_request(f"Syntax error, incorrect syntax near '{token}'.")


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def _unquoted(token: str) -> str:
    def plain(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else _ESCAPES.get(found[2], found[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", plain, token[1:-1])
