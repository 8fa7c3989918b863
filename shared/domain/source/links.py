"""What a pull request says it closes: `closes #12`, `Fixes: ABC-123` in its description."""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_LINKS = 50
_THING = r"#[1-9][0-9]{0,8}|[A-Za-z][A-Za-z0-9]{0,9}-[1-9][0-9]{0,8}"
_CLOSES = re.compile(rf"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?[ \t]+({_THING})\b", re.IGNORECASE)


class LinkKind(StrEnum):
    PULL_REQUEST = "pull_request"
    WORK_ITEM = "work_item"


@dataclass(frozen=True, slots=True)
class Link:
    """`key` as people write it: `#12` is a pull request of the same repository, `ABC-123` a work item."""

    kind: LinkKind
    key: str


def links_in(description: str) -> tuple[Link, ...]:
    """Each thing once, in the order of their first mention; at most MAX_LINKS."""
    keys = dict.fromkeys(found.upper() for found in _CLOSES.findall(description))
    return tuple(
        Link(LinkKind.PULL_REQUEST if key.startswith("#") else LinkKind.WORK_ITEM, key)
        for key in list(keys)[:MAX_LINKS]
    )
