"""Lists: what a caller asks of one becomes a query that an index serves, and the query becomes a page.

Nothing here scans: a sort or filter without an index is refused with those that have one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.kernel.filters import (
    Compare,
    Field,
    Filter,
    Operator,
    Scalar,
    all_of,
    conditions,
    equality,
    parse,
)
from shared.names import INDEXES
from shared.ports.index import Index
from shared.ports.store import MAX_SKIP, Document, Query, TenantStore
from shared.services.views import Total, Views

type Position = tuple[str | int, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller says about the page it wants; `sort` and `filter` as written, None for the default.
    `equal` are further equalities, by the names of the list's fields."""

    limit: int
    after: Position | None = None
    skip: int = 0
    sort: str | None = None
    filter: str | None = None
    equal: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """One page as the store has it. `next` is where the following page starts, None on the last one."""

    documents: list[Document]
    next: Position | None
    total: Total | None


class NotServed(Invalid):
    """No index serves what was asked; the problem names what can be asked."""

    code = "unsupported_list"


class TooDeep(Invalid):
    """The page lies deeper than pages are counted."""

    code = "page_too_deep"


@dataclass(frozen=True, slots=True)
class Listing:
    """What callers may ask of the list of one kind: its fields by their names on the wire, and the order
    where they name none, such as `-createdAt`."""

    kind: str
    fields: Mapping[str, Field]
    sort: str
    indexes: Sequence[Index] = field(default=INDEXES, repr=False)

    def query(self, asked: Asked, where: Mapping[str, str | int | bool] | None = None) -> Query:
        """The query for one page; `where` is what the endpoint itself binds, by stored names.

        Raises BadFilter for a malformed filter, NotServed for a sort or filter that no index serves.
        """
        descending, order = self._order(asked.sort or self.sort)
        plain = [equality(self.fields[name], value, name) for name, value in asked.equal.items()]
        wanted = [*plain] if asked.filter is None else [*plain, parse(asked.filter, self.fields)]
        bound: dict[str, str | int | bool] = dict(where or {})
        residual: list[Filter] = []
        for condition in conditions(all_of(wanted)):
            binding = _binding(condition)
            if binding is not None and binding[0] not in bound:
                bound[binding[0]] = binding[1]
            elif binding is None or not _same(bound[binding[0]], binding[1]):
                residual.append(condition)
        index = self._index(order, bound)
        rest = [Compare(name, Operator.EQ, bound[name]) for name in bound if name not in index.equal]
        return Query(
            self.kind,
            {name: bound[name] for name in index.equal},
            order,
            descending,
            asked.after,
            asked.limit,
            asked.skip,
            all_of([*rest, *residual]),
        )

    @property
    def orders(self) -> tuple[str, ...]:
        """The fields that the list can be sorted by."""
        stored = {index.order for index in self.indexes if index.kind == self.kind}
        return tuple(name for name, known in self.fields.items() if known.stored in stored)

    def _order(self, sort: str) -> tuple[bool, str]:
        """Whether descending, and the stored name of the field to sort by."""
        name = sort.removeprefix("-")
        if name not in self.orders:
            usable = ", ".join(self.orders)
            raise _not_served("sort", f"Sort by one of {usable}, with `-` in front for descending.")
        return sort.startswith("-"), self.fields[name].stored

    def _index(self, order: str, bound: Mapping[str, object]) -> Index:
        """The index that binds most; the rest is looked at document by document."""
        ordered = [index for index in self.indexes if index.kind == self.kind and index.order == order]
        usable = [index for index in ordered if bound.keys() >= set(index.equal)]
        if usable:
            return max(usable, key=lambda index: len(index.equal))
        names = {known.stored: wire for wire, known in self.fields.items()}
        ways = {" and ".join(names.get(name, name) for name in index.equal) for index in ordered}
        raise _not_served(
            "filter", f"In this order the list needs an equality on {', or on '.join(sorted(ways))}."
        )


async def read_page(store: TenantStore, views: Views | None, tenant: str, query: Query) -> Found:
    """One page and the list's total: one query, and one read for the total, also where the page is a walk and
    the total is of equalities that are counted. Any other total is another walk, over as many documents as a
    page may examine."""
    ahead = replace(query, limit=query.limit + 1)
    stopped_at: Position | None = None
    total: Total | None = None
    if query.residual is None:
        documents = await store.query(ahead)
        if views is not None:
            total = await views.total(tenant, query)
    else:
        walk = await store.walk(ahead)
        if walk.skipped < query.skip and walk.stopped_at is not None:
            raise TooDeep(
                "This filter matches too rarely to count pages that far.",
                Problem("cursor", "Follow the `next` of the pages before instead.", "out_of_range"),
            )
        documents, stopped_at = walk.documents, walk.stopped_at
        equal = _equalities(query)
        if views is not None and equal is not None and views.counts(query.kind, equal):
            total = await views.total(tenant, replace(query, where=equal))
        else:
            total = await _counted(store, query)
    shown = documents[: query.limit]
    if len(documents) > query.limit:
        return Found(shown, (shown[-1].body[query.order], shown[-1].id), total)
    return Found(shown, stopped_at, total)


async def _counted(store: TenantStore, query: Query) -> Total:
    """What a walk from the start meets before it has examined as much as it may."""
    # Skipping everything and asking for one more counts without keeping a document.
    walk = await store.walk(replace(query, after=None, skip=MAX_SKIP, limit=1))
    has_more = walk.stopped_at is not None or bool(walk.documents)
    return Total(walk.skipped, not has_more, has_more)


def _equalities(query: Query) -> dict[str, str | int | bool] | None:
    """What the query binds, its residual included; None where that says more than equalities."""
    equal = dict(query.where)
    for condition in conditions(query.residual):
        binding = _binding(condition)
        if binding is None or not _same(equal.setdefault(*binding), binding[1]):
            return None
    return equal


def read_time(value: Scalar) -> str:
    """A caller's time as stored: UTC with six digits, so that text order is time order. Raises ValueError."""
    sentence = "Must be a time with its zone, such as 2026-06-11T09:00:00Z."
    if not isinstance(value, str):
        raise ValueError(sentence)
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError(sentence)
        return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise ValueError(sentence) from None


def _binding(condition: Filter) -> tuple[str, str | int | bool] | None:
    """The equality that an index could serve."""
    match condition:
        case Compare(name, Operator.EQ, str() | int() | bool() as value):
            return name, value
    return None


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _not_served(place: str, message: str) -> NotServed:
    return NotServed(f"{place}: {message}", Problem(place, message, "unsupported_list"))
