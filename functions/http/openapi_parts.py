"""What every surface's document says in the same words: headers, header parameters, the introduction."""

from functions.http.dialects import Dialect
from functions.http.openapi_schemas import Node


def _text(description: str, **more: object) -> Node:
    return {"description": description, "schema": {"type": "string", **more}}


def _count(description: str) -> Node:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

HEADERS: Node = {
    "traceparent": _text(
        "The W3C trace context of this request.", pattern="^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
    ),
    "ETag": _text(
        "The revision of what is shown: send it as If-Match to decide on it, as If-None-Match to learn"
        " whether it has changed.",
        pattern='^"[^"]+"$',
    ),
    "Location": _text("Path of what was made.", pattern="^/"),
    "Idempotent-Replayed": _text(
        "`true` where this is the stored answer of an earlier request with the same Idempotency-Key.",
        enum=["true"],
    ),
    "Retry-After": _text("Seconds to wait before the same request may succeed.", pattern="^[0-9]+$"),
    "WWW-Authenticate": _text("What to authenticate with, and what was wrong with the token (RFC 6750)."),
    "X-Request-Id": _text("The X-Request-Id of the request, or the id of its trace."),
    "X-RateLimit-Limit": _count("Requests a minute that this caller may make."),
    "X-RateLimit-Remaining": _count("Requests left in this minute."),
    "X-RateLimit-Reset": _count("When the minute ends, in seconds since 1970."),
    "Deprecation": _text("Since when the operation is deprecated (RFC 9745).", pattern="^@[0-9]+$"),
    "Sunset": _text("Until when the operation is served (RFC 8594)."),
}

PARAMETERS: Node = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Names this request: a repeat with it gets the first answer again, for 7 days.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of the revision that the decision was made on.",
        "schema": {"type": "string", "pattern": '^("[0-9]{1,18}"|\\*)$', "examples": ['"12"']},
    },
}


def introduction(dialect: Dialect) -> str:
    types = " or ".join(f"`{offer.content_type}`" for offer in dialect.offers)
    return _INTRODUCTION.format(types=types, error_type=dialect.error_type)


_INTRODUCTION = """\
**Versions.** Answers are {types}; name the version in `Accept`, or leave it out for the latest.

**Errors** are `{error_type}` and say what to do next. Every answer carries a `traceparent`: report that.

**Idempotency.** Send an `Idempotency-Key` with a write, and repeat the request with the same key when you do
not know how it ended: the first answer comes again, byte for byte, with `Idempotent-Replayed: true`.

**Pages.** A list shows one page. The cursor in it, sent back as `cursor`, leads to the next; the last page
has none.

**Revisions.** An answer with an `ETag` can be asked for again with `If-None-Match`, and decided on with
`If-Match`.

**Absent members.** What has no value is left out of an answer; it is never null. Members may be added at any
time.
"""
