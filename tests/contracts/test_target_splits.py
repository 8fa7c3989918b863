"""A target between two versions: requests by weight, one door, and what is left when something dies."""

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from shared.adapters.targets.folder import FolderTarget
from shared.ports.target import Candidate, DeployFailed, LiveState, Overtaken, Split
from tests.support.targets import PLACE, SERVICE, Pack, get, made, running, workload


async def versions(live: LiveState, requests: int = 100) -> Counter[str]:
    """Which version answers how often."""
    found: Counter[str] = Counter()
    for _ in range(requests):
        found[eval(await get(live))["SLIPWAY_VERSION"]] += 1
    return found


async def test_a_canary_gets_exactly_its_share_and_then_everything(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1"), artifact)
    part = await target.apply(workload(artifact, "2"), artifact, Split(1, 1, 20, fence=1))
    assert (part.version, part.candidate) == ("1", Candidate("rev-2", 20, "healthy"))
    assert await versions(part) == {"1": 80, "2": 20}
    whole = await target.apply(workload(artifact, "2"), artifact, Split(2, 0, 100, fence=2))
    assert (whole.version, whole.candidate, whole.url) == ("2", None, part.url)
    assert await versions(whole, 10) == {"2": 10}
    assert len(running(root)) == 3  # two instances and their router


async def test_a_split_without_instruction_is_left_to_whoever_makes_it(
    target: FolderTarget, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1"), artifact)
    part = await target.apply(workload(artifact, "2"), artifact, Split(1, 1, 50, fence=1))
    assert await target.apply(workload(artifact, "2"), artifact) == part
    alone = await target.apply(workload(artifact, "1"), artifact)
    assert (alone.version, alone.candidate) == ("1", None)


async def test_the_reserve_of_a_switch_takes_over_again_without_a_start(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    first = await target.apply(workload(artifact, "1"), artifact)
    old = running(root)
    beside = await target.apply(workload(artifact, "2"), artifact, Split(1, 1, 0, fence=1))
    assert await versions(beside, 10) == {"1": 10}
    switched = await target.apply(workload(artifact, "2"), artifact, Split(1, 1, 100, fence=2))
    assert await versions(switched, 10) == {"2": 10}
    assert set(old) <= set(running(root))
    back = await target.apply(workload(artifact, "1"), artifact, Split(1, 0, 100, fence=3))
    assert (back.version, back.revision) == ("1", first.revision)
    assert set(old) <= set(running(root))
    assert len(running(root)) == 2


async def test_a_canary_that_fails_leaves_what_ran_alone(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1"), artifact)
    await target.apply(workload(artifact, "2"), artifact, Split(1, 1, 50, fence=1))
    with pytest.raises(DeployFailed):
        await target.apply(workload(artifact, "3", EXIT="3"), artifact, Split(1, 1, 50, fence=2))
    live = await target.observe(*PLACE)
    assert (live.version, live.candidate, live.health) == ("1", None, "healthy")
    assert await versions(live, 10) == {"1": 10}
    assert len(running(root)) == 2


async def test_whoever_was_overtaken_changes_nothing(target: FolderTarget, pack: Pack) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1"), artifact, Split(fence=2000))
    with pytest.raises(Overtaken):
        await target.apply(workload(artifact, "2"), artifact, Split(1, 1, 50, fence=1001))
    assert (await target.observe(*PLACE)).version == "1"


async def test_a_split_survives_the_end_of_the_platform(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1"), artifact)
    part = await target.apply(workload(artifact, "2"), artifact, Split(1, 2, 25, fence=1))
    await target.stop_all()
    assert running(root) == []
    again = made(root)
    await again.resume()
    assert await again.observe(*PLACE) == part
    assert await versions(part) == {"1": 75, "2": 25}


async def test_nobody_is_turned_away_while_instances_are_replaced(target: FolderTarget, pack: Pack) -> None:
    artifact = pack(SERVICE)
    live = await target.apply(workload(artifact, "1"), artifact, Split(instances=2, fence=1))
    statuses: Counter[int] = Counter()
    done = asyncio.Event()

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            while not done.is_set():
                async with session.get(f"{live.url}/") as response:
                    await response.read()
                    statuses[response.status] += 1

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    await target.apply(workload(artifact, "2"), artifact, Split(1, 1, 50, fence=2))
    await target.apply(workload(artifact, "2"), artifact, Split(2, 0, 100, fence=3))
    done.set()
    await asyncio.gather(*asking)
    assert set(statuses) == {200}
    assert statuses[200] > 10


async def test_to_recreate_is_to_stop_before_starting_and_to_start_again_on_failure(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1"), artifact)
    with pytest.raises(DeployFailed):
        await target.apply(workload(artifact, "2", EXIT="1"), artifact, Split(unavailable=1, fence=1))
    assert (await target.observe(*PLACE)).health == "healthy"
    live = await target.apply(workload(artifact, "3"), artifact, Split(unavailable=1, fence=2))
    assert (live.version, len(running(root))) == ("3", 1)


async def test_the_router_hands_bodies_and_headers_on(target: FolderTarget, pack: Pack) -> None:
    echo = SERVICE["server.py"].replace(
        "    def log_message",
        "    def do_POST(self):\n"
        "        body = self.rfile.read(int(self.headers['Content-Length']))\n"
        "        self.send_response(201)\n"
        "        self.send_header('X-Seen', self.headers['X-Forwarded-Host'] or '')\n"
        "        self.send_header('Content-Length', str(len(body)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "    def log_message",
    )
    artifact = pack({**SERVICE, "server.py": echo})
    live = await target.apply(workload(artifact, "1"), artifact, Split(instances=2))
    sent = bytes(range(256)) * 1000
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{live.url}/x?y=%20z", data=sent, headers={"Host": "shop.example"}) as response,
    ):
        assert (response.status, response.headers["X-Seen"]) == (201, "shop.example")
        assert await response.read() == sent
