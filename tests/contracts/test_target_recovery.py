"""A target survives the end of the platform: stops and starts, cancelled turns, kill -9 at any point."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.targets.folder import FolderTarget
from shared.domain.kernel.errors import Permanent
from shared.ports.target import Workload
from tests.support.targets import (
    PLACE,
    SERVICE,
    Artifact,
    Pack,
    folder,
    get,
    made,
    running,
    workload,
)
from tests.support.waiting import until


async def test_stopping_keeps_the_state_and_resuming_brings_it_back(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact, files = pack(SERVICE), pack({"a": "1"})
    live = await target.apply(workload(artifact, GREETING="hi"), artifact)
    await target.apply(Workload("acme", "dev", "site", "1", files.digest, "r"), files)
    await target.stop_all()
    assert running(root) == []
    again = made(root)
    await again.resume()
    assert await again.observe(*PLACE) == live
    assert "'GREETING': 'hi'" in await get(live)
    before = running(root)
    await again.resume()  # what runs is adopted
    assert running(root) == before


async def test_a_service_that_does_not_come_back_holds_nobody_up(
    root: Path, pack: Pack, caplog: pytest.LogCaptureFixture
) -> None:
    target = made(root)
    good, bad = pack(SERVICE), pack({**SERVICE, "more": "1"})
    other = Workload("acme", "dev", "other", "1", bad.digest, "r")
    await target.apply(workload(good), good)
    await target.apply(other, bad)
    await target.stop_all()
    (root / "acme" / "dev" / "other" / "current" / "server.py").unlink()
    await target.resume()
    assert (await target.observe(*PLACE)).health == "healthy"
    assert (await target.observe("acme", "dev", "other")).health == "unhealthy"
    assert "was not started again" in caplog.text
    assert (await target.apply(workload(good), good)).health == "healthy"
    await target.stop_all()


async def test_a_cancelled_turn_leaves_nothing_running(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack(SERVICE)
    first = await target.apply(workload(artifact, "1"), artifact)
    turn = asyncio.create_task(target.apply(workload(artifact, "2", SLOW="30"), artifact))
    await until(lambda: len(running(root)) == 2)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await until(lambda: len(running(root)) == 1)
    assert await target.observe(*PLACE) == first


async def test_a_damaged_state_is_told_and_can_be_removed(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact), artifact)
    (folder(root) / "state.json").write_text("{}")
    with pytest.raises(Permanent, match="remove the deployment"):
        await target.apply(workload(artifact), artifact)
    await target.remove(*PLACE)
    assert running(root) == []


DRIVER = """
import asyncio, json, sys
from pathlib import Path
from shared.adapters.targets.folder import FolderTarget
from shared.ports.target import Workload
from tests.support.app import SteppingClock

async def main():
    root, path, fields = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    async def artifact(): return path
    await FolderTarget(root, SteppingClock(), health_timeout=30).apply(Workload(**fields), artifact)

asyncio.run(main())
"""


async def kill_in_the_middle(
    root: Path, artifact: Artifact, wanted: Workload, when: Callable[[], bool]
) -> None:
    fields = {name: getattr(wanted, name) for name in Workload.__slots__}
    arguments = [str(root), str(artifact.path), json.dumps(fields)]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments])
    try:
        while driver.poll() is None and not when():
            await asyncio.sleep(0.001)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()


async def test_a_turn_killed_while_it_waits_for_health_is_cleaned_up(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    first = await target.apply(workload(artifact, "1"), artifact)
    (old,) = running(root)
    wanted = workload(artifact, "2", SLOW="1000")
    await kill_in_the_middle(root, artifact, wanted, lambda: len(running(root)) == 2)
    assert await target.observe(*PLACE) == first
    assert await target.apply(workload(artifact, "1"), artifact) == first
    assert running(root) == [old]
    assert [path.name for path in (folder(root) / "releases").iterdir()] == ["rev-1"]
    live = await target.apply(workload(artifact, "3"), artifact)
    assert len(running(root)) == 1
    assert "'SLIPWAY_VERSION': '3'" in await get(live)


@pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4])
async def test_a_turn_killed_at_any_point_converges(
    target: FolderTarget, root: Path, pack: Pack, after: float
) -> None:
    artifact = pack({**SERVICE, **{f"file{number}": "x" * 1000 for number in range(200)}})
    await target.apply(workload(artifact, "1"), artifact)
    wanted = workload(artifact, "2")
    began: list[float] = []

    def due() -> bool:
        if not began and any(path.name != "rev-1" for path in (folder(root) / "releases").iterdir()):
            began.append(time.monotonic())
        return bool(began) and time.monotonic() - began[0] >= after

    await kill_in_the_middle(root, artifact, wanted, due)
    live = await target.apply(wanted, artifact)
    assert (live.version, live.health) == ("2", "healthy")
    assert "'SLIPWAY_VERSION': '2'" in await get(live)
    assert len(running(root)) == 1
    assert (folder(root) / "current").resolve().name == "rev-2"
    assert sorted(path.name for path in (folder(root) / "releases").iterdir()) == ["rev-1", "rev-2"]
    assert len(list((folder(root) / "instances").iterdir())) == 1


async def test_resuming_adopts_what_a_killed_platform_left_running(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    wanted = workload(artifact, "1")
    await kill_in_the_middle(root, artifact, wanted, (folder(root) / "state.json").exists)
    before = running(root)
    await target.resume()
    assert (running(root), len(before)) == (before, 1)
    assert (await target.observe(*PLACE)).health == "healthy"
