"""Which blob of a container a tenant's path is. Two paths never share one. Reads and writes nothing."""

import hashlib

from shared.adapters.blob_paths import components, tenant_folder

MOST_SEGMENTS = 250
"""Blob Storage refuses names of more than 254."""


def blob_name(tenant: str, path: str) -> str:
    """Raises Invalid for a path that is none."""
    return f"{tenant_folder(tenant)}/{_in_tenant(path)}"


def _in_tenant(path: str) -> str:
    """The path itself where a URL carries it unharmed. Dots at the end of a segment are dropped on the way by
    some clients, and control characters refused; such a path is kept by its digest."""
    found = components(path)
    plain = path.isprintable() and not path.startswith("~") and len(found) <= MOST_SEGMENTS
    if plain and not any(one.endswith(".") for one in found):
        return path
    return "~" + hashlib.sha256(path.encode()).hexdigest()
