"""The secrets of one vault, in memory: versions, soft delete, and what the service refuses. Knows no HTTP."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
VALUE_BYTES = 25 * 1024
MOST_TAGS, TAG_CHARACTERS = 15, 256
RETAINED_SECONDS = 90 * 24 * 3600


class Refused(Exception):
    """An error answer: status, code, and the inner code that clients tell cases apart by."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": {"code": code, "message": message}}
        if inner:
            self.body["error"]["innererror"] = {"code": inner}


def bad(message: str) -> Refused:
    return Refused(400, "BadParameter", message)


@dataclass(slots=True, kw_only=True)
class Version:
    id: str
    value: str
    tags: dict[str, str]
    content_type: str | None
    attributes: dict[str, Any]


@dataclass(slots=True)
class Stored:
    """`versions` by id, the oldest first. `deleted_at` is None while it lives; `settling` is how many more
    questions find the deletion unfinished."""

    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    deleted_at: int | None = None
    settling: int = 0

    @property
    def current(self) -> Version:
        return next(reversed(self.versions.values()))


class Secrets:
    """`settling` is how many questions a deletion takes to finish, from now on: the service takes seconds."""

    def __init__(self) -> None:
        self.settling = 0
        self._stored: dict[str, Stored] = {}

    def settle(self, questions: int) -> None:
        """Every deletion so far takes that many more questions to finish."""
        for stored in self._stored.values():
            stored.settling = questions if stored.deleted_at is not None else 0

    def set(self, name: str, body: Mapping[str, Any]) -> tuple[str, Version]:
        stored = self._stored.get(_key(name))
        if stored is not None and stored.deleted_at is not None:
            self._refuse_while_deleted(stored)
        value = body.get("value")
        if not isinstance(value, str):
            raise bad("The request body is missing the secret's value.")
        if len(value.encode()) > VALUE_BYTES:
            raise bad(f"The secret's value is longer than {VALUE_BYTES} bytes.")
        now = int(time.time())
        attributes = {"enabled": True, "created": now, "updated": now, **_attributes(body)}
        made = Version(
            id=secrets.token_hex(16),
            value=value,
            tags=_tags(body) or {},
            content_type=body.get("contentType"),
            attributes=attributes,
        )
        if stored is None:
            stored = self._stored[_key(name)] = Stored(name)
        stored.versions[made.id] = made
        return stored.name, made

    def get(self, name: str, version: str) -> tuple[str, Version]:
        stored, found = self._find(name, version)
        _refuse_disabled(found)
        return stored.name, found

    def update(self, name: str, version: str, body: Mapping[str, Any]) -> tuple[str, Version]:
        stored, found = self._find(name, version)
        found.attributes |= _attributes(body) | {"updated": int(time.time())}
        if (tags := _tags(body)) is not None:
            found.tags = tags
        found.content_type = body.get("contentType", found.content_type)
        return stored.name, found

    def versions(self, name: str) -> list[tuple[str, Version]]:
        """In no order that means anything, as the service's."""
        stored = self._living(name)
        return sorted(((stored.name, one) for one in stored.versions.values()), key=lambda row: row[1].id)

    def names(self) -> list[tuple[str, Version]]:
        living = ((one.name, one.current) for one in self._stored.values() if one.deleted_at is None)
        return sorted(living, key=lambda row: row[0])

    def deleted_names(self) -> list[Stored]:
        found = (one for one in self._stored.values() if one.deleted_at is not None)
        return sorted(found, key=lambda one: one.name)

    def delete(self, name: str) -> Stored:
        stored = self._stored.get(_key(name))
        if stored is not None and stored.deleted_at is not None and stored.settling:
            self._refuse_while_deleted(stored)
        stored = self._living(name)
        stored.deleted_at, stored.settling = int(time.time()), self.settling
        return stored

    def deleted(self, name: str) -> Stored:
        stored = self._gone(name)
        _refuse_disabled(stored.current)
        return stored

    def recover(self, name: str) -> tuple[str, Version]:
        stored = self._settled(name)
        stored.deleted_at = None
        return stored.name, stored.current

    def purge(self, name: str) -> None:
        del self._stored[_key(self._settled(name).name)]

    def _settled(self, name: str) -> Stored:
        stored = self._stored.get(_key(name))
        if stored is not None and stored.deleted_at is not None and stored.settling:
            self._refuse_while_deleted(stored)
        return self._gone(name)

    def _gone(self, name: str) -> Stored:
        stored = self._stored.get(_key(name))
        if stored is None or stored.deleted_at is None or self._unfinished(stored):
            raise Refused(404, "SecretNotFound", f"Deleted secret not found: {name}")
        return stored

    def _unfinished(self, stored: Stored) -> bool:
        stored.settling, unfinished = max(0, stored.settling - 1), stored.settling > 0
        return unfinished

    def _refuse_while_deleted(self, stored: Stored) -> None:
        if self._unfinished(stored):
            message = f"Secret {stored.name} is currently being deleted and cannot be re-created."
            raise Refused(409, "Conflict", message, "ObjectIsBeingDeleted")
        message = f"Secret {stored.name} is currently in a deleted but recoverable state."
        raise Refused(409, "Conflict", message, "ObjectIsDeletedButRecoverable")

    def _find(self, name: str, version: str) -> tuple[Stored, Version]:
        """The version, or the current one for an empty id."""
        stored = self._living(name)
        found = stored.versions.get(version.lower()) if version else stored.current
        if found is None:
            raise _not_found(name)
        return stored, found

    def _living(self, name: str) -> Stored:
        stored = self._stored.get(_key(name))
        if stored is None or stored.deleted_at is not None:
            raise _not_found(name)
        return stored


def _key(name: str) -> str:
    """Names compare without case."""
    if not NAME.fullmatch(name):
        raise bad(f"The request URI contains an invalid name: {name}")
    return name.lower()


def _not_found(name: str) -> Refused:
    message = f"A secret with (name/id) {name} was not found in this key vault."
    return Refused(404, "SecretNotFound", message)


def _refuse_disabled(version: Version) -> None:
    if not version.attributes["enabled"]:
        message = "Operation get is not allowed on a disabled secret."
        raise Refused(403, "Forbidden", message, "SecretDisabled")


def _attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("attributes") or {}
    return {name: given[name] for name in ("enabled", "nbf", "exp") if given.get(name) is not None}


def _tags(body: Mapping[str, Any]) -> dict[str, str] | None:
    tags: dict[str, str] | None = body.get("tags")
    if tags is None:
        return None
    if len(tags) > MOST_TAGS or any(len(text) > TAG_CHARACTERS for pair in tags.items() for text in pair):
        raise bad(f"There may be {MOST_TAGS} tags, of {TAG_CHARACTERS} characters each in name and value.")
    return dict(tags)
