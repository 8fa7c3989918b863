"""Lists that callers sort and filter: the query of one Listing, and the words that its items are known by.

A list is filtered by what its items show, under the names and in the words they show it in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, ClassVar, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from functions.http.fields import Filtered, Query, Sorted, WireId, pascal
from shared.domain.kernel.filters import Compare, Field, Filter, Operator, Scalar
from shared.ports import store
from shared.services.listing import Asked, Listing


class ListingQuery(Filtered, Sorted, Query):
    """`limit`, `cursor`, `sort` and `filter` of the list `LISTING`. Each field that a subclass adds under the
    name of one of the list's is an equality, which holds besides the filter; others are for the handler."""

    LISTING: ClassVar[Listing]

    def asked(self) -> Asked:
        return replace(super().asked(), equal=self._equal())

    def wanted(self, where: Mapping[str, str | int | bool] | None = None) -> store.Query:
        """The store's query; `where` is what the endpoint itself binds, by stored names."""
        return self.LISTING.query(self.asked(), where)

    def _equal(self) -> dict[str, Scalar]:
        values = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
        return {
            name: value for name, value in values.items() if name in self.LISTING.fields and value is not None
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        described = handler.resolve_ref_schema(handler(schema))
        members, listing = described["properties"], cls.LISTING
        orders = [f"{sign}{name}" for name in listing.orders for sign in ("", "-")]
        members["sort"] |= {"enum": orders, "default": listing.sort}
        members["filter"]["description"] += f" Fields: {', '.join(listing.fields)}."
        return described


class OneOf:
    """Beside `str` in `Annotated`: one of these words, and none else."""

    __slots__ = ("words",)

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(words)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.words))


def ids(stored: str, prefix: str) -> Field:
    """A field that holds an id, in any of its written forms."""
    return Field(stored, cast(Callable[[Scalar], Scalar], WireId(prefix).read))


def words(stored: str, states: Iterable[StrEnum]) -> Mapping[str, Filter]:
    """What the words of a state mean, each being one stored state: `PendingApproval` is
    `pending_approval`."""
    return {pascal(state): has(stored, state) for state in states}


def verbatim(stored: str, states: Iterable[StrEnum]) -> Mapping[str, Filter]:
    """The same, for states that are stored in the words of the contract."""
    return {str(state): has(stored, state) for state in states}


def has(stored: str, value: str | bool) -> Filter:
    return Compare(stored, Operator.EQ, value if isinstance(value, bool) else str(value))
