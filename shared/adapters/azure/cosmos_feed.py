"""The change feed of all partition ranges, read in turn from a position that may be kept.

The ranges are kept apart here, each with the SDK's continuation of its own: the SDK's continuation over
several ranges cannot be read back before each of them was read once.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

from shared.adapters.azure.cosmos_client import Container, Range
from shared.adapters.azure.cosmos_items import Item
from shared.domain.kernel.errors import Permanent, Transient

_UNREAD = '"token": null'
"""In a continuation: a range that was split before it was first read, which cannot be read back either."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one range has been read up to; None is its start."""

    range: Range
    continuation: str | None


async def read_feed(container: Container, position: str, limit: int) -> tuple[list[Item], str]:
    """About `limit` changes of the next range that has any, and the position after them.

    None where no range has any. Raises Permanent where the position is none of this container's.
    """
    places = _parsed(position) if position else [Place(one, None) for one in await container.ranges()]
    unchanged = 0
    while unchanged < len(places):
        place, *others = places
        items, continuation = await _page(container, place, limit)
        if continuation is None:
            places = [*[Place(part, None) for part in await _parts(container, place.range)], *others]
            continue
        places = [*others, Place(place.range, continuation)]  # so that no range waits for a busier one
        if items:
            return items, _text(places)
        unchanged += 1
    return [], _text(places)


async def _page(container: Container, place: Place, limit: int) -> tuple[list[Item], str | None]:
    """Without a continuation where the range has to be read anew, part by part."""
    try:
        items, continuation = await container.changes(place.range, place.continuation, limit)
    except ValueError:
        raise _foreign() from None
    if _UNREAD in base64.b64decode(continuation).decode():
        return [], None
    return items, continuation


async def _parts(container: Container, whole: Range) -> list[Range]:
    found = [one for one in await container.ranges() if await container.is_within(one, whole)]
    if not found:
        raise Transient("The partitions of the feed are being rearranged; try again.")
    return found


def _text(places: list[Place]) -> str:
    return json.dumps([[place.range, place.continuation] for place in places], separators=(",", ":"))


def _parsed(position: str) -> list[Place]:
    try:
        found: Any = json.loads(position)
    except ValueError:
        raise _foreign() from None
    match found:
        case [[dict(), str() | None], *_]:
            return [Place(one, continuation) for one, continuation in found]
        case _:
            raise _foreign()


def _foreign() -> Permanent:
    return Permanent(
        "The feed cannot be read on from this position, as it is none of this container's; read it from the "
        "start."
    )
