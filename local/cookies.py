"""Writes a cookie of a function's response as the Set-Cookie header that the Functions host would send."""

from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from local.protos import RpcHttpCookie, SameSite

SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"
"""What a cookie value may hold as it is; the rest is percent-encoded."""
SAME_SITE = {SameSite.Lax: "lax", SameSite.Strict: "strict", SameSite.ExplicitNone: "none"}


def set_cookie(cookie: RpcHttpCookie) -> bytes:
    """The header's value. The cookie's own value is percent-encoded where a header could not carry it."""
    parts = [f"{cookie.name}={quote(cookie.value, safe=SAFE)}"]
    if cookie.expires is not None:
        at = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        parts.append(f"expires={format_datetime(at, usegmt=True)}")
    if cookie.max_age is not None:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    if cookie.domain is not None and cookie.domain.value:
        parts.append(f"domain={cookie.domain.value}")
    parts.append(f"path={cookie.path.value if cookie.path is not None and cookie.path.value else '/'}")
    if cookie.secure is not None and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site in SAME_SITE:
        parts.append(f"samesite={SAME_SITE[cookie.same_site]}")
    if cookie.http_only is not None and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts).encode("latin-1")
