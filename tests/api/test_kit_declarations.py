"""A wrong declaration fails where it is imported, and says which endpoint it is."""

from collections.abc import Awaitable
from typing import Any

import pytest

from functions.http.dialects import DEVOPS
from functions.http.endpoint import Call, Handler, Raw
from functions.http.fields import Body, View
from functions.http.surface import SURFACES, Catalogue, Surface, endpoint_table
from shared.domain.kernel.policy import PUBLIC
from tests.api.kit_notes import CATALOGUE, NoteId


class SomeView(View):
    name: str


class SomeBody(Body):
    name: str


async def good(call: Call, thing_id: NoteId) -> SomeView:
    """Good."""
    return SomeView(name="x")


async def without_docstring(call: Call, thing_id: NoteId) -> SomeView:
    return SomeView(name="x")


async def without_annotation(call: Call, thing_id) -> SomeView:  # type: ignore[no-untyped-def]
    """Wrong."""
    return SomeView(name="x")


async def without_result(call: Call, thing_id: NoteId):  # type: ignore[no-untyped-def]
    """Wrong."""


async def without_call(thing_id: NoteId) -> SomeView:
    """Wrong."""
    return SomeView(name="x")


async def with_another_name(call: Call, other_id: NoteId) -> SomeView:
    """Wrong."""
    return SomeView(name="x")


async def with_more(call: Call, thing_id: NoteId, part_id: NoteId) -> SomeView:
    """Wrong."""
    return SomeView(name="x")


async def with_body(call: Call, thing_id: NoteId, body: SomeBody) -> SomeView:
    """Wrong with GET."""
    return SomeView(name="x")


async def with_plain_body(call: Call, thing_id: NoteId, body: dict[str, str]) -> SomeView:
    """Wrong."""
    return SomeView(name="x")


async def with_plain_query(call: Call, thing_id: NoteId, query: dict[str, str]) -> SomeView:
    """Wrong."""
    return SomeView(name="x")


async def raw(call: Call, thing_id: NoteId) -> Raw:
    """Good without a view."""
    return Raw(b"", "text/plain", {})


def not_async(call: Call, thing_id: NoteId) -> Awaitable[SomeView]:
    """Wrong."""
    return good(call, thing_id)


def declare(handler: Handler, path: str = "/things/{thingId}", **options: Any) -> Surface:
    surface = Surface("toys", title="Toys", dialect=DEVOPS, catalogue={})
    surface.get(path, **{"scope": "toys.read", "returns": SomeView, **options})(handler)
    return surface


@pytest.mark.parametrize(
    ("handler", "options", "reason"),
    [
        (without_docstring, {}, "docstring"),
        (not_async, {}, "async def"),
        (without_annotation, {}, "no annotation for thing_id"),
        (without_result, {}, "no annotation for return"),
        (without_call, {}, "call: Call"),
        (with_another_name, {}, r"\['thing_id'\], the handler \['other_id'\]"),
        (with_more, {}, "the handler"),
        (with_body, {}, "GET takes no body"),
        (with_plain_body, {}, "Body model"),
        (with_plain_query, {}, "Query model"),
        (good, {"path": "/things"}, "the route has parameters"),
        (good, {"path": "things/{thingId}"}, "/segments"),
        (good, {"path": "/things/{thingId}.json"}, "/segments"),
        (good, {"scope": "everything"}, "is no scope"),
        (good, {"returns": SomeBody}, "View model"),
        (good, {"returns": None}, "say which view"),
        (good, {"status": 204}, "204 has no body"),
        (good, {"location": "/things/{name}"}, "the location names name"),
        (raw, {"returns": None, "location": "/things/{id}"}, "needs the view"),
    ],
)
def test_a_wrong_declaration_names_the_endpoint_and_the_mistake(
    handler: Handler, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TypeError, match=rf"^toys_{handler.__name__} \(GET .*{reason}"):
        declare(handler, **options)


def test_a_right_declaration_is_in_the_table_and_leaves_the_handler_as_it_is() -> None:
    surface = Surface("toys", title="Toys", dialect=DEVOPS, prefix="/v1", catalogue={})
    assert surface.get("/things/{thingId}", scope=PUBLIC, returns=SomeView)(good) is good
    [endpoint] = surface.endpoints
    assert (endpoint.name, endpoint.path, endpoint.summary) == ("toys_good", "/v1/things/{thingId}", "Good.")
    assert endpoint.is_public


def test_two_endpoints_of_one_shape_are_refused_across_surfaces_and_case() -> None:
    catalogue: Catalogue = {}
    one = Surface("one", title="One", dialect=DEVOPS, catalogue=catalogue)
    two = Surface("two", title="Two", dialect=DEVOPS, catalogue=catalogue)
    one.get("/things/{thingId}", scope=PUBLIC, returns=SomeView)(good)
    two.post("/things/{thingId}", scope=PUBLIC, returns=SomeView)(good)
    with pytest.raises(TypeError, match=r"two_raw .*one_good is declared as GET"):
        two.get("/Things/{thingId}", scope=PUBLIC)(raw)


def test_one_handler_name_is_one_function() -> None:
    surface = declare(good)
    with pytest.raises(TypeError, match="toys_good is declared"):
        surface.get("/other/{thingId}", scope=PUBLIC, returns=SomeView)(good)


def test_two_surfaces_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two surfaces are called notes"):
        Surface("notes", title="Notes", dialect=DEVOPS, catalogue=CATALOGUE)


def test_the_table_is_sorted_and_holds_no_test_surface() -> None:
    names = [(one.surface, one.path, one.method) for one in endpoint_table(CATALOGUE)]
    assert names == sorted(names)
    assert "notes" not in SURFACES
