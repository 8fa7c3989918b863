"""Which version comes next, read off the commits since the last release (Conventional Commits 1.0)."""

import re
from collections.abc import Iterable
from enum import IntEnum

FIRST_VERSION = "1.0.0"

_HEADER = re.compile(r"(?P<type>[A-Za-z]+)(\([^()\r\n]+\))?(?P<breaking>!)?: ")
_FOOTER = re.compile(r"^BREAKING[ -]CHANGE: ", re.MULTILINE)


class Bump(IntEnum):
    """How much a commit moves the version; the largest one of a release rules."""

    PATCH = 0
    MINOR = 1
    MAJOR = 2


def bump_of(message: str) -> Bump:
    """What one commit asks for: `!` or a BREAKING CHANGE footer major, `feat` minor, anything else patch."""
    header = _HEADER.match(message)
    if _FOOTER.search(message) or (header and header["breaking"]):
        return Bump.MAJOR
    return Bump.MINOR if header and header["type"].lower() == "feat" else Bump.PATCH


def next_version(last: str | None, messages: Iterable[str]) -> str:
    """The version after `last` (`major.minor.patch`), or the first one. No commits at all is a patch."""
    if last is None:
        return FIRST_VERSION
    major, minor, patch = (int(part) for part in last.split("."))
    match max((bump_of(message) for message in messages), default=Bump.PATCH):
        case Bump.MAJOR:
            return f"{major + 1}.0.0"
        case Bump.MINOR:
            return f"{major}.{minor + 1}.0"
        case _:
            return f"{major}.{minor}.{patch + 1}"
