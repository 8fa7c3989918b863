"""A handler's result as an answer: the view of it, ETag, Location, one page of a list."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from functions.http.cursors import Cursors
from functions.http.endpoint import Endpoint, Raw
from functions.http.fields import View, WireId
from functions.http.limits import check_answer
from functions.http.media import Offer
from functions.http.pages import Listed
from shared.services.unit import Page
from shared.services.views import Total


class Answer(NamedTuple):
    """A response before the headers that every response carries. Bytes are final: a replay sends these."""

    status: int
    body: bytes
    content_type: str | None
    headers: Mapping[str, str] = MappingProxyType({})


def render(
    endpoint: Endpoint, offer: Offer, route: Mapping[str, str], cursors: Cursors | None, result: object
) -> Answer:
    """Project `result` through the endpoint's view. `route` are the route values as the caller wrote them,
    `cursors` those of the list that was asked for.

    Raises ResponseTooLarge for more than one answer may hold.
    """
    answer = _projected(endpoint, offer, route, cursors, result)
    check_answer(answer.body)
    return answer


def _projected(
    endpoint: Endpoint, offer: Offer, route: Mapping[str, str], cursors: Cursors | None, result: object
) -> Answer:
    if isinstance(result, Raw):
        return Answer(result.status, result.body, result.content_type, result.headers)
    if endpoint.view is None:
        return Answer(endpoint.status, b"", None)
    if isinstance(result, Page):
        return Answer(endpoint.status, _page(endpoint, cursors, result), offer.content_type)
    shown = endpoint.view.model_validate(result)
    body = shown.__pydantic_serializer__.to_json(shown, by_alias=True, exclude_none=True)
    headers = {}
    revision = getattr(result, "revision", None)
    if isinstance(revision, int):
        headers["ETag"] = f'"{revision}"'
    if endpoint.location is not None:
        headers["Location"] = _filled(endpoint.location, route, shown)
    return Answer(endpoint.status, body, offer.content_type, headers)


def unless_known(answer: Answer, if_none_match: str | None) -> Answer:
    """304 where a GET's caller has this revision already."""
    etag = answer.headers.get("ETag")
    if if_none_match is None or etag is None:
        return answer
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return Answer(304, b"", None, answer.headers) if etag in known or "*" in known else answer


def _page(endpoint: Endpoint, cursors: Cursors | None, page: Page[Any]) -> bytes:
    shown = endpoint.views.validate_python(page.items, from_attributes=True)
    items = endpoint.views.dump_json(shown, by_alias=True, exclude_none=True)
    count = len(page.items)
    before, limit = (cursors.query.before, cursors.query.size) if cursors else (0, count)
    following = cursors.write(page.next, before + count) if cursors and page.next is not None else None
    total = page.total
    if total is None and page.next is None:
        total = Total(before + count)
    return endpoint.dialect.page(Listed(endpoint.items, items, limit, before, following, total))


def _filled(location: str, route: Mapping[str, str], shown: View) -> str:
    # Quoted, because a route value is the caller's own text and must not end the header.
    values = {name: quote(value, safe="") for name, value in route.items()}
    return location.format_map({**values, "id": quote(_first_id(shown), safe="")})


def _first_id(shown: View) -> str:
    name, first = next(iter(type(shown).model_fields.items()))
    value = getattr(shown, name)
    marker = next((one for one in first.metadata if isinstance(one, WireId)), None)
    return marker.write(value) if marker else str(value)
