"""Totals of lists: counters projected from the change feed, one per value of what an index binds.

A source document is counted once, under what its latest version says: its sequence is kept beside its counts,
in one batch with them, so that a change seen twice, late or out of order changes nothing. Lists themselves
never come from here; they read the documents.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

from shared.domain.kernel.canonical import canonical_json, sha256_hex
from shared.domain.kernel.errors import Conflict, Transient
from shared.domain.kernel.ids import Root
from shared.ports.index import Index
from shared.ports.store import (
    MAX_BATCH_OPERATIONS,
    TOMBSTONE,
    Body,
    ChangeFeed,
    Document,
    Feed,
    Partition,
    Query,
    Store,
    StoreConflict,
    Write,
)

ATTEMPTS = 50
AT_ONCE = 500
"""Documents of the feed taken at a time."""
CHUNKS_BEFORE_A_LIST = 4
KEPT_EVERY = 1000
"""Sequences between two writes of how far the feed is projected."""
PLATFORM = "_platform"
"""Owns what belongs to no tenant; no token can name it."""
HEAD = "head"
_PROGRESS = Root("view", "progress")
_COUNT, _SOURCE = "count:", "source:"


@dataclass(frozen=True, slots=True)
class Total:
    """How many items a list has. `has_more` says that there are more than were counted."""

    count: int
    is_exact: bool = True
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """A counter that a rebuild found wrong."""

    tenant: str
    kind: str
    equal: Mapping[str, object]
    was: int
    now: int


class Projection(Protocol):
    """Something else that is made from the feed, in the same passes."""

    async def project(self, documents: Iterable[Document]) -> None:
        """Repeats, and versions older than those seen before, change nothing."""


@dataclass(frozen=True, slots=True)
class _Head:
    """Which generation of the counters is shown, and which one a rebuild is counting. They only rise."""

    current: int = 1
    building: int | None = None

    @classmethod
    def of(cls, document: Document | None) -> "_Head":
        return cls() if document is None else cls(document.body["current"], document.body["building"])

    @property
    def live(self) -> tuple[int, ...]:
        return (self.current,) if self.building is None else (self.current, self.building)

    def write(self, found: Document | None) -> Write:
        body = {"current": self.current, "building": self.building}
        return _written(HEAD, "view-head", body, found)


class Views:
    """Counters in the partition `view:counts:<kind>` of each tenant: one document per (fields, values), one
    per source document. Not split further: a batch carries many sources, and a total stays one point read.

    With a `feed`, as on the embedded platform, a total first projects what is pending, so that callers find
    what they just wrote; without one it answers what is there, and says that this may be behind.
    """

    def __init__(
        self,
        store: Store,
        indexes: Sequence[Index],
        feed: ChangeFeed | None = None,
        others: Sequence[Projection] = (),
    ) -> None:
        self._store = store
        self._others = others
        self._feed = feed
        self._combinations = {
            kind: sorted({tuple(sorted(index.equal)) for index in indexes if index.kind == kind})
            for kind in {index.kind for index in indexes}
        }
        self._lock = asyncio.Lock()
        self._projected: int | None = None
        self._kept = 0

    async def total(self, tenant: str, query: Query) -> Total:
        """How many documents the query's index has for its equalities: one read."""
        is_exact = await self.catch_up()
        (count,) = await self.counted(tenant, query.kind, [query.where])
        return Total(count, is_exact)

    async def counted(
        self, tenant: str, kind: str, equals: Sequence[Mapping[str, str | int | bool]]
    ) -> list[int]:
        """How many documents there are of each of these, as far as they are projected: one read for all."""
        names = [_counter(equal) for equal in equals]
        found = await self._partition(tenant, kind).read([HEAD, *names])
        generation = str(_Head.of(found.get(HEAD)).current)
        return [found[name].body["generations"].get(generation, 0) if name in found else 0 for name in names]

    def counts(self, kind: str, names: Iterable[str]) -> bool:
        """Whether documents of the kind are counted by the values of exactly these fields."""
        return tuple(sorted(names)) in self._combinations.get(kind, ())

    async def project(self, documents: Iterable[Document]) -> None:
        """Count these versions of documents; repeats and older versions change nothing."""
        documents = list(documents)
        for other in self._others:
            await other.project(documents)
        latest: dict[tuple[str, str], dict[str, Document]] = defaultdict(dict)
        for document in map(_unburied, documents):
            if document.kind in self._combinations:
                known = latest[document.tenant, document.kind]
                if document.id not in known or known[document.id].sequence < document.sequence:
                    known[document.id] = document
        for (tenant, kind), sources in latest.items():
            await self._absorb(self._partition(tenant, kind), kind, list(sources.values()))

    async def project_batch(self, documents: Sequence[Document]) -> None:
        """As `project`, for a reader of the feed that has skipped nothing before these documents."""
        await self.project(documents)
        if self._feed is not None and documents:
            await self._reached(documents[-1].sequence)

    async def rebuild(self, feed: Feed) -> list[Drift]:
        """Count everything again while others go on writing; returns what was counted wrong before.

        From the moment a new generation is announced every projection counts in both; what changed before is
        met in the feed, which is read from its start. Raises Conflict where another rebuild took over.
        """
        begun: dict[str, dict[str, int]] = {}
        stretch = await feed.read("", AT_ONCE)
        while documents := stretch.documents:
            for tenant in {document.tenant for document in documents} - begun.keys() - {PLATFORM}:
                kinds = sorted(self._combinations)
                begun[tenant] = {kind: await self._announce(self._partition(tenant, kind)) for kind in kinds}
            await self.project(documents)
            await asyncio.sleep(0)
            stretch = await feed.read(stretch.position, AT_ONCE)
        drifts: list[Drift] = []
        for tenant, generations in begun.items():
            for kind, generation in generations.items():
                partition = self._partition(tenant, kind)
                drifts += await _switch(partition, kind, tenant, generation)
                await _drop_before(partition, generation)
        return drifts

    def _partition(self, tenant: str, kind: str) -> Partition:
        return self._store.open(tenant).partition(Root("view", f"counts:{kind}"))

    async def catch_up(self) -> bool:
        """Project what the feed has; False where that is more than a list may wait for, or not ours to do."""
        if self._feed is None:
            return False
        async with self._lock:
            if self._projected is None:
                found = await self._store.open(PLATFORM).partition(_PROGRESS).read([HEAD])
                self._projected = self._kept = found[HEAD].body["sequence"] if found else 0
            for _ in range(CHUNKS_BEFORE_A_LIST):
                documents = await self._feed.changes(self._projected, AT_ONCE)
                if not documents:
                    return True
                await self.project(documents)
                await self._reached(documents[-1].sequence)
                await asyncio.sleep(0)
            return not await self._feed.changes(self._projected, 1)

    async def _reached(self, sequence: int) -> None:
        """Everything up to here is projected. Kept now and then: what a crash forgets is projected again."""
        self._projected = max(self._projected or 0, sequence)
        if self._projected - self._kept >= KEPT_EVERY:
            self._kept = self._projected
            body = {"sequence": self._kept}
            progress = self._store.open(PLATFORM).partition(_PROGRESS)
            await progress.commit([Write("upsert", HEAD, "view-progress", body)])

    async def _absorb(self, partition: Partition, kind: str, sources: list[Document]) -> None:
        attempts = 0
        while sources:
            turn = await self._turn(partition, kind, sources)
            try:
                await partition.commit(turn.writes())
            except StoreConflict:
                attempts += 1
                if attempts == ATTEMPTS:
                    raise Transient("Others keep counting the same documents; try again.") from None
                continue
            sources = sources[turn.taken :]

    async def _turn(self, partition: Partition, kind: str, sources: Sequence[Document]) -> "_Turn":
        """As many of the sources as one batch can count."""
        named = {_SOURCE + source.id: source for source in islice(sources, MAX_BATCH_OPERATIONS - 1)}
        found = await partition.read([HEAD, *named])
        turn = _Turn(_Head.of(found.get(HEAD)), found)
        for name, source in named.items():
            if not turn.take(name, source, self._counted(kind, source.body)):
                break
        turn.found |= await partition.read(list(turn.equals))
        return turn

    def _counted(self, kind: str, body: Body) -> dict[str, Body]:
        """The counters that a document belongs to, by id, with what each of them binds: none for one that is
        gone."""
        if not body:
            return {}
        bound = [{name: body.get(name) for name in names} for names in self._combinations[kind]]
        return {_counter(equal): equal for equal in bound if None not in equal.values()}

    async def _announce(self, partition: Partition) -> int:
        """Begin a generation above every one there was."""
        for _ in range(ATTEMPTS):
            found = (await partition.read([HEAD])).get(HEAD)
            head = _Head.of(found)
            generation = max(head.live) + 1
            try:
                await partition.commit([replace(head, building=generation).write(found)])
            except StoreConflict:
                continue
            return generation
        raise Transient("Others keep rebuilding the same totals; try again.")


@dataclass
class _Turn:
    """One batch being made: what it has read, what it will write."""

    head: _Head
    found: dict[str, Document]
    taken: int = 0
    sources: dict[str, Body] = field(default_factory=dict)
    equals: dict[str, Body] = field(default_factory=dict)
    changes: dict[str, dict[str, int]] = field(default_factory=dict)

    def take(self, name: str, source: Document, counted: Mapping[str, Body]) -> bool:
        """Count one source, in every live generation that has not seen this version; False when full."""
        known = self.found[name].body["generations"] if name in self.found else {}
        entries: dict[str, Any] = {}
        changes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        equals = dict(counted)
        for generation in map(str, self.head.live):
            before = known.get(generation, {"sequence": -1, "counted": {}})
            if before["sequence"] >= source.sequence:
                continue
            entries[generation] = {"sequence": source.sequence, "counted": dict(counted)}
            equals |= before["counted"]
            for counter in before["counted"].keys() - counted.keys():
                changes[counter][generation] -= 1
            for counter in counted.keys() - before["counted"].keys():
                changes[counter][generation] += 1
        writes = len(self.sources) + bool(entries) + len(self.changes.keys() | changes.keys())
        if writes > MAX_BATCH_OPERATIONS:
            return False
        self.taken += 1
        if entries:
            self.sources[name] = {"generations": self._kept(known) | entries}
        for counter, by_generation in changes.items():
            self.equals[counter] = equals[counter]
            sums = self.changes.setdefault(counter, {})
            for generation, change in by_generation.items():
                sums[generation] = sums.get(generation, 0) + change
        return True

    def writes(self) -> list[Write]:
        writes = [
            _written(name, "view-source", body, self.found.get(name)) for name, body in self.sources.items()
        ]
        for name, by_generation in self.changes.items():
            if not any(by_generation.values()):
                continue
            known = self.found[name].body["generations"] if name in self.found else {}
            counts = {
                generation: known.get(generation, 0) + change for generation, change in by_generation.items()
            }
            body = {"equal": self.equals[name], "generations": self._kept(known) | counts}
            writes.append(_written(name, "view-count", body, self.found.get(name)))
        return writes

    def _kept(self, generations: Mapping[str, Any]) -> dict[str, Any]:
        # One above the head that was read belongs to a rebuild which began since, and is not ours to drop.
        return {name: entry for name, entry in generations.items() if int(name) >= self.head.current}


async def _switch(partition: Partition, kind: str, tenant: str, generation: int) -> list[Drift]:
    """Show the new generation; returns the counters in which it differs from the one shown before."""
    for _ in range(ATTEMPTS):
        found = (await partition.read([HEAD])).get(HEAD)
        head = _Head.of(found)
        if head.building != generation:
            raise Conflict("Another rebuild of the totals has begun since; let that one finish.")
        drifts: list[Drift] = []
        async for counter in _scan(partition, _COUNT):
            counts = counter.body["generations"]
            was, now = counts.get(str(head.current), 0), counts.get(str(generation), 0)
            if was != now:
                drifts.append(Drift(tenant, kind, counter.body["equal"], was, now))
        try:
            await partition.commit([_Head(generation).write(found)])
        except StoreConflict:
            continue
        return drifts
    raise Transient("Others keep rebuilding the same totals; try again.")


async def _drop_before(partition: Partition, generation: int) -> None:
    for prefix in (_COUNT, _SOURCE):
        after = ""
        while documents := await partition.scan(prefix, after=after, limit=MAX_BATCH_OPERATIONS):
            writes = [write for each in documents if (write := _without_older(each, generation)) is not None]
            try:
                await partition.commit(writes)
            except StoreConflict:
                continue  # a projection was faster with one of them: look at these again
            after = documents[-1].id


def _without_older(document: Document, generation: int) -> Write | None:
    """What leaves only this generation and newer ones; None where there is nothing to do."""
    generations = document.body["generations"]
    kept = {name: entry for name, entry in generations.items() if int(name) >= generation}
    if len(kept) == len(generations):
        return None
    if not kept:
        return Write("delete", document.id, document.kind, etag=document.etag)
    return _written(document.id, document.kind, {**document.body, "generations": kept}, document)


async def _scan(partition: Partition, prefix: str) -> AsyncIterator[Document]:
    after = ""
    while documents := await partition.scan(prefix, after=after, limit=AT_ONCE):
        for document in documents:
            yield document
        after = documents[-1].id


def _unburied(document: Document) -> Document:
    """What a tombstone speaks of, as a version of it that says nothing."""
    if document.kind != TOMBSTONE:
        return document
    return replace(document, id=document.body["document"], kind=document.body["kind"], body={})


def _written(name: str, kind: str, body: Body, found: Document | None) -> Write:
    return (
        Write("create", name, kind, body) if found is None else Write("replace", name, kind, body, found.etag)
    )


def _counter(equal: Mapping[str, Any]) -> str:
    return _COUNT + sha256_hex(canonical_json(dict(equal)))[:32]
