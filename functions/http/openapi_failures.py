"""What can go wrong with an operation: each status with its sentence, its headers and an example in the words
of the surface. The examples are made by the code that makes the real answers."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from functions.http.dialects import Dialect, Occurrence
from functions.http.endpoint import Endpoint
from functions.http.errors import (
    Failure,
    KeyInProgress,
    KeyReused,
    NotAcceptable,
    RateLimited,
    ResponseTooLarge,
    ScopeMissing,
    TenantMismatch,
    TokenMissing,
    TooLarge,
    UnsupportedMediaType,
    failure_of,
)
from functions.http.openapi_parts import RATE
from functions.http.openapi_schemas import Node, refers_to_things
from shared.domain.kernel.errors import (
    DeliveryError,
    IllegalTransition,
    Invalid,
    NotFound,
    Permanent,
    Problem,
    RuleBroken,
    StaleRevision,
    Transient,
)
from shared.domain.limits.model import REQUEST_BYTES, RESPONSE_BYTES
from shared.ports.tokens import TokenRefused
from shared.services.host_hooks import SignatureRefused


@dataclass(frozen=True, slots=True)
class Sample:
    """One way to fail, and which operations can."""

    error: DeliveryError
    happens: Callable[[Endpoint], bool]


def statuses_of(endpoint: Endpoint) -> list[int]:
    """Every status an operation can fail with, ascending."""
    found = {_failure(sample, endpoint.dialect).status for sample in SAMPLES if sample.happens(endpoint)}
    return sorted(found)


def response_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")


def responses_of(dialect: Dialect, endpoints: Iterable[Endpoint]) -> Node:
    """The failure responses of a surface, by name: one per status that any of its operations has."""
    found: dict[int, list[Failure]] = {}
    endpoints = list(endpoints)
    for sample in SAMPLES:
        if any(sample.happens(endpoint) for endpoint in endpoints):
            failure = _failure(sample, dialect)
            found.setdefault(failure.status, []).append(failure)
    return {
        response_name(status): _response(dialect, status, failures)
        for status, failures in sorted(found.items())
    }


def _response(dialect: Dialect, status: int, failures: list[Failure]) -> Node:
    headers = {"traceparent"}.union(*(failure.headers for failure in failures), dialect.headers)
    if status != HTTPStatus.UNAUTHORIZED:
        headers.update(RATE)
    if dialect.echoes_request_id:
        headers.add("X-Request-Id")
    examples = {failure.code: {"value": _told(dialect, failure)} for failure in failures}
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Error"}, "examples": examples}
    return {
        "description": _MEANING[status],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(headers)},
        "content": {dialect.error_type: content},
    }


def _failure(sample: Sample, dialect: Dialect) -> Failure:
    return failure_of(sample.error, dialect.statuses)


def _told(dialect: Dialect, failure: Failure) -> Any:
    told = dialect.error(failure, _WHERE)
    return json.loads(json.dumps(told, default=str))


_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_WHERE = Occurrence(
    "/the/path/of/the/request", f"corr-{_TRACE}", f"corr-{_TRACE}", datetime(2026, 6, 11, 9, tzinfo=UTC)
)


def _is_secured(endpoint: Endpoint) -> bool:
    return not endpoint.is_public


def _is_signed(endpoint: Endpoint) -> bool:
    """What a vendor sends: whoever calls is known by the signature of the body."""
    return endpoint.is_public and endpoint.raw_body


def _writes(endpoint: Endpoint) -> bool:
    return endpoint.method != "GET"


def _takes_key(endpoint: Endpoint) -> bool:
    return _writes(endpoint) and _is_secured(endpoint)


def _is_bindable(endpoint: Endpoint) -> bool:
    return _writes(endpoint) or endpoint.query is not None


def _takes_body(endpoint: Endpoint) -> bool:
    return endpoint.raw_body or endpoint.body is not None


def _names_things(endpoint: Endpoint) -> bool:
    return bool(endpoint.params) or refers_to_things(endpoint.body) or refers_to_things(endpoint.query)


def _is_negotiated(endpoint: Endpoint) -> bool:
    return _is_secured(endpoint) and (endpoint.view is not None or endpoint.status == 204)


SAMPLES = (
    Sample(
        Invalid(
            "The request has 2 mistakes; mend them all and send it again.",
            Problem("name", "This field is required.", "required"),
            Problem("limit", "Must be 100 or less.", "out_of_range"),
        ),
        _is_bindable,
    ),
    Sample(TokenMissing("Send a bearer token: Authorization: Bearer <token>."), _is_secured),
    Sample(TokenRefused("The token has expired; ask the issuer for a new one."), _is_secured),
    Sample(SignatureRefused("This is not signed by the webhook of a repository here."), _is_signed),
    Sample(
        ScopeMissing(
            "This needs the scope devops.releases.approve; ask for a token or a role that grants it.",
            scope="devops.releases.approve",
        ),
        _is_secured,
    ),
    Sample(
        TenantMismatch(
            "The body's tenant is not the tenant of the token; leave it out or use the token's tenant."
        ),
        lambda endpoint: _is_secured(endpoint) and endpoint.body is not None,
    ),
    Sample(NotFound("There is no such thing; check its id."), _names_things),
    Sample(
        NotAcceptable("We answer with application/json; accept that, or leave Accept out.", supported=["1"]),
        _is_negotiated,
    ),
    Sample(
        IllegalTransition("It has ended, so that it can no longer be cancelled.", status="succeeded"), _writes
    ),
    Sample(
        KeyInProgress("A request with this Idempotency-Key is being served; ask again in a second."),
        _takes_key,
    ),
    Sample(
        StaleRevision("It has changed since you read it; read it again and decide anew."),
        lambda endpoint: endpoint.reads_if_match,
    ),
    Sample(
        TooLarge(f"The body is larger than {REQUEST_BYTES} bytes; send less at a time.", limit=REQUEST_BYTES),
        _takes_body,
    ),
    Sample(
        UnsupportedMediaType(
            "Send the body as application/json, in UTF-8 and not compressed.", supported=["application/json"]
        ),
        _takes_body,
    ),
    Sample(RuleBroken("A rule says no; the sentence here says which, and what to do."), _writes),
    Sample(KeyReused("This Idempotency-Key was used for another request; take a new one."), _takes_key),
    Sample(
        ResponseTooLarge(
            f"The answer is larger than {RESPONSE_BYTES} bytes; ask for a part of it, by a narrower range or"
            " a smaller page.",
            limit=RESPONSE_BYTES,
        ),
        lambda endpoint: _is_secured(endpoint) and endpoint.view is not None and not _writes(endpoint),
    ),
    Sample(
        RateLimited(
            "More than 1000 requests a minute, or too many at once; ask again in 3 seconds.", retry_after=3
        ),
        lambda endpoint: _is_secured(endpoint) or _is_signed(endpoint),
    ),
    Sample(Permanent("Never shown."), lambda endpoint: True),
    Sample(Transient("A part of the platform does not answer; try again."), lambda endpoint: True),
)

_MEANING = {
    400: "The request is malformed: every mistake is named at once.",
    401: "No token, or not one that is taken here.",
    403: "The token is good and does not grant this.",
    404: "There is no such thing for this tenant; another tenant's thing answers so too.",
    406: "None of the accepted representations or versions is on offer.",
    409: "The state of the thing does not admit this now.",
    412: "If-Match names a revision that is no longer the current one.",
    413: "The body is larger than this operation takes.",
    415: "The body is of a type or an encoding that this operation does not take.",
    422: "The request is well formed and a rule says no.",
    429: "Too many requests of this caller; wait for as long as Retry-After says.",
    500: "Something went wrong on our side; nothing about it is told but the trace id.",
    503: "A part of the platform does not answer; the same request may succeed later.",
}
