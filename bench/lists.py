"""Pages of a list with their total must cost the same however long the list is: 1,000,000 releases against
1,000.

Read through Units, as every list endpoint does, on two stores that are filled past the product: writing a
million releases by its own way, and counting them, is not what is measured. The first thousand are counted by
the product itself; where there are more, what it wrote is set to the whole count.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.report import Bar, Report, table
from shared.adapters.codec import RecordCodec
from shared.adapters.embedded.query_tables import tables_for
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.domain.components.model import component_id
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.ids import Root
from shared.domain.releases.model import Release, ReleaseComponent, ReleaseStatus, Role, Source, release_id
from shared.names import INDEXES
from shared.ports.store import Query, Write
from shared.services.unit import Units
from shared.services.views import HEAD, PLATFORM, Total, Views

LIMIT = 1.3
PAGE = 50
SMALL = 1000
ACTOR = Actor(subject="service:bench", kind=ActorKind.SERVICE, tenant="acme")
PROJECT = "proj-bench"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filled:
    """A store with `count` releases of one project, a second apart."""

    store: SqliteStore
    units: Units
    count: int

    def page(self, place: str) -> Query:
        """The newest page, or the last one: what follows the fifty-first oldest."""
        after = None if place == "first" else (_text(START + timedelta(seconds=PAGE)), _document_id(PAGE))
        return Query("release", {"project": PROJECT}, "created_at", True, after, PAGE)


def lists(folder: Path, large: int, samples: int) -> Report:
    return asyncio.run(_lists(folder, large, samples))


async def _lists(folder: Path, large: int, samples: int) -> Report:
    stores = {count: await fill(folder / f"list-{count}.db", count) for count in (SMALL, large)}
    times: dict[tuple[int, str], list[float]] = {}
    for _ in range(samples):
        for count, filled in stores.items():
            for place in ("first", "last"):
                times.setdefault((count, place), []).append(await _timed(filled, place))
    for filled in stores.values():
        await filled.store.aclose()
    cost = {key: median(one) * 1e6 for key, one in times.items()}
    rows = [[f"{count:,} releases, {place} page", f"{cost[count, place]:,.0f}"] for count, place in cost]
    made = Report(f"Lists: a page of {PAGE}, {samples} times each, turn and turn about")
    made.lines += table(["", "us"], rows)
    for what, over, under in (
        ("first page", (large, "first"), (SMALL, "first")),
        ("last page by cursor", (large, "last"), (SMALL, "last")),
    ):
        made.bars.append(Bar(f"{what}, {large:,} against {SMALL:,}", cost[over] / cost[under], "<=", LIMIT))
    last = cost[large, "last"] / cost[large, "first"]
    made.bars.append(Bar(f"last page against first, of {large:,}", last, "<=", LIMIT))
    return made


async def _timed(filled: Filled, place: str) -> float:
    query = filled.page(place)
    started = perf_counter()
    page = await filled.units.list(ACTOR, Release, query)
    seconds = perf_counter() - started
    newest = filled.count if place == "first" else PAGE
    expected = list(range(newest, newest - PAGE, -1))
    if [release.number for release in page.items] != expected or (page.next is None) != (place == "last"):
        raise AssertionError(f"The {place} page of {filled.count} releases holds something else.")
    if page.total != Total(filled.count):
        raise AssertionError(f"The total of {filled.count} releases is {page.total}.")
    return seconds


async def fill(path: Path, count: int) -> Filled:
    clock = SystemClock()
    store = SqliteStore(path, INDEXES, clock)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -524288")
        connection.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, 'release', ?, NULL)", _rows(count))
        connection.execute(tables_for(INDEXES)["release"].fill)
        connection.execute("UPDATE counter SET last = ?", (count,))
        connection.commit()
    views = Views(store, INDEXES, feed=store)
    await views.project(await store.changes(0, SMALL))
    await _set_counts(store, count)
    return Filled(store, Units(store, RecordCodec(), clock, RandomIds(), views=views), count)


async def _set_counts(store: SqliteStore, count: int) -> None:
    counts = store.open(ACTOR.tenant).partition(Root("view", "counts:release"))
    written = [
        Write("upsert", each.id, each.kind, {**each.body, "generations": {"1": count}})
        for each in await counts.scan("count:")
    ]
    await counts.commit(written)
    progress = store.open(PLATFORM).partition(Root("view", "progress"))
    await progress.commit([Write("upsert", HEAD, "view-progress", {"sequence": count})])


def _rows(count: int) -> Iterator[tuple[int, str, str, str, str]]:
    codec, root = RecordCodec(), str(Release.__record__.root_of(_COMPONENT))
    body = codec.encode(_release(1))
    for number in range(1, count + 1):
        at = _text(START + timedelta(seconds=number - 1))
        body |= {"id": _id(number), "number": number, "created_at": at, "updated_at": at}
        yield number, ACTOR.tenant, root, _document_id(number - 1), json.dumps(body)


_COMPONENT = component_id(ACTOR.tenant, PROJECT, "module-bench")


def _id(number: int) -> str:
    return release_id(_COMPONENT, str(number))


def _document_id(index: int) -> str:
    return Release.__record__.document(_id(index + 1))


def _text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _release(number: int) -> Release:
    part = ReleaseComponent(
        component=_COMPONENT,
        version="1.0.0",
        digest=f"sha256:{number:064x}",
        artifact="api",
        ref="artifacts/api",
        role=Role.PRIMARY,
    )
    source = Source(
        repository=_COMPONENT,
        branch="main",
        commit_sha="0" * 40,
        pipeline_run=_COMPONENT,
        build_result=_COMPONENT,
    )
    return Release(
        id=_id(number),
        tenant=ACTOR.tenant,
        component=_COMPONENT,
        project=PROJECT,
        module="module-bench",
        name="module-bench 1.0.0",
        number=number,
        version="1.0.0",
        components=(part,),
        release_digest=part.digest,
        source=source,
        status=ReleaseStatus.READY,
        created_by=ACTOR.subject,
        created_for=None,
        created_at=START,
        updated_at=START,
    )
