"""How much one caller may send, get and ask for, and how that is told in headers."""

from collections.abc import Mapping

from functions.http.errors import RateLimited, ResponseTooLarge, TooLarge
from shared.domain.limits.model import REQUEST_BYTES, RESPONSE_BYTES
from shared.services.limits import Standing

MAX_BODY_BYTES = REQUEST_BYTES


def check_size(headers: Mapping[str, str], body: bytes, limit: int) -> None:
    """Refuse a body that is, or says it is, larger than `limit` bytes."""
    declared = headers.get("content-length", "")
    # A host may cut a body it finds too large, so what the caller announced counts as well.
    announced = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 19 else 0
    if max(announced, len(body)) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes; send less at a time.", limit=limit)


def check_rate(standing: Standing | None) -> None:
    """Refuse a caller who has used up what it may ask for."""
    if standing is not None and standing.retry_after:
        raise RateLimited(
            f"More than {standing.limit} requests a minute, or too many at once;"
            f" ask again in {standing.retry_after} seconds.",
            retry_after=standing.retry_after,
        )


def check_answer(body: bytes) -> None:
    """Refuse to send more than any client has to expect."""
    if len(body) > RESPONSE_BYTES:
        raise ResponseTooLarge(
            f"The answer is larger than {RESPONSE_BYTES} bytes; ask for a part of it, by a narrower range"
            " or a smaller page.",
            limit=RESPONSE_BYTES,
        )


def headers_of(standing: Standing | None) -> dict[str, str]:
    """What every answer to an authenticated caller says of its rate."""
    if standing is None:
        return {}
    return {
        "X-RateLimit-Limit": str(standing.limit),
        "X-RateLimit-Remaining": str(standing.remaining),
        "X-RateLimit-Reset": str(standing.reset),
    }
