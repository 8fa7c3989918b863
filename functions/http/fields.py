"""The vocabulary of request and response models: base classes, ids as written on the wire, names, cursors.

Models describe shapes only; a rule that needs to look anything up belongs to the domain.
"""

import base64
import json
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, core_schema

from shared.domain.kernel.ids import parse_id

type Position = tuple[str | int, str]
"""Where a page continues: the order value and the id of the last item shown."""


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
def _pascal(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in text.split("_"))


def _pascal_case(value: object) -> object:
    return _pascal(value) if isinstance(value, str) else value


PascalStatus = Annotated[str, BeforeValidator(_pascal_case)]
"""A state in a view: `pending_approval` is shown as `PendingApproval`."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""1-63 lower-case letters, digits and dashes, starting with a letter or digit."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""1-100 letters, digits, dots, underscores and dashes, starting with a letter or digit."""


def write_cursor(position: Position) -> str:
    """An opaque, URL-safe text for the place a page ended at."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> Position:
    """The place that `write_cursor` wrote. Raises ValueError for anything else."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        match json.loads(text):
            case [(str() | int()) as value, str() as item] if not isinstance(value, bool):
                return value, item
    except (ValueError, RecursionError) as error:
        raise ValueError("not a cursor") from error
    raise ValueError("not a cursor")


def _known_cursor(cursor: str) -> str:
    try:
        read_cursor(cursor)
    except ValueError:
        raise PydanticCustomError(
            "cursor", "Must be the `next` of an earlier page, unchanged; leave it out for the first page."
        ) from None
    return cursor


Cursor = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_known_cursor)]


class Query(BaseModel):
    """Query parameters of a list: how many, after which place, and whatever filters a subclass adds."""

    model_config = ConfigDict(
        alias_generator=to_camel, frozen=True, defer_build=True, hide_input_in_errors=True
    )

    limit: Annotated[int, Field(ge=1, le=100, description="Items per page.")] = 50
    cursor: Annotated[Cursor | None, Field(description="The `next` of the page before.")] = None

    def after(self) -> Position | None:
        """Where this page starts, or None for the first."""
        return read_cursor(self.cursor) if self.cursor else None
