"""The host is killed ten times on the way from a commit to staging: nothing accepted is lost, and nothing
happens twice.

Seeded: the seed is printed, and `FAULT_SEED` repeats its moments.
"""

import asyncio
import json
import os
import random
import secrets
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from local.demo_client import Answer, Caller
from tests.support.journey import PATIENCE, Git, Journey, assert_chain, processes_of, service
from tests.support.process import ServerProcess

type Json = Any

NO_LOOKS = {"SLIPWAY_DRIFT_SCHEDULE": "0 0 0 29 2 *"}
"""A look that happens to come while a killed host is away finds its services ill, and says so."""
EVENTS = {
    "ProvisionRepository": (2, "repositoryId"),
    "RepositoryProvisioned": (2, "repositoryId"),
    "BranchCreated": (3, "branchId"),
    "CommitCreated": (6, "commitId"),
    "PullRequestOpened": (1, "pullRequestId"),
    "PullRequestMerged": (1, "pullRequestId"),
    "PullRequestPolicyEvaluated": (1, "pullRequestId"),
    "PipelineGenerated": (2, "committed"),
    "RunPipeline": (2, "pipelineRunId"),
    "PipelineRunStarted": (2, "pipelineRunId"),
    "BuildCompleted": (2, "pipelineRunId"),
    "PipelineRunCompleted": (2, "pipelineRunId"),
    "ReleasePlanned": (1, "releaseId"),
    "ApprovalRecorded": (1, "approvalId"),
    "PromotionReady": (2, "promotionId"),
    "PromotionRequested": (3, "promotionId"),
    "ReleaseApproved": (3, "promotionId"),
    "DeploymentRequested": (3, "deploymentId"),
    "ReconcileRequested": (3, "deploymentId"),
    "DesiredStateCommitted": (3, "sha"),
    "GitOpsSynced": (3, "syncStateId"),
    "DeploymentPromoted": (3, "promotionId"),
}
"""What one main job says: how often, and the field in which no two of them agree. There are two repositories,
that of the service and that of the desired state, and a default pipeline before the one that is committed."""


@dataclass
class Stubborn(Caller):
    """Sends the same request under the same key until somebody answers it."""

    accepted: list[tuple[str, Any, str, bytes]] = field(default_factory=list)
    """Every POST that was answered well: path, body, key, and the answer's bytes."""

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        key = secrets.token_hex(8)
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(aiohttp.ClientError):
                    answer, raw = await self.send(method, path, body, key)
                    # 500 is not among what may come: it would be an error that nobody has thought of.
                    assert answer.status != 500, f"{method} {path}: {answer.body}"
                    if not _comes_again(answer):
                        if method == "POST" and answer.status < 300:
                            self.accepted.append((path, body, key, raw))
                        return answer
                await asyncio.sleep(0.05)

    async def send(self, method: str, path: str, body: Any, key: str) -> tuple[Answer, bytes]:
        headers = {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            headers["Idempotency-Key"] = key
        async with self.session.request(method, self.url + path, headers=headers, json=body) as response:
            raw = await response.read()
            told = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, json.loads(raw), told), raw


def _comes_again(answer: Answer) -> bool:
    return answer.status in (429, 502, 503, 504) or answer.body.get("code") == "idempotency_in_progress"


class Killer:
    """Kills the server at moments of its random numbers and starts it again."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self._server = server
        self._random = random.Random(seed)
        self.strikes = 0

    async def strike(self, longest: float) -> None:
        await asyncio.sleep(self._random.uniform(0, longest))
        # In turn: with all of its group, or alone, so that what it started is left without a parent.
        alone = self.strikes % 2 == 1
        self.strikes += 1
        await asyncio.to_thread(self._kill_and_restart, alone=alone)

    def _kill_and_restart(self, *, alone: bool) -> None:
        if alone:
            os.kill(self._server.pid, signal.SIGKILL)
        self._server.restart()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.journey
async def test_a_host_killed_ten_times_loses_nothing_and_does_nothing_twice(
    disk: Path, session: aiohttp.ClientSession
) -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(1_000_000))
    print(f"FAULT_SEED={seed}")  # noqa: T201 - shown where the test fails
    data_dir = disk / "data"
    try:
        with ServerProcess(data_dir, environment=NO_LOOKS) as server:
            killer = Killer(server, seed)
            told = await deliver(Journey(session, server, "acme", caller=Stubborn), killer)
            assert killer.strikes == 10
            await quiet(session, server)
            await assert_answers_again(told.journey)
            await assert_git_has_each_commit_once(told, disk)
            answer = await told.journey.answer(told.staging["url"])
            assert answer == {"greeting": "Hello, world", "commit": told.build["commitSha"]}
            assert server.terminate() == 0
        assert processes_of(data_dir) == []
    finally:
        for stray in processes_of(data_dir):
            with suppress(psutil.NoSuchProcess):
                stray.kill()
    assert_nothing_is_under_way(data_dir)
    assert_everything_happened_once(Kept.of(data_dir), told)


@dataclass
class Told:
    """What the client was told on its way."""

    journey: Journey
    merged: Json = None
    build: Json = None
    release: Json = None
    staging: Json = None


async def deliver(journey: Journey, killer: Killer) -> Told:
    """The main job in ten parts, in each of which the host dies once; the numbers are how long each takes
    when nobody dies, in seconds, and a bit."""
    told = Told(journey)
    request: Json = None
    pipeline = ""

    async def change() -> None:
        await journey.branch("feature/hello")
        await journey.commit("feature/hello", "feat: say hello", service())

    async def open_request() -> None:
        nonlocal request
        request = await journey.open("feature/hello")

    async def check() -> None:
        checked = await journey.checked(request)
        assert checked["policyEvaluation"] == "Passed", checked

    async def merge() -> None:
        told.merged = await journey.merge(request)

    async def generate() -> None:
        nonlocal pipeline
        pipeline = (await journey.generate())["pipelineId"]

    async def build() -> None:
        told.build = await journey.built(await journey.start(pipeline))

    async def release() -> None:
        told.release = await journey.plan(told.build, "staging")
        place = f"/releases/{told.release['releaseId']}/approve"
        await journey.approver.post(place, {"decision": "Approved"})

    async def promote_to_dev() -> None:
        await journey.deployed((await journey.promote(told.release, "dev"))["promotionId"])

    async def promote_to_staging() -> None:
        await journey.deployed((await journey.promote(told.release, "test"))["promotionId"])
        told.staging = await journey.deployed(told.release["promotionId"])

    parts: list[tuple[Callable[[], Awaitable[Any]], float]] = [
        (journey.provision, 0.1),
        (change, 0.1),
        (open_request, 0.1),
        (check, 1.5),
        (merge, 0.1),
        (generate, 0.1),
        (build, 1.5),
        (release, 0.1),
        (promote_to_dev, 0.4),
        (promote_to_staging, 0.8),
    ]
    for part, longest in parts:
        await asyncio.gather(part(), killer.strike(longest))
    return told


async def quiet(session: aiohttp.ClientSession, server: ServerProcess) -> None:
    """Wait until the server has nothing to do: no message but scheduled ones, no ref that is not recorded."""
    async with asyncio.timeout(PATIENCE):
        while list((server.data_dir / "git" / ".journal").iterdir()) or waiting_messages(server.data_dir):
            place = f"{server.url}/admin/functions/source_sweep"
            async with session.post(place, json={}) as response:
                assert response.status == 202
            await asyncio.sleep(0.5)


def waiting_messages(data_dir: Path) -> list[Any]:
    """Of dead-lettered, parked and waiting messages: queue, state and type."""
    select = "SELECT queue, state, subject FROM messages WHERE state != 'scheduled'"
    with closing(sqlite3.connect(f"file:{data_dir / 'bus.db'}?mode=ro", uri=True)) as bus:
        return bus.execute(select).fetchall()


async def assert_answers_again(journey: Journey) -> None:
    """Everything that was accepted is answered once more, byte for byte."""
    count = 0
    for caller in (journey.planner, journey.approver, journey.operator):
        assert isinstance(caller, Stubborn)
        for path, body, key, raw in caller.accepted:
            answer, again = await caller.send("POST", path, body, key)
            assert (again, answer.headers.get("idempotent-replayed")) == (raw, "true"), path
            count += 1
    assert count == 11


async def assert_git_has_each_commit_once(told: Told, folder: Path) -> None:
    git = Git(folder / "home", told.journey.planner.token)
    await git("clone", "--quiet", told.journey.remote_url, "code")
    subjects = (await git("log", "--topo-order", "--format=%s", at="code")).splitlines()
    assert subjects == [
        "ci: generate pipeline for hello",
        "Merge pull request #1: Say hello",
        "feat: say hello",
        "Initial commit",
    ]
    assert await git("rev-parse", "HEAD~1", at="code") == told.merged["mergeCommitSha"]
    desired = told.journey.remote_url.replace("shop/hello", "gitops/environments")
    await git("clone", "--quiet", desired, "desired")
    subjects = (await git("log", "--topo-order", "--reverse", "--format=%s", at="desired")).splitlines()
    places = [f"deploy: hello 1.0.0 to {place}" for place in ("dev", "test", "staging")]
    assert subjects == ["Initial commit", *places]


@dataclass(frozen=True)
class Kept:
    """The documents that a stopped server has left, by kind: (root, body)."""

    rows: dict[str, list[tuple[str, Json]]]

    @classmethod
    def of(cls, data_dir: Path) -> "Kept":
        rows: dict[str, list[tuple[str, Json]]] = {}
        with closing(sqlite3.connect(f"file:{data_dir / 'store.db'}?mode=ro", uri=True)) as store:
            for root, kind, body in store.execute("SELECT root, kind, body FROM documents ORDER BY sequence"):
                rows.setdefault(kind, []).append((root, json.loads(body)))
        return cls(rows)

    def bodies(self, kind: str) -> list[Json]:
        return [body for _, body in self.rows.get(kind, [])]


def assert_nothing_is_under_way(data_dir: Path) -> None:
    assert waiting_messages(data_dir) == [], "dead letters, parked or unhandled messages"
    assert list((data_dir / "git" / ".journal").iterdir()) == []
    assert list((data_dir / "work").iterdir()) == [], "workspaces of runs"
    kept = Kept.of(data_dir)
    assert [slots["active"] for slots in kept.bodies("run-slots")] == [[]]
    lanes = [(lane["queue"], lane["lock"]) for lane in kept.bodies("lane")]
    assert lanes == [([], None)] * 3
    assert {entry["promotion"] for entry in kept.bodies("entry")} == {None}


def assert_everything_happened_once(kept: Kept, told: Told) -> None:
    assert sorted(each["name"] for each in kept.bodies("repository")) == ["environments", "hello"]
    shas = Counter(commit["sha"] for commit in kept.bodies("commit"))
    assert set(shas.values()) == {1}
    assert len(shas) == 8, "two first commits, ours, the merge, the pipeline's, three of desired state"
    assert [each["number"] for each in kept.bodies("pull-request")] == [1]
    assert [each["merge_commit"] for each in kept.bodies("pull-request")] == [told.merged["mergeCommitSha"]]
    numbers = sorted(int(run["build_number"].partition(".")[2]) for run in kept.bodies("run"))
    assert numbers == [1, 2]
    assert [run["status"] for run in kept.bodies("run")] == ["succeeded"] * 2
    assert len(kept.bodies("build-result")) == 2
    assert [(each["number"], each["version"]) for each in kept.bodies("release")] == [(1, "1.0.0")]
    assert [line["last_number"] for line in kept.bodies("release-line")] == [1]
    assert [each["approver"] for each in kept.bodies("approval")] == ["user:ann"]
    places = ["dev", "staging", "test"]
    for kind, status in (("promotion", "deployed"), ("deployment", "succeeded"), ("sync-state", "synced")):
        seen = sorted((each["environment_name"], each["status"]) for each in kept.bodies(kind))
        assert seen == [(place, status) for place in places], kind
    assert_events_are_unique(kept)
    assert_chains_hold(kept)


def assert_events_are_unique(kept: Kept) -> None:
    """A command's reminders are the same command again, for later: those are not counted."""
    events = [event for event in kept.bodies("outbox") if event.get("notBefore") is None]
    said = Counter(event["eventType"] for event in events)
    assert said == {name: count for name, (count, _) in EVENTS.items()}
    about = Counter(
        (name, event["payload"][EVENTS[name][1]]) for event in events if (name := event["eventType"])
    )
    assert set(about.values()) == {1}, about


def assert_chains_hold(kept: Kept) -> None:
    heads = dict(kept.rows["audit-head"])
    # Two projects, two repositories, two runs, a component, three environments; nothing was parked.
    assert len(heads) == 10
    for root, head in heads.items():
        entries = [body for place, body in kept.rows["audit"] if place == root]
        assert_chain(entries, head["hash"])
        assert len(entries) == head["sequence"]
