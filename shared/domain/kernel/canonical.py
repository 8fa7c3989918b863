"""Canonical JSON and the digests made of it: equal content gives equal bytes on every machine."""

import hashlib
import json


def canonical_json(value: object) -> bytes:
    """`value` as UTF-8 JSON with sorted keys and no blanks (RFC 8785 for the types we store; no floats in
    digests)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(value: object) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of `value`."""
    return "sha256:" + sha256_hex(canonical_json(value))
