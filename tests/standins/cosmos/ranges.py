"""Physical partitions: how the effective keys are cut into ranges. They never split here."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from tests.standins.cosmos.catalogue import Container
from tests.standins.cosmos.errors import Refused
from tests.standins.cosmos.feed import Span

_KEYS = 0x4000
"""Effective keys start with 0000 to 3FFF: the two highest bits of the hash are cleared."""


def even(count: int) -> tuple[str, ...]:
    """The cuts that make so many ranges of equal width."""
    return tuple(f"{_KEYS * number // count:04X}" for number in range(1, count))


@dataclass(frozen=True)
class Ranges:
    """The ranges between `cuts`, which are effective keys in ascending order. Their names are 0, 1, ..."""

    cuts: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        return f'"ranges-{len(self.cuts)}"'

    def span(self, name: str) -> Span:
        """The range of that name; refused with 410 if there is none."""
        if not name.isdigit() or int(name) > len(self.cuts):
            raise Refused(410, "Gone", "The requested partition key range is no longer available.", 1002)
        bounds = ("", *self.cuts, "FF")
        return Span(bounds[int(name)], bounds[int(name) + 1])

    def name_of(self, epk: str) -> str:
        return str(bisect_right(self.cuts, epk))

    def resource(self, container: Container) -> dict[str, Any]:
        ranges: list[dict[str, Any]] = []
        for number in range(len(self.cuts) + 1):
            span = self.span(str(number))
            ranges.append({
                "id": str(number),
                "_rid": container.item_rid(number + 1),
                "minInclusive": span.low,
                "maxExclusive": span.high,
                "status": "online",
                "parents": [],
                "throughputFraction": 1 / (len(self.cuts) + 1),
                "ridPrefix": number,
                "_etag": self.etag,
                "_ts": 0,
            })  # fmt: skip
        return {"_rid": container.rid, "PartitionKeyRanges": ranges, "_count": len(ranges)}
