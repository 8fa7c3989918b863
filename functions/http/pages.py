"""One page of a list in the shape of each dialect, and the schema that says so. Pure functions of bytes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.services.views import Total

type Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """One page, rendered: `items` is their JSON array, `name` what the list calls them, `before` how many
    lie before it, `next` the cursor of the page after it. A `total` of None was counted by nobody."""

    name: str
    items: bytes
    limit: int
    before: int
    next: str | None
    total: Total | None


type PageShape = Callable[[Listed], bytes]
type PageSchema = Callable[[str, Node], Node]
"""The schema of a page: from what the list calls its items, and the schema of one."""


def plain_page(page: Listed) -> bytes:
    """`{items, next, total}`; `totalIsExact` stands there when it is not."""
    rest: Node = {"next": page.next}
    if page.total is not None:
        rest["total"] = page.total.count
        if not page.total.is_exact:
            rest["totalIsExact"] = False
    return _object({"items": page.items}, rest)


def delivery_page(page: Listed) -> bytes:
    """The delivery contract's `{<items>, total, limit, offset}`; `next_cursor` where another page follows."""
    rest: Node = {}
    if page.total is not None:
        rest["total"] = page.total.count
        if not page.total.is_exact:
            rest["total_is_exact"] = False
    rest |= {"limit": page.limit, "offset": page.before}
    if page.next is not None:
        rest["next_cursor"] = page.next
    return _object({page.name: page.items}, rest)


def orchestrator_page(page: Listed) -> bytes:
    """The orchestrator contract's envelope; `nextCursor` in its pagination where another page follows."""
    size = max(page.limit, 1)
    pagination: Node = {"page": page.before // size + 1, "pageSize": page.limit}
    if page.total is not None:
        pagination |= {"totalItems": page.total.count, "totalPages": -(-page.total.count // size)}
        if not page.total.is_exact:
            pagination["totalIsExact"] = False
    pagination |= {"hasNext": page.next is not None, "hasPrevious": page.before > 0}
    if page.next is not None:
        pagination["nextCursor"] = page.next
    return _object({"success": b"true", "data": page.items}, {"meta": {"pagination": pagination}})


def plain_page_schema(name: str, item: Node) -> Node:
    return {
        "type": "object",
        "description": "One page. The same request with `cursor` set to `next` shows the one after it.",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {
                "type": ["string", "null"],
                "description": "Opaque: send it back as `cursor`, unchanged. Null on the last page.",
                "examples": [None],
            },
            "total": _TOTAL,
            "totalIsExact": _IS_EXACT,
        },
    }


def delivery_page_schema(name: str, item: Node) -> Node:
    return {
        "type": "object",
        "required": [name, "total", "limit", "offset"],
        "properties": {
            name: {"type": "array", "items": item},
            "total": _TOTAL,
            "total_is_exact": _IS_EXACT,
            "limit": {"type": "integer"},
            "offset": {"type": "integer"},
            "next_cursor": _NEXT,
        },
    }


def orchestrator_page_schema(name: str, item: Node) -> Node:
    numbers = ("page", "pageSize", "totalItems", "totalPages")
    pagination = {
        "type": "object",
        "required": [*numbers, "hasNext", "hasPrevious"],
        "properties": {
            **{number: {"type": "integer"} for number in numbers},
            "hasNext": {"type": "boolean"},
            "hasPrevious": {"type": "boolean"},
            "totalIsExact": _IS_EXACT,
            "nextCursor": _NEXT,
        },
    }
    return {
        "type": "object",
        "required": ["success", "data", "meta"],
        "properties": {
            "success": {"const": True},
            "data": {"type": "array", "items": item},
            "meta": {
                "type": "object",
                "required": ["pagination"],
                "properties": {"pagination": pagination},
            },
        },
    }


_TOTAL: Node = {"type": "integer", "minimum": 0, "description": "Items of the whole list.", "examples": [1]}
_IS_EXACT: Node = {
    "const": False,
    "description": "Stands here when there may be more than `total`, or it is about to change.",
}
_NEXT: Node = {"type": "string", "description": "Opaque: send it back as `cursor`, unchanged."}


def _object(rendered: dict[str, bytes], rest: Node) -> bytes:
    """A JSON object of members that are JSON already, then others."""
    members = [json.dumps(name).encode() + b":" + value for name, value in rendered.items()]
    tail = json.dumps(rest, separators=(",", ":")).encode()[1:-1]
    return b"{" + b",".join([*members, tail]) + b"}"
