"""Which kind of error answers with which status, and the errors that only the HTTP edge knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.domain.kernel.errors import (
    Conflict,
    DeliveryError,
    Forbidden,
    Invalid,
    NotFound,
    Permanent,
    Problem,
    RuleBroken,
    StaleRevision,
    Transient,
)
from shared.ports.tokens import TokenRefused

RETRY_AFTER_SECONDS = 5
OPAQUE = "Something went wrong on our side; report it with the trace id of this answer."


class TokenMissing(TokenRefused):
    """The request says nothing about who calls."""

    code = "missing_token"


class ScopeMissing(Forbidden):
    """The token and its roles do not grant the scope of the endpoint."""

    code = "insufficient_scope"


class TenantMismatch(Forbidden):
    """The body names another tenant than the token."""

    code = "tenant_mismatch"


class TooLarge(DeliveryError):
    """The body is larger than the endpoint takes."""

    code = "body_too_large"


class ResponseTooLarge(RuleBroken):
    """What was asked for is more than one answer may hold."""

    code = "response_too_large"


class RateLimited(DeliveryError):
    """The caller has used up what it may ask for at the moment."""

    code = "rate_limited"


class NotAcceptable(DeliveryError):
    """The caller accepts no representation or version that we have."""

    code = "not_acceptable"


class UnsupportedMediaType(DeliveryError):
    """The body is of a type that the endpoint does not take."""

    code = "unsupported_media_type"


class KeyReused(DeliveryError):
    """The Idempotency-Key belongs to another request."""

    code = "idempotency_key_reused"


class KeyInProgress(Conflict):
    """A request with this Idempotency-Key is being served at this moment."""

    code = "idempotency_in_progress"


STATUS: Mapping[type[DeliveryError], int] = {
    Invalid: 400,
    TokenRefused: 401,
    Forbidden: 403,
    NotFound: 404,
    NotAcceptable: 406,
    Conflict: 409,
    StaleRevision: 412,
    TooLarge: 413,
    UnsupportedMediaType: 415,
    RuleBroken: 422,
    KeyReused: 422,
    RateLimited: 429,
    Transient: 503,
    Permanent: 500,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as callers may see it, before a dialect gives it a shape. `kind` is a row of STATUS."""

    kind: type[DeliveryError]
    status: int
    code: str
    message: str
    problems: tuple[Problem, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


UNKNOWN = Failure(Permanent, 500, "internal_error", OPAQUE)


def failure_of(error: DeliveryError, overrides: Mapping[type[DeliveryError], int]) -> Failure:
    """`overrides` are the statuses in which a dialect differs from the table."""
    kind: type[DeliveryError] = next((cls for cls in type(error).__mro__ if cls in STATUS), Permanent)
    status = next((overrides[cls] for cls in type(error).__mro__ if cls in overrides), STATUS[kind])
    if kind is Permanent:
        # Its message is for the person who looks at the log, and may name parts that callers must not see.
        return Failure(kind, status, error.code, OPAQUE)
    problems = error.problems if isinstance(error, Invalid) else ()
    return Failure(kind, status, error.code, error.message, problems, error.facts, _headers(error))


def _headers(error: DeliveryError) -> dict[str, str]:
    match error:
        case TokenMissing():
            return {"WWW-Authenticate": 'Bearer realm="slipway"'}
        case TokenRefused():
            return {"WWW-Authenticate": _challenge("invalid_token", error.message)}
        case ScopeMissing():
            scope = f', scope="{error.facts["scope"]}"'
            return {"WWW-Authenticate": _challenge("insufficient_scope", error.message) + scope}
        case KeyInProgress():
            return {"Retry-After": "1"}
        case RateLimited():
            return {"Retry-After": str(error.facts["retry_after"])}
        case Transient():
            return {"Retry-After": str(error.facts.get("retry_after", RETRY_AFTER_SECONDS))}
        case _:
            return {}


def _challenge(code: str, description: str) -> str:
    # RFC 6750 allows only these characters; others would let a message end the quoted string.
    safe = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in description)
    return f'Bearer realm="slipway", error="{code}", error_description="{safe}"'
