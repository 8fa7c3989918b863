"""The host is killed in the middle of a canary: it ends as all of the new version or as all of the old one.

Seeded: the seed is printed, and `FAULT_SEED` repeats its moments.
"""

import asyncio
import os
import random
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.faults.test_host_killed import NO_LOOKS, Killer, Stubborn, quiet, session
from tests.support.journey import MODULE, PATIENCE, Journey, pipeline, processes_of, service
from tests.support.process import ServerProcess

__all__ = ["session"]

CANARY = {"strategy": "Canary", "rollout": {"canary": [{"weight": 20}, {"weight": 60}]}}
BRANCH = "main-line"
LOOKS = 10


async def planned(journey: Journey, pipeline_id: str, words: str) -> Any:
    """A release into dev that says these words, as a canary."""
    await journey.commit(BRANCH, f"feat: say {words}", service(words) | pipeline())
    build = await journey.built(await journey.start(pipeline_id, BRANCH))
    draft = {
        "projectId": journey.project,
        "moduleId": MODULE,
        "buildResultId": build["buildResultId"],
        "targetEnvironment": "dev",
    }
    return await journey.planner.post("/releases", draft | CANARY, status=201)


async def paused(journey: Journey, promotion: str, step: int) -> None:
    """Until the canary waits at that step."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await journey.operator.call("GET", f"/promotions/{promotion}/rollout")
            if answer.status == 200 and (answer.body["status"], answer.body["step"]) == ("Paused", step):
                return
            await asyncio.sleep(0.05)


async def said(journey: Journey, url: str) -> set[str]:
    """What the service says, asked often enough to see another version that has a share."""
    return {(await journey.answer(url))["greeting"] for _ in range(LOOKS)}


@pytest.mark.journey
async def test_a_canary_whose_host_is_killed_ends_whole(
    disk: Path,
    session: aiohttp.ClientSession,
) -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(1_000_000))
    print(f"FAULT_SEED={seed}")  # noqa: T201 - shown where the test fails
    data_dir = disk / "data"
    try:
        with ServerProcess(data_dir, environment=NO_LOOKS) as server:
            journey = Journey(session, server, "acme", caller=Stubborn)
            killer = Killer(server, seed)

            async def struck(work: Coroutine[Any, Any, Any]) -> Any:
                return (await asyncio.gather(work, killer.strike(0.3)))[0]

            async def advanced(promotion: str) -> None:
                await journey.operator.post(f"/promotions/{promotion}/advance", {"reason": "flat"})

            await journey.provision()
            await journey.branch(BRANCH)
            pipeline_id = (await journey.generate(BRANCH))["pipelineId"]
            first = await planned(journey, pipeline_id, "Hello")
            await journey.deployed(first["promotionId"])

            second = (await planned(journey, pipeline_id, "Ahoy"))["promotionId"]
            await struck(paused(journey, second, 0))
            await struck(advanced(second))
            await paused(journey, second, 1)
            await struck(advanced(second))
            url = (await journey.deployed(second))["url"]
            assert await said(journey, url) == {"Ahoy, world"}

            back = (await journey.promote(first, "dev"))["promotionId"]
            await struck(paused(journey, back, 0))
            await struck(journey.operator.post(f"/promotions/{back}/abort", {"reason": "slow"}))
            assert (await journey.ended(back))["status"] == "RolledBack"
            assert await said(journey, url) == {"Ahoy, world"}

            for promotion, status in ((second, "Completed"), (back, "RolledBack")):
                rollout = await journey.operator.get(f"/promotions/{promotion}/rollout")
                assert rollout["status"] == status
            dev = await journey.operator.get("/environments/dev")
            assert (dev["isDeploying"], dev["waiting"]) == (False, 0)
            assert killer.strikes == 5
            await quiet(session, server)
            assert server.terminate() == 0
        assert processes_of(data_dir) == []
    finally:
        for stray in processes_of(data_dir):
            with suppress(psutil.NoSuchProcess):
                stray.kill()
