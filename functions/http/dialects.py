"""The dialects of the five surfaces: representations and versions on offer, and the shape of an error.

A dialect is data and pure functions; what a request means is decided before it is asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from pydantic.alias_generators import to_camel, to_snake

from functions.http.errors import (
    Failure,
    KeyReused,
    NotAcceptable,
    RateLimited,
    TokenMissing,
    TooLarge,
    UnsupportedMediaType,
)
from functions.http.media import Offer
from functions.http.pages import (
    PageSchema,
    PageShape,
    delivery_page,
    delivery_page_schema,
    orchestrator_page,
    orchestrator_page_schema,
    plain_page,
    plain_page_schema,
)
from shared.domain.kernel.errors import (
    AlreadyExists,
    Conflict,
    DeliveryError,
    Forbidden,
    Invalid,
    NotFound,
    Permanent,
    RuleBroken,
    StaleRevision,
    Transient,
)
from shared.ports.tokens import TokenRefused

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where and when a failure happened. `at` is None where not even the clock could be had."""

    path: str
    trace: str
    request: str
    at: datetime | None


type Shape = Callable[[Failure, Occurrence], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between surfaces. `headers` go on every answer; the first of `offers` is the default."""

    offers: tuple[Offer, ...]
    error: Shape
    error_type: str
    error_schema: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[type[DeliveryError], int] = field(default_factory=dict)
    page: PageShape = plain_page
    page_schema: PageSchema = plain_page_schema
    tenant_field: str = "tenantId"
    echoes_request_id: bool = False
    takes_basic: bool = False
    """Whether the token may also come as the password of Basic or as NuGet's API key, as package managers
    send it."""

    @property
    def versions(self) -> list[str]:
        return sorted({offer.version for offer in self.offers})


def problem_details(failure: Failure, where: Occurrence) -> dict[str, Any]:
    """RFC 9457. Facts are extension members; one whose name is taken stands under `facts`."""
    body: dict[str, Any] = {
        "type": f"urn:slipway:problem:{failure.code}",
        "title": failure.code.replace("_", " ").capitalize(),
        "status": failure.status,
        "detail": failure.message,
        "instance": where.path,
        "code": failure.code,
        "traceId": where.trace,
    }
    if failure.problems:
        body["errors"] = _rows(failure)
    taken = {}
    for name, value in failure.facts.items():
        member = to_camel(name)
        if member in body or member in {"errors", "facts"}:
            taken[member] = value
        else:
            body[member] = value
    return body | {"facts": taken} if taken else body


def delivery_error(failure: Failure, where: Occurrence) -> dict[str, Any]:
    """The delivery contract's envelope with its six codes; our own code and facts are details."""
    details: dict[str, Any] = {to_snake(name): value for name, value in failure.facts.items()}
    details |= {"reason": failure.code, "trace_id": where.trace}
    if failure.problems:
        details["errors"] = _rows(failure)
    code = _DELIVERY_CODES.get(failure.status, "internal_error")
    return {"error": {"code": code, "message": failure.message, "details": details}}


def orchestrator_error(failure: Failure, where: Occurrence) -> dict[str, Any]:
    """The orchestrator contract's envelope with its code families."""
    rows = [row | {"code": _FIELD_CODES.get(row["code"], "VAL_INVALID_FORMAT")} for row in _rows(failure)]
    error: dict[str, Any] = {"code": _orchestrator_code(failure, rows), "message": failure.message}
    if failure.facts:
        error["details"] = {to_camel(name): value for name, value in failure.facts.items()}
    if rows:
        error["validationErrors"] = rows
    meta = {"requestId": where.request}
    if where.at is not None:
        meta["timestamp"] = where.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"success": False, "error": error, "meta": meta}


def _rows(failure: Failure) -> list[dict[str, str]]:
    return [{"field": one.field, "message": one.message, "code": one.code} for one in failure.problems]


def _orchestrator_code(failure: Failure, rows: list[dict[str, str]]) -> str:
    if rows:
        return rows[0]["code"]
    if failure.code in _OWN_CODES:
        return _OWN_CODES[failure.code]
    # A rule's own code is its name in the family, as in promotion_blocked and PROMOTION_BLOCKED.
    return failure.code.upper() if failure.kind is RuleBroken else _FAMILY_CODES[failure.kind]


_DELIVERY_CODES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "invalid_request",
    HTTPStatus.UNAUTHORIZED: "authentication_failed",
    HTTPStatus.FORBIDDEN: "authorization_failed",
    HTTPStatus.NOT_FOUND: "resource_not_found",
    HTTPStatus.NOT_ACCEPTABLE: "invalid_request",
    HTTPStatus.CONFLICT: "resource_conflict",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "invalid_request",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "invalid_request",
    # The contract publishes the limit and has no code for its being reached.
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limited",
}

_FIELD_CODES = {
    "required": "VAL_REQUIRED",
    "unknown_field": "VAL_UNKNOWN_FIELD",
    "out_of_range": "VAL_OUT_OF_RANGE",
    "too_short": "VAL_OUT_OF_RANGE",
    "too_long": "VAL_OUT_OF_RANGE",
    "not_allowed": "VAL_OUT_OF_RANGE",
    "invalid_json": "VAL_INVALID_JSON",
    "invalid_filter": "VAL_INVALID_FILTER",
}

_OWN_CODES = {
    TokenMissing.code: "AUTH_TOKEN_MISSING",
    AlreadyExists.code: "RES_ALREADY_EXISTS",
    StaleRevision.code: "RES_VERSION_CONFLICT",
    KeyReused.code: "RES_IDEMPOTENCY_MISMATCH",
    "internal_error": "SYS_INTERNAL",
}

_FAMILY_CODES: Mapping[type[DeliveryError], str] = {
    Invalid: "VAL_INVALID_FORMAT",
    NotAcceptable: "VAL_INVALID_FORMAT",
    TooLarge: "VAL_OUT_OF_RANGE",
    UnsupportedMediaType: "VAL_INVALID_FORMAT",
    TokenRefused: "AUTH_TOKEN_INVALID",
    Forbidden: "PERM_DENIED",
    NotFound: "RES_NOT_FOUND",
    StaleRevision: "RES_VERSION_CONFLICT",
    Conflict: "RES_STATE_CONFLICT",
    RateLimited: "RATE_LIMITED",
    Transient: "SYS_DEPENDENCY",
    Permanent: "SYS_INTERNAL",
}

_TEXT = {"type": "string"}
_ROW = {
    "type": "object",
    "required": ["field", "message", "code"],
    "properties": {"field": _TEXT, "message": _TEXT, "code": _TEXT},
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "traceId"],
    "properties": {
        **dict.fromkeys(("type", "title", "detail", "instance", "code", "traceId"), _TEXT),
        "status": {"type": "integer"},
        "errors": {"type": "array", "items": _ROW},
    },
}
_DELIVERY_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "enum": sorted({*_DELIVERY_CODES.values(), "internal_error"})},
                "message": _TEXT,
                "details": {"type": "object"},
            },
        }
    },
}
_ORCHESTRATOR_SCHEMA = {
    "type": "object",
    "required": ["success", "error", "meta"],
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": _TEXT,
                "message": _TEXT,
                "details": {"type": "object"},
                "validationErrors": {"type": "array", "items": _ROW},
            },
        },
        "meta": {
            "type": "object",
            "required": ["requestId"],
            "properties": {"requestId": _TEXT, "timestamp": {"type": "string", "format": "date-time"}},
        },
    },
}

_PLAIN = Offer(JSON, "1", JSON)
_VENDOR = "application/vnd.connectsoft.integration.v1+json"
_PROBLEM = "application/problem+json"

PLATFORM = Dialect((_PLAIN,), problem_details, _PROBLEM, _PROBLEM_SCHEMA)
DEVOPS = Dialect((Offer(JSON, "1", f"{JSON}; version=1"),), problem_details, _PROBLEM, _PROBLEM_SCHEMA)
FEEDS = Dialect((_PLAIN,), problem_details, _PROBLEM, _PROBLEM_SCHEMA, takes_basic=True)
INTEGRATION = Dialect((Offer(_VENDOR, "1", _VENDOR), _PLAIN), problem_details, _PROBLEM, _PROBLEM_SCHEMA)
RUNTIME = Dialect((_PLAIN,), problem_details, _PROBLEM, _PROBLEM_SCHEMA, headers={"cs-schema-version": "1"})
DELIVERY = Dialect(
    (_PLAIN,),
    delivery_error,
    JSON,
    _DELIVERY_SCHEMA,
    # The contract knows one status for "not in this state": neither 412 nor 422 is among its answers.
    statuses={StaleRevision: 409, KeyReused: 409, RuleBroken: 409},
    page=delivery_page,
    page_schema=delivery_page_schema,
    tenant_field="tenant_id",
)
ORCHESTRATOR = Dialect(
    (_PLAIN,),
    orchestrator_error,
    JSON,
    _ORCHESTRATOR_SCHEMA,
    statuses={
        StaleRevision: 409,
        KeyReused: 409,
        NotAcceptable: 400,
        TooLarge: 400,
        UnsupportedMediaType: 400,
        Transient: 500,
    },
    page=orchestrator_page,
    page_schema=orchestrator_page_schema,
    echoes_request_id=True,
)
