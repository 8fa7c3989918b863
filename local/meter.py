"""What each step of a walk costs the document store, where something counts it: the stand-in for Cosmos does.

Requests and their charge, by kind. The feed's own polling is left out: it goes on whoever walks.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Final
from urllib.request import urlopen

_POLLING: Final = frozenset({"feed", "account", "database", "container", "pkranges"})
_WRITES: Final = frozenset({"create", "upsert", "replace", "delete", "batch"})


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests, and request units."""

    reads: int = 0
    writes: int = 0
    charge: float = 0.0

    @classmethod
    def of(cls, counts: dict[str, int], charges: dict[str, float]) -> "Cost":
        asked = Counter({kind: count for kind, count in counts.items() if kind not in _POLLING})
        writes = sum(count for kind, count in asked.items() if kind in _WRITES)
        return cls(asked.total() - writes, writes, sum(charges[kind] for kind in asked))

    def less(self, before: "Cost") -> "Cost":
        return Cost(self.reads - before.reads, self.writes - before.writes, self.charge - before.charge)

    def __str__(self) -> str:
        return f"{self.reads} reads, {self.writes} writes, {self.charge:.0f} RU"


@dataclass
class Meter:
    """Nothing to say without a URL."""

    url: str = ""
    total: Cost = Cost()
    _last: Cost | None = None

    def since_last(self) -> Cost | None:
        """What was asked since this was asked before."""
        if not self.url:
            return None
        with urlopen(self.url, timeout=10) as answer:  # noqa: S310 - a stand-in of this very run
            told = json.load(answer)
        seen = Cost.of(told["counts"], told["charges"])
        spent = seen.less(self._last) if self._last is not None else seen
        self._last, self.total = seen, seen
        return spent
