"""What queries go by: beside the documents, a table for each kind that is listed, of just the fields that its
indexes name.

Indexes on the documents themselves would all be weighed by every write of any kind; eighty of them made one
cost four times as much. Here a write pays for the indexes of its own kind.
"""
# ruff: noqa: S608 - a name that goes into SQL here is made of letters, digits, `-` and `_`

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from shared.adapters.embedded.sqlite import Run
from shared.ports.index import Index

_PREFIX = "query:"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_OURS = "SELECT type, name, sql FROM sqlite_schema WHERE name LIKE ? || '%'"


@dataclass(frozen=True, slots=True)
class QueryTable:
    """Of one kind: a row per document, with its place, its expiry, and the fields of its queries."""

    name: str
    create: str
    indexes: Mapping[str, str]
    """Name -> SQL."""
    upsert: str
    """Takes tenant, root, id, sequence, expiry and body."""
    delete: str
    """Takes tenant, root and id."""
    fill: str
    """Copies what the documents have."""


def tables_for(indexes: Iterable[Index]) -> dict[str, QueryTable]:
    """By kind."""
    kinds: dict[str, list[Index]] = {}
    for index in indexes:
        kinds.setdefault(index.kind, []).append(index)
    return {kind: _table(kind, of_kind) for kind, of_kind in kinds.items()}


def install(run: Run, tables: Iterable[QueryTable]) -> None:
    """Bring the file's query tables to exactly these; one whose fields changed is made and filled anew."""
    wanted = {table.name: table for table in tables}
    found = {(str(kind), str(name)): str(sql) for kind, name, sql in run(_OURS, (_PREFIX,)).fetchall()}
    present = {name: sql for (kind, name), sql in found.items() if kind == "table"}
    for name, sql in present.items():
        if name not in wanted or wanted[name].create != sql:
            run(f'DROP TABLE "{name}"', ())
    for name, table in wanted.items():
        if present.get(name) != table.create:
            run(table.create, ())
            run(table.fill, ())
    _install_indexes(run, {name: sql for table in wanted.values() for name, sql in table.indexes.items()})


def _install_indexes(run: Run, wanted: Mapping[str, str]) -> None:
    listed = run(_OURS, (_PREFIX,)).fetchall()
    present = {str(name): str(sql) for kind, name, sql in listed if kind == "index"}
    for name, sql in present.items():
        if wanted.get(name) != sql:
            run(f'DROP INDEX "{name}"', ())
    for name, sql in wanted.items():
        if present.get(name) != sql:
            run(sql, ())


@cache
def query_sql(index: Index, part: str, descending: bool) -> str:
    """One range of an index: the `first` page, the `equals` of an order value after an id, what is `beyond`.

    Takes the tenant, the index's equal values as JSON, the order value and the id where the part has them,
    now, a limit, and how many to skip. INDEXED BY makes SQLite refuse rather than choose another way; what is
    skipped is skipped within the index, without its document.
    """
    over, direction = ("<", "DESC") if descending else (">", "ASC")
    position = f'"{_by(index.order)}"'
    terms = [f"{position} IS NOT NULL", "tenant = ?", *(f'"{_is(name)}" = ?' for name in index.equal)]
    if part == "equals":
        terms += [f"{position} = ?", f"id {over} ?"]
    elif part == "beyond":
        terms += [f"{position} {over} ?"]
    terms.append("(expires_at IS NULL OR expires_at > ?)")
    order = f"position {direction}, id {direction}"
    # SQLite would sort by a fixed expression as well.
    within = f"id {direction}" if part == "equals" else order
    return (
        "SELECT documents.sequence, tenant, root, documents.id, kind, body FROM"
        f" (SELECT sequence AS at, {position} AS position, id FROM {_named(index.kind)}"
        f' INDEXED BY "{_index_name(index)}" WHERE {" AND ".join(terms)}'
        f" ORDER BY {within} LIMIT ? OFFSET ?) AS found"
        " CROSS JOIN documents ON documents.sequence = found.at"
        f" ORDER BY found.position {direction}, found.id {direction}"
    )


def _table(kind: str, indexes: list[Index]) -> QueryTable:
    for name in (kind, *(field for index in indexes for field in (*index.equal, index.order))):
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} in an index of {kind} must be letters, digits, `-` and `_`, a letter first."
            )
    fields = {_is(name): f"body -> '$.\"{name}\"'" for index in indexes for name in index.equal}
    fields |= {_by(index.order): f"json_extract(body, '$.\"{index.order}\"')" for index in indexes}
    table = _named(kind)
    columns = [f'"{name}"' for name in sorted(fields)]
    values = [fields[name] for name in sorted(fields)]
    key = "tenant, root, id, sequence, expires_at"
    taken = ", ".join(f"{name} = excluded.{name}" for name in ("sequence", "expires_at", *columns))
    return QueryTable(
        name=f"{_PREFIX}{kind}",
        # The key stands first and alone: a change of a document finds its row by it.
        create=f"CREATE TABLE {table} (tenant TEXT NOT NULL, root TEXT NOT NULL, id TEXT NOT NULL,"
        f" sequence INTEGER NOT NULL, expires_at INTEGER, {', '.join(columns)},"
        " PRIMARY KEY (tenant, root, id)) WITHOUT ROWID",
        indexes={_index_name(index): _index_sql(index) for index in indexes},
        upsert=f"INSERT INTO {table} ({key}, {', '.join(columns)})"
        f" SELECT tenant, root, id, sequence, expires_at, {', '.join(values)}"
        " FROM (SELECT ? AS tenant, ? AS root, ? AS id, ? AS sequence, ? AS expires_at, ? AS body) WHERE true"
        f" ON CONFLICT (tenant, root, id) DO UPDATE SET {taken}",
        delete=f"DELETE FROM {table} WHERE tenant = ? AND root = ? AND id = ?",
        fill=f"INSERT INTO {table} ({key}, {', '.join(columns)})"
        f" SELECT {key}, {', '.join(values)} FROM documents WHERE kind = '{kind}'",
    )


def _named(kind: str) -> str:
    return f'"{_PREFIX}{kind}"'


def _is(field: str) -> str:
    """The column of a field as JSON text, in which `true`, `1` and `"1"` differ."""
    return f"is {field}"


def _by(field: str) -> str:
    """The column of a field as what it is, to be ordered by."""
    return f"by {field}"


def _index_name(index: Index) -> str:
    """Says everything the index is about."""
    return f"{_PREFIX}{index.kind}:{','.join(index.equal)}:{index.order}"


def _index_sql(index: Index) -> str:
    equal = [f'"{_is(name)}"' for name in index.equal]
    position = f'"{_by(index.order)}"'
    # What is shown is found by the sequence, so with it the index says all that a query has to know.
    columns = ", ".join(["tenant", *equal, position, "id", "expires_at", "sequence"])
    name = _index_name(index)
    return f'CREATE INDEX "{name}" ON {_named(index.kind)} ({columns}) WHERE {position} IS NOT NULL'
