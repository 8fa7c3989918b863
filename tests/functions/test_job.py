"""The job runner: one message of a real queue each time, however its process ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from functions.relay.outbox import relay
from functions.workers import job
from shared.adapters.azure.identity import credential
from shared.adapters.azure.servicebus import ServiceBus
from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.system import SystemClock
from shared.domain.pipelines.definition import definition_path
from shared.names import CHECKS, RUNS
from shared.ports.bus import MAX_DELIVERY_COUNT, Message
from shared.ports.store import Document
from tests.contracts.servicebus_site import catalogue
from tests.standins.hosting import hosted
from tests.standins.identity import IdentityStandIn
from tests.standins.servicebus.server import ServiceBusServer
from tests.support.api import Api, an_api
from tests.support.host import ROOT
from tests.support.pipelines import MODULE, a_definition, a_step
from tests.support.waiting import runs, until

HOME = {"projectId": "proj-x", "moduleId": MODULE}
LOCK = 1.0


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    # A job in a process of its own goes by the real clock.
    made = an_api(tmp_path / "data", clock=SystemClock())
    yield made
    await made.app.aclose()


async def everything(api: Api, after: int = 0) -> list[Document]:
    feed = api.app.ordered_feed
    assert feed is not None
    return await feed.changes(after, 5000)


async def relayed(api: Api) -> None:
    """Bring what was decided to its queues, and have no worker look at it."""
    documents = await everything(api, api.checkpoint)
    api.checkpoint = documents[-1].sequence if documents else api.checkpoint
    await relay([{"kind": each.kind, "body": each.body} for each in documents], api.app.bus)


async def a_waiting_run(api: Api, script: str) -> str:
    """A run of one step, ordered and in its queue; its id."""
    made = await api.expect(201, "POST", "/repositories", {**HOME, "name": "api"})
    place = f"/repositories/{made['repositoryId']}"
    await api.drain()
    await api.expect(201, "POST", f"{place}/branches", {"name": "feature/x"})
    text = YamlDefinitions().render(a_definition(a_step("only", script))).decode()
    changes = [{"path": definition_path(MODULE), "operation": "add", "content": text}]
    draft = {"branch": "feature/x", "message": "feat: start", "changes": changes}
    await api.expect(201, "POST", f"{place}/commits", draft)
    order = {"repositoryId": made["repositoryId"], "moduleId": MODULE, "moduleType": "Worker"}
    pipeline = await api.expect(201, "POST", "/pipelines/generate", order)
    await api.drain()
    wanted = {"branch": "feature/x", "reason": "manual"}
    run = await api.expect(201, "POST", f"/pipelines/{pipeline['pipelineId']}/run", wanted)
    await relayed(api)
    return str(run["pipelineRunId"])


async def told(api: Api, run: str) -> dict[str, object]:
    return dict(await api.expect(200, "GET", f"/pipeline-runs/{run}"))


def started(data: Path, *arguments: str, **more: str) -> "subprocess.Popen[bytes]":
    """The job as the image starts it."""
    environment = {**os.environ, "SLIPWAY_DATA_DIR": str(data), "SLIPWAY_TIERS": "*:unmetered", **more}
    return subprocess.Popen(
        [sys.executable, "-m", "functions.workers.job", *arguments, "--lock", str(LOCK), "--wait", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def ended(process: "subprocess.Popen[bytes]") -> int:
    output, _ = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode is not None, output
    return process.returncode


async def test_an_empty_queue_is_no_failure(api: Api) -> None:
    assert await job.work(api.app, RUNS) == job.DONE


async def test_a_message_is_handled_and_completed(api: Api) -> None:
    run = await a_waiting_run(api, "echo done")
    before = await api.app.bus.depth(RUNS)
    assert await job.work(api.app, RUNS) == job.DONE
    assert (await told(api, run))["status"] == "Succeeded"
    assert await api.app.bus.depth(RUNS) == before - 1


async def test_only_one_message_is_taken(api: Api) -> None:
    for number in range(2):
        await api.app.bus.send(CHECKS, [a_message(f"m{number}", session=f"s{number}")])
    await job.work(api.app, CHECKS)
    assert await api.app.bus.depth(CHECKS) == 1


async def test_what_no_handler_knows_is_parked_and_done(api: Api) -> None:
    await api.app.bus.send(CHECKS, [a_message("m1")])
    assert await job.work(api.app, CHECKS) == job.DONE
    await relayed(api)
    assert await api.app.bus.depth("checks-parked") == 1


async def test_what_raises_comes_again_and_ends_as_a_dead_letter(api: Api) -> None:
    await api.app.bus.send(CHECKS, [Message("m1", b"no envelope", session_id="s")])
    codes = [await job.work(api.app, CHECKS) for _ in range(MAX_DELIVERY_COUNT)]
    assert codes == [job.AGAIN] * MAX_DELIVERY_COUNT
    (dead,) = await api.app.bus.dead_letters(CHECKS)
    assert dead.message.message_id == "m1"
    assert await job.work(api.app, CHECKS) == job.DONE


async def test_the_lock_is_renewed_as_long_as_the_work_goes_on(api: Api) -> None:
    run = await a_waiting_run(api, "sleep 1")
    working = asyncio.create_task(job.work(api.app, RUNS, lock_for=0.3))
    await asyncio.sleep(0.6)
    assert await api.app.bus.receive(RUNS) == []
    assert await working == job.DONE
    assert (await told(api, run))["attempt"] == 1


async def test_work_whose_message_went_to_somebody_else_is_left_to_them(api: Api, tmp_path: Path) -> None:
    began = tmp_path / "began"
    await a_waiting_run(api, f"touch {began}; sleep 60")
    working = asyncio.create_task(job.work(api.app, RUNS, lock_for=0.3))
    await until(began.exists)
    assert isinstance(api.app.bus, SqliteBus)
    await api.app.bus.recover()
    (taken,) = await api.app.bus.receive(RUNS, lock_for=60)
    assert await asyncio.wait_for(working, 10) == job.AGAIN
    assert taken.delivery_count == 2
    await api.app.bus.complete(taken)


async def test_a_stop_ends_the_processes_and_gives_the_message_back(api: Api, tmp_path: Path) -> None:
    began = tmp_path / "began"
    run = await a_waiting_run(api, f"echo $$ > {began}.new; mv {began}.new {began}; sleep 60")
    process = started(tmp_path / "data", RUNS)
    await until(began.exists)
    step = int(began.read_text())
    process.send_signal(signal.SIGTERM)
    assert await ended(process) == job.STOPPED
    assert not runs(step)
    (again,) = await api.app.bus.receive(RUNS)
    assert (again.delivery_count, again.message.subject) == (2, "RunPipeline")
    assert (await told(api, run))["status"] == "Running"


async def test_a_killed_job_is_taken_over_by_the_next_with_one_effect(api: Api, tmp_path: Path) -> None:
    began, slow = tmp_path / "began", tmp_path / "slow"
    slow.touch()
    script = f"touch {began}; if [ -e {slow} ]; then sleep 60; fi"
    run = await a_waiting_run(api, script)
    first = started(tmp_path / "data", RUNS)
    await until(began.exists)
    first.kill()
    await ended(first)
    slow.unlink()
    await asyncio.sleep(LOCK)

    second = started(tmp_path / "data", RUNS)
    assert await ended(second) == job.DONE
    done = await told(api, run)
    assert (done["status"], done["attempt"]) == ("Succeeded", 2)
    documents = await everything(api)
    assert [each.kind for each in documents].count("build-result") == 1
    completed = [each for each in documents if each.body.get("eventType") == "PipelineRunCompleted"]
    assert len(completed) == 1


async def test_a_job_without_a_queue_says_what_to_name(tmp_path: Path) -> None:
    process = started(tmp_path / "data", "nonsense")
    assert await ended(process) == job.CANNOT_START


def a_message(message_id: str, session: str = "s") -> Message:
    body = (
        '{"eventId":"%s","eventType":"NeverHeardOf","tenantId":"acme","traceId":"trace-%s",'
        '"correlationId":"c","occurredAt":"2026-06-11T09:00:00Z","payload":{}}'
    )
    return Message(message_id, (body % (message_id, "a" * 32)).encode(), session_id=session)


async def test_the_settings_name_the_queue_where_no_argument_does(tmp_path: Path) -> None:
    one = started(tmp_path / "data", SLIPWAY_JOB_QUEUES=CHECKS)
    two = started(tmp_path / "data", SLIPWAY_JOB_QUEUES=f"{CHECKS},{RUNS}")
    assert await ended(one) == job.DONE
    assert await ended(two) == job.CANNOT_START


async def test_on_service_bus_a_message_is_settled_just_so(tmp_path: Path) -> None:
    with ExitStack() as stack:
        identity = stack.enter_context(hosted(IdentityStandIn))
        queues = catalogue(QUEUE_ENTITIES)
        server = stack.enter_context(hosted(lambda: ServiceBusServer(queues, identity.issuer)))
        for name, value in identity.environment.items():
            stack.enter_context(pytest.MonkeyPatch.context()).setenv(name, value)
        async with credential() as signed_in:
            api = an_api(tmp_path, clock=SystemClock(), bus=ServiceBus(server.endpoint, signed_in))
            await api.app.bus.send(CHECKS, [a_message("m1")])
            assert await job.work(api.app, CHECKS, wait=10) == job.DONE
            await api.app.bus.send(CHECKS, [Message("m2", b"no envelope", session_id="s")])
            codes = [await job.work(api.app, CHECKS, wait=10) for _ in range(MAX_DELIVERY_COUNT)]
            dead = await api.app.bus.dead_letters(CHECKS)
            await api.app.aclose()
    assert codes == [job.AGAIN] * MAX_DELIVERY_COUNT
    assert [each.message.message_id for each in dead] == ["m2"]
