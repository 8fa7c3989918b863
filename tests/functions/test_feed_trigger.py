"""Change feed functions: in order, retried, never skipped, resumed where they were."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local.checkpoints import Checkpoints
from local.feed_trigger import FeedTrigger
from local.worker import Retry
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.ids import Root, root_id
from shared.ports.store import Document, Stretch, Write
from tests.functions.conftest import APPS, Small
from tests.functions.engine import FakeEngine, feed_function, until
from tests.support.host import serving


class Feed:
    """A feed that a test fills."""

    def __init__(self, count: int = 0) -> None:
        self.documents: list[Document] = []
        self.add(count)

    def add(self, count: int) -> None:
        start = len(self.documents) + 1
        self.documents += [
            Document("acme", "root", f"doc-{number}", "thing", {"n": number}, f"e{number}", number)
            for number in range(start, start + count)
        ]

    async def read(self, position: str, limit: int) -> Stretch:
        after = int(position or 0)
        documents = [document for document in self.documents if document.sequence > after][:limit]
        return Stretch(documents, str(documents[-1].sequence) if documents else position)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Checkpoints]:
    opened = Checkpoints(tmp_path / "reader.db")
    yield opened
    opened.close()


@contextlib.asynccontextmanager
async def reading(
    feed: Feed, engine: FakeEngine, checkpoints: Checkpoints, retry: Retry | None = None
) -> AsyncIterator[None]:
    trigger = FeedTrigger(feed_function(retry), engine, feed, checkpoints)
    pump = asyncio.create_task(trigger.run())
    try:
        yield
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        await trigger.drain(1)


def ids(engine: FakeEngine) -> list[list[str]]:
    return [[document["id"] for document in json.loads(batch)] for batch in engine.ran]


async def test_documents_come_in_commit_order_in_batches_as_cosmos_writes_them(
    checkpoints: Checkpoints,
) -> None:
    engine = FakeEngine()
    async with reading(Feed(3), engine, checkpoints):
        await until(lambda: len(engine.ran) == 2)
    assert ids(engine) == [["doc-1", "doc-2"], ["doc-3"]]
    assert json.loads(engine.ran[1]) == [
        {
            "id": "doc-3",
            "tenantId": "acme",
            "root": "root",
            "kind": "thing",
            "body": {"n": 3},
            "_etag": "e3",
            "_lsn": 3,
        }
    ]


async def test_a_change_wakes_an_idle_reader_soon(checkpoints: Checkpoints) -> None:
    engine, feed = FakeEngine(), Feed()
    async with reading(feed, engine, checkpoints):
        await asyncio.sleep(0.5)
        feed.add(1)
        await until(lambda: engine.ran, seconds=0.3)


class WakingFeed(Feed):
    """A feed that says when to look again."""

    def __init__(self) -> None:
        super().__init__()
        self.committed = asyncio.Event()

    async def wait(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.committed.wait(), timeout)
        self.committed.clear()


async def test_a_feed_that_can_wake_its_reader_does_so_at_once(checkpoints: Checkpoints) -> None:
    engine, feed = FakeEngine(), WakingFeed()
    async with reading(feed, engine, checkpoints):
        await asyncio.sleep(0.3)
        feed.add(1)
        feed.committed.set()
        await until(lambda: engine.ran, seconds=0.05)


async def test_a_reader_goes_on_after_a_restart_where_it_stood(checkpoints: Checkpoints) -> None:
    engine, feed = FakeEngine(), Feed(2)
    async with reading(feed, engine, checkpoints):
        await until(lambda: engine.ran)
    feed.add(1)
    async with reading(feed, engine, checkpoints):
        await until(lambda: len(engine.ran) == 2)
    assert ids(engine) == [["doc-1", "doc-2"], ["doc-3"]]


async def test_a_failed_batch_is_retried_by_the_policy_before_the_next(checkpoints: Checkpoints) -> None:
    engine = FakeEngine(failures=2)
    async with reading(Feed(3), engine, checkpoints, Retry(2, 0, 0)):
        await until(lambda: len(engine.ran) == 4)
    assert ids(engine) == [["doc-1", "doc-2"]] * 3 + [["doc-3"]]
    assert [(each.count, each.max_count, each.error) for each in engine.attempts[:3]] == [
        (0, 0, ""),
        (1, 2, "RuntimeError: told to fail"),
        (2, 2, "RuntimeError: told to fail"),
    ]


async def test_a_batch_that_uses_up_its_policy_is_tried_from_the_start_and_never_skipped(
    checkpoints: Checkpoints,
) -> None:
    engine = FakeEngine(failures=3)
    async with reading(Feed(1), engine, checkpoints, Retry(1, 0, 0)):
        await until(lambda: len(engine.ran) == 4)
    assert [each.count for each in engine.attempts] == [0, 1, 0, 1]


async def test_a_batch_that_failed_before_a_restart_comes_again(checkpoints: Checkpoints) -> None:
    engine = FakeEngine(failures=1)
    async with reading(Feed(1), engine, checkpoints):
        await until(lambda: engine.ran)
    async with reading(Feed(1), engine, checkpoints):
        await until(lambda: len(engine.ran) == 2)
    assert ids(engine) == [["doc-1"], ["doc-1"]]


async def test_a_batch_that_was_running_when_the_host_stops_counts(checkpoints: Checkpoints) -> None:
    engine = FakeEngine(pause=0.1)
    async with reading(Feed(1), engine, checkpoints):
        await until(lambda: engine.running == 1)
    assert checkpoints.find("feed:on_change") == "1"


async def test_a_commit_to_the_store_reaches_the_function_until_it_succeeds(small: Small) -> None:
    small.seen.fail_documents = 1
    await put(small.host.platform.feed, "first")
    await until(lambda: len(small.seen.documents) == 2)
    assert small.seen.documents == [["first"], ["first"]]


async def test_the_feed_position_outlives_the_host(tmp_path: Path) -> None:
    for number in range(2):
        async with serving(tmp_path, app_directory=APPS / "small") as host:
            seen = sys.modules["function_app"].SEEN
            await put(host.platform.feed, f"doc-{number}")
            await until(lambda seen=seen: seen.documents)
            assert seen.documents == [[f"doc-{number}"]]


async def put(store: object, document: str) -> None:
    assert isinstance(store, SqliteStore)
    root = Root("thing", root_id("thing", "acme", "a"))
    await store.open("acme").partition(root).commit([Write("create", document, "thing", {"n": 1})])


def test_checkpoints_are_there_when_opened_again(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path / "c.db")
    first.put("a", "1")
    first.put("a", "2")
    first.close()
    again = Checkpoints(tmp_path / "c.db")
    assert (again.find("a"), again.find("b")) == ("2", None)
    again.close()
