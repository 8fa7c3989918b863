"""How delivery goes, told as measurements while it happens: once, whatever comes twice."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.store import SqliteStore
from shared.names import INDEXES
from shared.ports.store import Document
from shared.services.performance import DeploymentFacts
from tests.support.api import Api, a_world, an_api
from tests.support.app import SteppingClock
from tests.support.telemetry import Watcher


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
async def api(tmp_path: Path, watcher: Watcher) -> AsyncIterator[Api]:
    made = an_api(tmp_path, telemetry=watcher.telemetry)
    yield made
    await made.app.aclose()


async def test_open_requests_and_good_builds_are_told_as_they_come_and_go(api: Api, watcher: Watcher) -> None:
    world = await a_world(api)
    place = f"/repositories/{world.ids['repositoryId']}"
    change = {"path": "n.py", "operation": "add", "content": "n = 1\n"}
    await api.expect(201, "POST", f"{place}/branches", {"name": "feature/n"})
    commit = {"branch": "feature/n", "message": "feat: n", "changes": [change]}
    await api.expect(201, "POST", f"{place}/commits", commit)
    wish = {"repositoryId": world.ids["repositoryId"], "sourceBranch": "feature/n", "targetBranch": "main"}

    async def told(name: str) -> Any:
        await api.drain()
        await api.app.views.catch_up()
        return {point.attributes["project"]: point.value for point in watcher.points(name)}["proj-x"]

    before = await told("devops.pullrequests.open")
    made = await api.expect(201, "POST", "/pull-requests", {**wish, "title": "Take n"})
    assert await told("devops.pullrequests.open") == before + 1
    await api.expect(200, "POST", f"/pull-requests/{made['pullRequestId']}/abandon", {"reason": "no"})
    assert await told("devops.pullrequests.open") == before
    assert await told("devops.build.success.rate") == 1.0
    await api.app.views.project((await api.app.feed.read("", 5000)).documents)
    assert await told("devops.pullrequests.open") == before, "a repeat changes nothing"


async def test_failures_and_their_mending_are_told_once(tmp_path: Path, watcher: Watcher) -> None:
    store = SqliteStore(tmp_path / "store.db", INDEXES, SteppingClock())
    facts = DeploymentFacts(store, watcher.telemetry)
    over = [
        a_deployment(hours, status, "rollback" if status == "undone" else "deploy", promotion)
        for hours, status, promotion in (
            (0, "succeeded", "a"),
            (1, "failed", "b"),
            (2, "cancelled", "c"),
            (4, "succeeded", "d"),
            (9, "undone", "d"),
        )
    ]
    for some in (over[:2], over[:4], over, over):
        await facts.project(some)
    place = {"tenant": "acme", "project": "proj-x", "module": "module-y", "environment": "dev"}
    (rate,) = watcher.points("devops.change.failure.rate")
    assert (rate.value, dict(rate.attributes)) == (2 / 3, place)
    (mended,) = watcher.points("devops.mttr")
    assert (mended.count, mended.sum, dict(mended.attributes)) == (2, 3600 * (3 + 5), place)
    await store.aclose()


def a_deployment(hours: int, status: str, kind: str, promotion: str) -> Document:
    at = f"2026-06-11T{hours:02}:00:00.000000Z"
    body = {
        "id": f"{hours:032}",
        "kind": kind,
        "status": "succeeded" if status == "undone" else status,
        "promotion": promotion,
        "project": "proj-x",
        "module": "module-y",
        "environment_name": "dev",
        "release": "0" * 32,
        "created_at": at,
        "started_at": at,
        "completed_at": at,
    }
    return Document("acme", "environment:x", f"deployment:{hours}", "deployment", body, "1", hours)
