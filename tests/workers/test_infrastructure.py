"""The infrastructure worker: killed in the middle of an apply, and without what its engine needs."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from functions.workers.infrastructure import infrastructure
from shared.domain.infrastructure.model import PlanStatus, StackStatus
from shared.names import INFRASTRUCTURE, ROUTES
from shared.ports.provisioner import Config, EngineUnavailable, OnEvent, Plan, Stack
from tests.support.api import an_api
from tests.support.app import SteppingClock
from tests.support.host import ROOT
from tests.support.infrastructure import MadeUpProvisioner
from tests.support.infrastructure_site import PAULA, Site

KILLED = """
import asyncio, sys
from pathlib import Path
from tests.support.api import an_api
from tests.support.app import SteppingClock
from tests.support.infrastructure import MadeUpProvisioner
from tests.support.infrastructure_site import Site

async def main(folder: Path) -> None:
    engine = MadeUpProvisioner(folder / "infrastructure")
    site = Site(an_api(folder, provisioner=engine), SteppingClock(), engine)
    plan = await site.provision()
    print(plan.id, flush=True)
    engine.gate = asyncio.Event()
    print("applying", flush=True)
    await site.api.drain()

asyncio.run(main(Path(sys.argv[1])))
"""


def a_site(folder: Path, engine: MadeUpProvisioner) -> Site:
    clock = SteppingClock()
    return Site(an_api(folder, clock=clock, provisioner=engine), clock, engine)


async def test_a_worker_that_is_killed_in_the_middle_of_an_apply_is_followed_by_another(
    tmp_path: Path,
) -> None:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    assert worker.stdout is not None
    plan_id = (await worker.stdout.readline()).decode().strip()
    assert (await worker.stdout.readline()).strip() == b"applying"
    await asyncio.sleep(0.5)
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    site = a_site(tmp_path, MadeUpProvisioner(tmp_path / "infrastructure"))
    site.clock.advance(minutes=2)
    await site.api.drain()
    plan = await site.api.app.infrastructure_plans.get(PAULA, plan_id)
    stack = await site.stack()
    assert (plan.status, stack.status, stack.lock) == (PlanStatus.APPLIED, StackStatus.ACTIVE, None)
    assert site.engine.calls.count("apply") == 1
    await site.api.app.aclose()


class WithoutPulumi(MadeUpProvisioner):
    async def preview(
        self, stack: Stack, config: Config, *, on_event: OnEvent, destroy: bool = False
    ) -> Plan:
        raise EngineUnavailable("The embedded engine needs the package 'pulumi'; install it.")


async def test_a_package_without_the_engine_says_what_is_missing(tmp_path: Path) -> None:
    site = a_site(tmp_path, WithoutPulumi(tmp_path / "infrastructure"))
    plan = await site.provision()
    assert (plan.status, plan.reason) == (PlanStatus.FAILED, "engine_unavailable")
    assert "needs the package 'pulumi'" in (plan.cause or "")
    assert (await site.stack()).lock is None
    await site.api.app.aclose()


def test_everything_that_is_routed_to_the_queue_is_handled() -> None:
    routed = {event for event, queues in ROUTES.items() if INFRASTRUCTURE in queues}
    assert infrastructure.handles == routed
