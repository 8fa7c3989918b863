"""Many instances of the rate limits over one store in memory; a test steers clocks, crashes and races."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.errors import Transient
from shared.domain.kernel.ids import Root
from shared.domain.limits.model import Tariff
from shared.ports.store import Document, Query, StoreConflict, Walk, Write
from shared.services.limits import Limits, Standing

START = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)
ANN = Actor("user:ann", ActorKind.HUMAN, "acme")


@dataclass
class Instant:
    """What time it really is; nobody's clock need agree."""

    now: datetime = START

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    @property
    def micros(self) -> int:
        return (self.now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@dataclass
class SkewedClock:
    instant: Instant
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return self.instant.now + self.ahead


@dataclass
class MemoryStore:
    """Cosmos semantics for a few documents. Every operation lets the others run first, `laps` times. It may
    be `away`, or so `contended` that every write loses."""

    instant: Instant
    laps: random.Random | None = None
    away: bool = False
    contended: bool = False
    reads: int = 0
    commits: int = 0
    conflicts: int = 0
    documents: dict[tuple[str, str, str], tuple[Document, datetime | None]] = field(default_factory=dict)
    etags: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def open(self, tenant: str) -> "MemoryTenant":
        return MemoryTenant(self, tenant)

    async def ready(self) -> None:
        await self.answer()

    async def aclose(self) -> None:
        self.documents.clear()

    async def answer(self) -> None:
        for _ in range(self.laps.randrange(6) if self.laps else 1):
            await asyncio.sleep(0)
        if self.away:
            raise Transient("The store does not answer.")


@dataclass
class MemoryTenant:
    store: MemoryStore
    tenant: str

    def partition(self, root: Root) -> "MemoryPartition":
        return MemoryPartition(self.store, self.tenant, str(root))

    async def query(self, query: Query) -> list[Document]:
        raise AssertionError(f"rate limits need no query, and asked for {query}")

    async def walk(self, query: Query) -> Walk:
        raise AssertionError(f"rate limits need no walk, and asked for {query}")


@dataclass
class MemoryPartition:
    store: MemoryStore
    tenant: str
    root: str

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        self.store.reads += 1
        await self.store.answer()
        return {name: found for name in ids if (found := self._find(name)) is not None}

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        raise AssertionError("rate limits need no scan")

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        self.store.commits += 1
        await self.store.answer()
        [write] = writes
        found = self._find(write.id)
        if self.store.contended or (None if found is None else found.etag) != write.etag:
            self.store.conflicts += 1
            raise StoreConflict("changed meanwhile", write.id)
        sequence = next(self.store.etags)
        made = Document(
            self.tenant, self.root, write.id, write.kind, write.body, f"etag-{sequence}", sequence
        )
        self.store.documents[self.tenant, self.root, write.id] = (made, write.expires_at)
        await self.store.answer()  # the answer may be lost after the effect
        return {write.id: made.etag}

    def _find(self, name: str) -> Document | None:
        found, expires_at = self.store.documents.get((self.tenant, self.root, name), (None, None))
        return found if expires_at is None or expires_at > self.store.instant.now else None


class Fleet:
    """Instances that serve one principal, each by its own clock. `admitted` are the real times of what
    passed; `by_minute` counts it in the minutes that the answers named, and `served` says by which lives of
    instances."""

    def __init__(self, seed: int, skews: Sequence[float], tariff: Tariff, *, crashing: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.instant = Instant()
        self.store = MemoryStore(self.instant, self.chance)
        self.admitted: list[int] = []
        self.by_minute: Counter[int] = Counter()
        self.served: dict[int, set[int]] = {}
        self.refused = 0
        self.crashes = 0
        self._clocks = [SkewedClock(self.instant, timedelta(seconds=skew)) for skew in skews]
        self._tariff = tariff
        self._crashing = crashing
        self._lives = itertools.count()
        self._instances = [self._start(clock) for clock in self._clocks]

    def _start(self, clock: SkewedClock) -> tuple[int, Limits]:
        return next(self._lives), Limits(self.store, clock, self._tariff)

    async def ask(self, most: int) -> None:
        """Every instance is asked up to `most` times at once, while time goes on, and one may die of it."""
        asked = [
            [asyncio.create_task(self._ask(*each)) for _ in range(self.chance.randrange(most + 1))]
            for each in self._instances
        ]
        if self.chance.random() < self._crashing:
            for _ in range(self.chance.randrange(8)):
                await asyncio.sleep(0)
            dying = self.chance.randrange(len(asked))
            for task in asked[dying]:
                task.cancel()
            self._instances[dying] = self._start(self._clocks[dying])
            self.crashes += 1
        self.instant.advance(milliseconds=self.chance.randrange(20))
        for outcome in await asyncio.gather(*itertools.chain(*asked), return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _ask(self, life: int, limits: Limits) -> None:
        standing = await limits.admit(ANN)
        assert standing is not None
        if standing.retry_after:
            self.refused += 1
            return
        self.admitted.append(self.instant.micros)
        self.by_minute[standing.reset] += 1
        self.served.setdefault(standing.reset, set()).add(life)

    def most_in(self, span: int) -> int:
        """The most that passed within any `span` of real time, in microseconds."""
        most = first = 0
        for last, at in enumerate(self.admitted):
            while at - self.admitted[first] > span:
                first += 1
            most = max(most, last - first + 1)
        return most


async def until_refused(limits: Limits, actor: Actor = ANN) -> tuple[int, Standing]:
    """How many pass at once, and the refusal that ends it."""
    for passed in itertools.count():
        standing = await limits.admit(actor)
        assert standing is not None
        if standing.retry_after:
            return passed, standing
    raise AssertionError("never refused")
