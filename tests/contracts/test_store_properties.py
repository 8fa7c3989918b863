"""Any history of writes, against a plain dictionary that keeps the same promises."""

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.domain.kernel.ids import Root
from shared.ports.store import Body, Document, Query, StoreConflict, Write
from tests.contracts.conftest import INDEXES, STORES, StillClock

TENANTS = ("acme", "rival")
ROOTS = (Root("box", "1"), Root("box", "2"))
NUMBERS = range(5)
COLORS = ("red", "blue")
GONE = "0"

type Key = tuple[str, str, str]


def name_of(root: Root, number: int) -> str:
    return f"thing:{root.key}:{number}"


@dataclass(frozen=True)
class Held:
    """What the model knows of one document."""

    body: Body
    etag: str
    expires_at: datetime | None

    def alive(self, now: datetime) -> bool:
        return self.expires_at is None or self.expires_at > now


bodies = st.fixed_dictionaries({"at": st.integers(0, 2), "color": st.sampled_from(COLORS)})
# Few lives and few steps, so that a document is often met in the very moment it expires.
lives = st.none() | st.sampled_from([10, 30])


class StoreModel(RuleBasedStateMachine):
    adapter = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = StillClock()
        self.store = STORES[self.adapter](Path(self.folder.name), INDEXES, self.clock)
        self.documents: dict[Key, Held] = {}
        self.replayed: dict[Key, Document] = {}
        self.position = ""
        self.added = 0

    def teardown(self) -> None:
        self.runner.run(self.store.aclose())
        self.runner.close()
        self.folder.cleanup()

    def alive(self, key: Key) -> Held | None:
        held = self.documents.get(key)
        return held if held is not None and held.alive(self.clock.now()) else None

    @rule(
        tenant=st.sampled_from(TENANTS),
        root=st.sampled_from(ROOTS),
        numbers=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4, unique=True),
        data=st.data(),
    )
    def batch(self, tenant: str, root: Root, numbers: list[int], data: st.DataObject) -> None:
        """Mostly what fits, now and then a create of what exists or an etag that is no more."""
        writes = [self.draw_write((tenant, str(root), name_of(root, n)), data) for n in numbers]
        loser = next((write.id for write in writes if self.loses((tenant, str(root), write.id), write)), None)
        partition = self.store.open(tenant).partition(root)
        if loser is not None:
            with pytest.raises(StoreConflict) as lost:
                self.runner.run(partition.commit(writes))
            assert lost.value.document == loser
            return
        etags = self.runner.run(partition.commit(writes))
        assert etags.keys() == {write.id for write in writes if write.op != "delete"}
        used = {held.etag for held in self.documents.values()}
        assert used.isdisjoint(etags.values())
        for write in writes:
            key = (tenant, str(root), write.id)
            self.documents.pop(key, None)
            if write.op != "delete":
                self.documents[key] = Held(write.body, etags[write.id], write.expires_at)

    def draw_write(self, key: Key, data: st.DataObject) -> Write:
        body, life = data.draw(bodies), data.draw(lives)
        expires_at = None if life is None else self.clock.now() + timedelta(seconds=life)
        held = self.alive(key)
        fits = data.draw(st.integers(0, 5)) > 0
        op: Any = data.draw(
            st.sampled_from(
                ("replace", "upsert", "delete") if (held is not None) == fits else ("create", "upsert")
            )
        )
        etag = held.etag if held is not None and fits else GONE
        return Write(op, key[2], "thing", {} if op == "delete" else body, etag, expires_at)

    def loses(self, key: Key, write: Write) -> bool:
        held = self.alive(key)
        match write.op:
            case "create":
                return held is not None
            case "upsert":
                return False
            case _:
                return held is None or held.etag != write.etag

    @rule(seconds=st.sampled_from([5, 10, 20]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(limit=st.integers(1, 5))
    def the_relay_reads_on(self, limit: int) -> None:
        stretch = self.runner.run(self.store.read(self.position, limit))
        self.position = stretch.position
        for document in stretch.documents:
            self.replayed[document.tenant, document.root, document.id] = document

    @rule(
        tenant=st.sampled_from(TENANTS),
        where=st.sampled_from([{}, {"color": "red"}]),
        descending=st.booleans(),
        limit=st.integers(1, 4),
        data=st.data(),
    )
    def pages_show_each_document_once_while_others_are_added(
        self, tenant: str, where: dict[str, str], descending: bool, limit: int, data: st.DataObject
    ) -> None:
        before = self.listed(tenant, where)
        seen: list[tuple[int, str]] = []
        query = Query("thing", where, "at", descending, limit=limit)
        while page := self.runner.run(self.store.open(tenant).query(query)):
            assert len(page) <= limit
            seen += [(document.body["at"], document.id) for document in page]
            query = Query("thing", where, "at", descending, seen[-1], limit)
            if len(seen) < 20 and data.draw(st.booleans()):
                self.add(tenant, data.draw(bodies))
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, reverse=descending)
        assert set(before) <= set(seen) <= set(self.listed(tenant, where))

    def add(self, tenant: str, body: Body) -> None:
        """Anywhere among the others: before or after the page that is being read."""
        self.added += 1
        name, root = f"thing:{self.added * 7 % 10}:{self.added:03}", Root("box", "3")
        etags = self.runner.run(
            self.store.open(tenant).partition(root).commit([Write("create", name, "thing", body)])
        )
        self.documents[tenant, str(root), name] = Held(body, etags[name], None)

    def listed(self, tenant: str, where: dict[str, str]) -> list[tuple[int, str]]:
        return [
            (held.body["at"], key[2])
            for key, held in self.documents.items()
            if key[0] == tenant and self.alive(key) and where.items() <= held.body.items()
        ]

    @invariant()
    def every_partition_reads_as_the_model(self) -> None:
        for tenant in TENANTS:
            for root in ROOTS:
                names = [name_of(root, number) for number in NUMBERS]
                wanted = {
                    name: held
                    for name in names
                    if (held := self.alive((tenant, str(root), name))) is not None
                }
                partition = self.store.open(tenant).partition(root)
                found = self.runner.run(partition.read(names))
                assert {n: (d.body, d.etag) for n, d in found.items()} == {
                    n: (h.body, h.etag) for n, h in wanted.items()
                }
                scanned = self.runner.run(partition.scan("thing:"))
                assert scanned == [found[name] for name in sorted(found)]

    @invariant()
    def the_feed_replays_to_the_present(self) -> None:
        stretch = self.runner.run(self.store.read(self.position, 1000))
        replayed = self.replayed | {(d.tenant, d.root, d.id): d for d in stretch.documents}
        for key, held in self.documents.items():
            if self.alive(key):
                assert (replayed[key].body, replayed[key].etag) == (held.body, held.etag)


class CosmosModel(StoreModel):
    adapter = "cosmos"


TestStore = StoreModel.TestCase
TestStore.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
# Every step is a dozen requests.
TestCosmos = CosmosModel.TestCase
TestCosmos.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
