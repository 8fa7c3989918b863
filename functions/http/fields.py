"""The vocabulary of request and response models: base classes, ids as written on the wire, names, paging.

Models describe shapes only; a rule that needs to look anything up belongs to the domain.
"""

from abc import abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PrivateAttr,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, core_schema

from shared.domain.kernel.errors import Problem
from shared.domain.kernel.ids import parse_id
from shared.ports.store import MAX_SKIP
from shared.services.listing import Asked, Position


class Body(BaseModel):
    """A JSON request body: camelCase names, unknown fields tolerated, values taken as they are."""

    # Schemas are built on first use: a cold start must not pay for the models of every endpoint.
    # Input never appears in an error text, which may reach a log.
    model_config = ConfigDict(
        alias_generator=to_camel,
        frozen=True,
        defer_build=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


class View(BaseModel):
    """What callers see of an entity: read by attribute name, nothing unlisted leaks, None is left out."""

    model_config = ConfigDict(
        from_attributes=True,
        validate_by_name=True,
        alias_generator=AliasGenerator(serialization_alias=to_camel),
        frozen=True,
        defer_build=True,
        hide_input_in_errors=True,
    )


class WireId:
    """An id inside (32 hex digits) and on the wire (`rel-` and the hex); the dashed form is read as well."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def read(self, value: object) -> str:
        found = parse_id(value, self.prefix) if isinstance(value, str) else None
        if found is None:
            raise PydanticCustomError(
                "wire_id", "Must be an id such as {prefix}-<32 hex digits>.", {"prefix": self.prefix}
            )
        return found

    def write(self, any_id: str) -> str:
        return f"{self.prefix}-{any_id}"

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(
            self.write, return_schema=core_schema.str_schema()
        )
        return core_schema.no_info_plain_validator_function(self.read, serialization=written)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": f"^{self.prefix}-[0-9a-f]{{32}}$",
            "examples": [f"{self.prefix}-7a1c0f4e9b2d4c55a0e6d1f38b9c2a10"],
        }


def wire_id(prefix: str) -> Any:
    """The annotation of an id with this prefix.

    Returned as Any, which lets mypy take the name as a type where it is imported. In the module that defines
    it, write `Annotated[str, WireId("repo")]` instead: the same thing, spelled for mypy.
    """
    return Annotated[str, WireId(prefix)]


class Reference:
    """Beside a type in `Annotated`: the text names a thing that may not be there, as every wire id does.

    Says no more than that the operation may answer 404; nothing is looked up here.
    """

    __slots__ = ()


@lru_cache(maxsize=1024)
def pascal(text: str) -> str:
    """`pending_approval` as `PendingApproval`."""
    return "".join(word[:1].upper() + word[1:] for word in text.split("_"))


def _pascal_case(value: object) -> object:
    return pascal(value) if isinstance(value, str) else value


PascalStatus = Annotated[str, BeforeValidator(_pascal_case)]
"""A state in a view: `pending_approval` is shown as `PendingApproval`."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""1-63 lower-case letters, digits and dashes, starting with a letter or digit."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""1-100 letters, digits, dots, underscores and dashes, starting with a letter or digit."""


class ListQuery(BaseModel):
    """What the queries of all lists share: a cursor that the kit has verified, and where the page begins.

    A subclass adds whatever it filters by; that, and its sort, are what a cursor is good for.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, frozen=True, defer_build=True, hide_input_in_errors=True
    )
    PAGING: ClassVar[frozenset[str]] = frozenset({"cursor"})
    """The fields that say which page, and not of which list."""

    _position: Position | None = PrivateAttr(None)
    _before: int = PrivateAttr(0)

    @property
    def sent_cursor(self) -> str | None:
        return getattr(self, "cursor", None)

    @property
    @abstractmethod
    def size(self) -> int:
        """Items per page."""

    @property
    def skip(self) -> int:
        """Items to leave out from the start; none after a cursor."""
        return 0

    @property
    def before(self) -> int:
        """Items that lie before this page."""
        return self._before if self.sent_cursor else self.skip

    def place(self, position: Position, before: int) -> None:
        """The kit says what the cursor turned out to mean."""
        self._position, self._before = position, before

    def after(self) -> Position | None:
        """Where this page starts, or None for the first."""
        if self.sent_cursor and self._position is None:
            raise ValueError("the cursor has not been verified")
        return self._position

    def criteria(self) -> dict[str, Any]:
        """Everything but the paging, as JSON."""
        return self.model_dump(mode="json", exclude=set(self.PAGING), exclude_none=True)

    def mistakes(self) -> Iterator[Problem]:
        """What no single field can see."""
        yield from ()

    def asked(self) -> Asked:
        """All of it, for a Listing."""
        sort, wanted = getattr(self, "sort", None), getattr(self, "filter", None)
        return Asked(self.size, self.after(), self.skip, sort, wanted)


Cursor = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[A-Za-z0-9_-]+$")]
_CURSOR = Field(description="The `next` of the page before.")


class Query(ListQuery):
    """Query parameters of a list: how many, and after which place."""

    PAGING = frozenset({"limit", "cursor"})

    limit: Annotated[int, Field(ge=1, le=100, description="Items per page.")] = 50
    cursor: Annotated[Cursor | None, _CURSOR] = None

    @property
    def size(self) -> int:
        return self.limit


class OffsetQuery(ListQuery):
    """A page by how many items to skip, in snake_case; beyond 10,000 items, by cursor."""

    model_config = ConfigDict(alias_generator=None)
    PAGING = frozenset({"limit", "offset", "cursor"})

    limit: Annotated[int, Field(ge=1, le=100, description="Items per page.")] = 20
    offset: Annotated[int, Field(ge=0, description="Items to skip, 10000 at most.")] = 0
    cursor: Annotated[Cursor | None, _CURSOR] = None

    @property
    def size(self) -> int:
        return self.limit

    @property
    def skip(self) -> int:
        return 0 if self.cursor else self.offset

    def mistakes(self) -> Iterator[Problem]:
        yield from _misplaced("offset", self.offset, self.cursor)


class PageQuery(ListQuery):
    """A page by its number, from 1; beyond 10,000 items, by cursor."""

    PAGING = frozenset({"page", "page_size", "cursor"})

    page: Annotated[int, Field(ge=1, description="Which page, from 1.")] = 1
    page_size: Annotated[int, Field(ge=1, le=100, description="Items per page.")] = 20
    cursor: Annotated[Cursor | None, _CURSOR] = None

    @property
    def size(self) -> int:
        return self.page_size

    @property
    def skip(self) -> int:
        return 0 if self.cursor else (self.page - 1) * self.page_size

    def mistakes(self) -> Iterator[Problem]:
        yield from _misplaced("page", (self.page - 1) * self.page_size, self.cursor)


class Sorted(BaseModel):
    """Mixed into a list's query: the order, by one field, `-` in front for descending."""

    sort: Annotated[str | None, Field(max_length=100, description="Such as `-createdAt`.")] = None


class Filtered(BaseModel):
    """Mixed into a list's query: a filter as JSON text."""

    filter: Annotated[str | None, Field(description='A JSON filter, such as `{"status":"active"}`.')] = None


def _misplaced(name: str, skip: int, cursor: str | None) -> Iterator[Problem]:
    if cursor and skip:
        yield Problem(name, "Send either this or `cursor`, not both.", "out_of_range")
    elif skip > MAX_SKIP:
        text = f"Reaches {MAX_SKIP} items deep at most; go on with `cursor`, the `next` of the page before."
        yield Problem(name, text, "out_of_range")
