"""How much one caller may send."""

from collections.abc import Mapping

from functions.http.errors import TooLarge

MAX_BODY_BYTES = 10 * 1024 * 1024


def check_size(headers: Mapping[str, str], body: bytes, limit: int) -> None:
    """Refuse a body that is, or says it is, larger than `limit` bytes."""
    declared = headers.get("content-length", "")
    # A host may cut a body it finds too large, so what the caller announced counts as well.
    announced = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 19 else 0
    if max(announced, len(body)) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes; send less at a time.", limit=limit)
