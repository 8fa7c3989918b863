"""The unit of work: one batch, lost races, markers, audit links."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from shared.adapters.codec import RecordCodec
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Conflict, NotFound, Permanent, StaleRevision
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import root_id
from shared.domain.kernel.record import Entity, RecordKind
from shared.domain.source.model import Repository, repository_id
from shared.names import INDEXES
from shared.ports.store import Query, Store
from shared.services.audit import Audit
from shared.services.keys import Keys
from shared.services.once import AlreadyDone
from shared.services.unit import Unit, Units
from shared.services.views import Views
from tests.support.app import CountingIds, SteppingClock
from tests.support.counting import CountingStore
from tests.support.once import Request
from tests.support.policies import a_repository

ANN = Actor("user:ann", ActorKind.HUMAN, "acme")
RIVAL = Actor("user:eve", ActorKind.HUMAN, "rival")
BOX = root_id("repository", "acme", "box")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box(Entity):
    """Not declared with @record: the registry of the house must not know it."""

    __record__: ClassVar[RecordKind] = RecordKind("repository-box", "repository")

    id: str
    tenant: str
    count: int
    at: datetime | None = None
    revision: int = 0


ROOT = Box.__record__.root_of(BOX)


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[Units]:
    clock = SteppingClock()
    store = SqliteStore(tmp_path / "store.db", INDEXES, clock)
    yield Units(store, RecordCodec(), clock, CountingIds())
    await store.aclose()


async def increment(unit: Unit) -> Box:
    box = await unit.find(Box, BOX) or Box(id=BOX, tenant="acme", count=0)
    return unit.apply(
        Change(replace(box, count=box.count + 1), "box.incremented", (Event("Incremented", {}),))
    )


async def kinds(units: Units) -> list[str]:
    store = units.store
    assert isinstance(store, SqliteStore)
    return sorted(document.kind for document in await store.changes(0, 100))


async def test_one_batch_holds_entity_event_audit_and_marker(units: Units) -> None:
    box = await units.run(ANN, ROOT, increment, Request("k"))
    assert (box.count, box.revision) == (1, 1)
    assert await kinds(units) == ["audit", "audit-head", "once", "outbox", "repository-box"]
    assert await units.get(ANN, Box, BOX) == box


async def test_a_repeated_request_is_already_done_and_changes_nothing(units: Units) -> None:
    await units.run(ANN, ROOT, increment, Request("k"))
    with pytest.raises(AlreadyDone) as done:
        await units.run(ANN, ROOT, increment, Request("k"))
    assert "count=1" in done.value.marker["answer"]
    with pytest.raises(AlreadyDone):
        await units.replay(ANN, ROOT, Request("k"))
    await units.replay(ANN, ROOT, Request("other"))
    assert (await units.get(ANN, Box, BOX)).count == 1


async def test_a_lost_race_decides_again_on_what_is_there_now(units: Units) -> None:
    races = 2

    async def interrupted(unit: Unit) -> Box:
        nonlocal races
        changed = await increment(unit)
        if races:
            races -= 1
            await units.run(ANN, ROOT, increment)
        return changed

    assert (await units.run(ANN, ROOT, interrupted)).count == 3
    trail = await Audit(units.store).trail(ANN, ROOT)
    assert trail.verified
    assert trail.length == 3


async def test_a_trail_shows_nothing_after_its_end(units: Units) -> None:
    await units.run(ANN, ROOT, increment)
    for after in (1, 2, 10**16):
        trail = await Audit(units.store).trail(ANN, ROOT, after=after)
        assert (trail.entries, trail.length, trail.verified, trail.next) == ((), 1, True, None)


async def test_a_race_that_is_always_lost_ends_in_a_conflict(units: Units) -> None:
    async def always_interrupted(unit: Unit) -> Box:
        changed = await increment(unit)
        await units.run(ANN, ROOT, increment)
        return changed

    with pytest.raises(Conflict, match="try again"):
        await units.run(ANN, ROOT, always_interrupted)


async def test_the_loser_of_a_race_for_one_key_is_answered_like_the_winner(units: Units) -> None:
    async def interrupted(unit: Unit) -> Box:
        changed = await increment(unit)
        await units.run(ANN, ROOT, increment, Request("k"))
        return changed

    with pytest.raises(AlreadyDone):
        await units.run(ANN, ROOT, interrupted, Request("k"))
    assert (await units.get(ANN, Box, BOX)).count == 1


async def test_a_turn_sees_its_own_changes_and_counts_one_revision(units: Units) -> None:
    async def twice(unit: Unit) -> Box:
        await increment(unit)
        return await increment(unit)

    box = await units.run(ANN, ROOT, twice)
    assert (box.count, box.revision) == (2, 1)
    again = await units.run(ANN, ROOT, twice)
    assert (again.count, again.revision) == (4, 2)


async def test_a_removed_entity_is_gone_for_the_turn_and_after(units: Units) -> None:
    await units.run(ANN, ROOT, increment)

    async def remove(unit: Unit) -> Box | None:
        unit.remove(await unit.get(Box, BOX))
        return await unit.find(Box, BOX)

    assert await units.run(ANN, ROOT, remove) is None
    with pytest.raises(NotFound, match="repository box"):
        await units.get(ANN, Box, BOX)


async def test_nothing_is_written_by_a_turn_that_raises_or_changes_nothing(units: Units) -> None:
    async def refuse(unit: Unit) -> None:
        await increment(unit)
        raise Conflict("no")

    async def look(unit: Unit) -> None:
        await unit.find(Box, BOX)

    with pytest.raises(Conflict):
        await units.run(ANN, ROOT, refuse)
    await units.run(ANN, ROOT, look)
    assert await kinds(units) == []


async def test_another_tenant_has_another_partition_of_the_same_name(units: Units) -> None:
    await units.run(ANN, ROOT, increment)
    with pytest.raises(NotFound):
        await units.get(RIVAL, Box, BOX)


async def test_a_stale_revision_says_which_is_current(units: Units) -> None:
    await units.run(ANN, ROOT, increment)

    async def decide(unit: Unit) -> Box:
        return await unit.get(Box, BOX, revision=7)

    with pytest.raises(StaleRevision, match="at revision 1, not 7"):
        await units.run(ANN, ROOT, decide)


async def test_an_undeclared_query_is_refused(units: Units) -> None:
    with pytest.raises(Permanent):
        await units.list(ANN, Box, Query("repository-box", {"count": 1}, "count"))


class TestKeys:
    """A key bound to one request, before and beside any effect."""

    async def test_a_key_stays_with_its_request_until_it_is_freed(self, units: Units) -> None:
        keys = Keys(units.store, units.clock)
        mine, other = Bound("k", "mine"), Bound("k", "other")
        etag = await keys.bind("acme", mine)
        assert etag is not None
        assert await keys.bind("acme", mine) is None, "a retry finds its own binding"
        with pytest.raises(Reused):
            await keys.bind("acme", other)
        assert await keys.bind("rival", other) is not None, "another tenant's keys are its own"
        await keys.free("acme", mine, etag)
        assert await keys.bind("acme", other) is not None

    async def test_a_binding_is_forgotten_with_the_answers(self, units: Units) -> None:
        keys = Keys(units.store, units.clock)
        await keys.bind("acme", Bound("k", "mine"))
        assert isinstance(units.clock, SteppingClock)
        units.clock.advance(days=8)
        assert await keys.bind("acme", Bound("k", "other")) is not None


class Reused(Exception):
    """The key is another request's."""


@dataclass(frozen=True, slots=True)
class Bound(Request):
    fingerprint: str = ""

    def check(self, marker: dict[str, Any]) -> None:
        if marker["fingerprint"] != self.fingerprint:
            raise Reused


async def test_all_that_a_query_has_is_read_by_pages_and_without_a_total(tmp_path: Path) -> None:
    store, clock = SqliteStore(tmp_path / "store.db", INDEXES, SteppingClock()), SteppingClock()
    counting = CountingStore(store)
    views = Views(cast(Store, counting), INDEXES, store)
    units = Units(cast(Store, counting), RecordCodec(), clock, CountingIds(), views=views)
    for name in ("c", "a", "e", "b", "d"):

        async def put(unit: Unit, name: str = name) -> None:
            unit.put(a_repository(id=repository_id("acme", "proj-x", name), name=name))

        root = Repository.__record__.root_of(repository_id("acme", "proj-x", name))
        await units.run(ANN, root, put)
    counting.operations.clear()
    found = units.every(ANN, Repository, Query("repository", {}, "name", limit=2))
    assert [repository.name async for repository in found] == ["a", "b", "c", "d", "e"]
    assert [each.kind for each in counting.operations] == ["query"] * 3
    await store.aclose()
