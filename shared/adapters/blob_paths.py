"""What a blob's path may be, its content type, and the folder of a tenant: alike in every adapter. Touches no
storage.
"""

import hashlib
import mimetypes
import re

from shared.domain.kernel.errors import Invalid

_PLAIN_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# Built in, so that a machine's own mime.types does not change what we answer.
_TYPES = mimetypes.MimeTypes(filenames=())
_TYPES.add_type("text/plain", ".log")


def components(path: str) -> list[str]:
    """The components of a blob's path. Raises Invalid."""
    found = path.split("/")
    if len(path) > 900:
        raise Invalid("A blob's path may have at most 900 characters; shorten it.")
    if any(component in {"", ".", ".."} for component in found):
        raise Invalid("A blob's path is relative, with no empty component and no `.` or `..` in it.")
    if "\0" in path or "\\" in path:
        raise Invalid("A blob's path may hold neither a NUL nor a backslash; separate components with `/`.")
    try:
        widest = max(len(component.encode()) for component in found)
    except UnicodeEncodeError:
        raise Invalid("A blob's path must be proper Unicode text.") from None
    if widest > 240:
        raise Invalid("A component of a blob's path may have at most 240 bytes; shorten it.")
    return found


def tenant_folder(tenant: str) -> str:
    # Tenants are named by the issuer: `..`, `a/b`, or two that differ in case only must not share a folder.
    if _PLAIN_TENANT.fullmatch(tenant):
        return tenant
    return "~" + hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()


def content_type(path: str) -> str:
    """By suffix; what is unknown is bytes. A packed file is served as what it is, not as what is inside."""
    kind, packing = _TYPES.guess_type(path)
    if packing is not None:
        return "application/gzip" if packing == "gzip" else "application/octet-stream"
    kind = kind or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind == "application/json" else kind
