"""The provisioner on Pulumi Deployments, against a stand-in that speaks the documented API."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.provisioners.deployments import TAG, DeploymentsProvisioner
from shared.domain.kernel.errors import Transient
from shared.ports.provisioner import (
    Config,
    EngineUnavailable,
    PlanBlocked,
    PlanChanged,
    Program,
    ProgramFailed,
    Progress,
    Stack,
    StackBusy,
    UnknownProgram,
    UnknownStack,
    UpdateCancelled,
)
from tests.support.pulumi_service import TOKEN, PulumiService, a_service

STACK = Stack("acme", "shop", "dev")
TWO = Config({"one": "1", "two": "1"})


@pytest.fixture
async def service() -> AsyncIterator[PulumiService]:
    async with a_service() as made:
        yield made


@pytest.fixture
def engine(service: PulumiService) -> DeploymentsProvisioner:
    return DeploymentsProvisioner(
        programs={"shop": Program("shop", Path("infra/shop"))},
        url=service.url,
        organization="acme-org",
        token=TOKEN,
        source="https://example.com/infra.git#release",
        poll=0.01,
    )


async def quiet(_event: Progress) -> None:
    """Nobody listens."""


async def test_a_stack_is_previewed_applied_read_and_destroyed(
    service: PulumiService, engine: DeploymentsProvisioner
) -> None:
    heard: list[str] = []

    async def listen(event: Progress) -> None:
        heard.append(event.line)

    plan = await engine.preview(STACK, TWO, on_event=listen)
    assert (plan.engine_mode, plan.counts["create"]) == ("deployments", 2)
    assert "create demo:index:Thing one" in heard
    with pytest.raises(UnknownStack):
        await engine.state(STACK)
    done = await engine.apply(STACK, TWO, plan.digest, on_event=quiet)
    assert (done.counts["create"], done.repeated, done.outputs) == (2, False, {"key": "[secret]", "n": 2})
    state = await engine.state(STACK)
    assert (state.digest, [each.name for each in state.resources]) == (plan.digest, ["stack", "one", "two"])
    assert state.resources[1].inputs == {"size": "1", "key": "[secret]"}
    changed = await engine.preview(STACK, Config({"one": "2"}), on_event=quiet)
    assert [(change.name, change.action) for change in changed.changes] == [
        ("one", "update"),
        ("two", "delete"),
    ]
    [path] = changed.changes[0].paths
    assert (path.path, path.old, path.new) == ("size", "1", "2")
    gone = await engine.preview(STACK, Config(), on_event=quiet, destroy=True)
    assert gone.counts["delete"] == 3
    await engine.destroy(STACK, Config(), gone.digest, on_event=quiet)
    with pytest.raises(UnknownStack):
        await engine.state(STACK)
    assert [line.line for line in await engine.log(STACK)] == ["Updating..."]


async def test_a_digest_that_was_carried_out_is_not_carried_out_again(
    service: PulumiService, engine: DeploymentsProvisioner
) -> None:
    plan = await engine.preview(STACK, TWO, on_event=quiet)
    await engine.apply(STACK, TWO, plan.digest, on_event=quiet)
    before = len(service.bodies)
    again = await engine.apply(STACK, TWO, plan.digest, on_event=quiet)
    assert (again.repeated, len(service.bodies)) == (True, before)


async def test_a_run_whose_caller_died_is_waited_for(
    service: PulumiService, engine: DeploymentsProvisioner
) -> None:
    plan = await engine.preview(STACK, TWO, on_event=quiet)
    service.stuck = True
    first = asyncio.create_task(engine.apply(STACK, TWO, plan.digest, on_event=quiet))
    while not service.stacks["shop/acme.dev"].tags.get(TAG):
        service.stuck = len(service.bodies) > 2  # its own preview may end, its update not
        await asyncio.sleep(0.01)
    first.cancel()
    service.stuck = False
    done = await engine.apply(STACK, TWO, plan.digest, on_event=quiet)
    assert (done.digest, [body["operation"] for body in service.bodies].count("update")) == (plan.digest, 1)


async def test_another_plan_than_the_approved_one_is_refused(
    service: PulumiService, engine: DeploymentsProvisioner
) -> None:
    plan = await engine.preview(STACK, TWO, on_event=quiet)
    with pytest.raises(PlanChanged):
        await engine.apply(STACK, Config({"one": "1"}), plan.digest, on_event=quiet)
    with pytest.raises(PlanChanged):
        await engine.apply(STACK, replace(TWO, secrets={"k": "new"}), plan.digest, on_event=quiet)
    assert {body["operation"] for body in service.bodies} == {"preview"}


async def test_a_mandatory_policy_is_an_obstacle(engine: DeploymentsProvisioner) -> None:
    config = Config({"violate": "Not here."})
    plan = await engine.preview(STACK, config, on_event=quiet)
    assert plan.obstacles == ("no (house): Not here.",)
    with pytest.raises(PlanBlocked, match="Not here"):
        await engine.apply(STACK, config, plan.digest, on_event=quiet)


async def test_a_program_that_fails_says_why(service: PulumiService, engine: DeploymentsProvisioner) -> None:
    service.breaks = True
    with pytest.raises(ProgramFailed) as failed:
        await engine.preview(STACK, TWO, on_event=quiet)
    assert [each.message for each in failed.value.diagnostics] == ["boom"]


async def test_a_run_is_cancelled(service: PulumiService, engine: DeploymentsProvisioner) -> None:
    service.stuck = True
    assert not await engine.cancel(STACK)
    running = asyncio.create_task(engine.preview(STACK, TWO, on_event=quiet))
    while not service.bodies:
        await asyncio.sleep(0.01)
    assert await engine.cancel(STACK)
    with pytest.raises(UpdateCancelled):
        await running
    assert not await engine.cancel(STACK)


async def test_values_are_quoted_and_secrets_travel_as_secrets(
    service: PulumiService, engine: DeploymentsProvisioner
) -> None:
    config = Config({"one": "it's $(rm -rf /)"}, {"password": "correct horse"})
    await engine.preview(STACK, config, on_event=quiet)
    [body] = service.bodies
    context = body["operationContext"]
    assert context["environmentVariables"] == {"SLIPWAY_SECRET_0": {"secret": "correct horse"}}
    assert "correct horse" not in str(context["preRunCommands"])
    assert service.stacks["shop/acme.dev"].jobs.popitem()[1].config == {"one": "it's $(rm -rf /)"}
    assert body["sourceContext"] == {
        "git": {
            "repoURL": "https://example.com/infra.git",
            "branch": "refs/heads/release",
            "repoDir": "infra/shop",
        }
    }


@pytest.mark.parametrize(
    ("status", "error"), [(401, EngineUnavailable), (409, StackBusy), (429, Transient), (503, Transient)]
)
async def test_what_the_service_refuses_is_told_by_kind(
    service: PulumiService, engine: DeploymentsProvisioner, status: int, error: type[Exception]
) -> None:
    service.failing = [status]
    with pytest.raises(error) as refused:
        await engine.preview(STACK, TWO, on_event=quiet)
    assert TOKEN not in str(refused.value)


async def test_what_is_missing_is_said_at_the_start(engine: DeploymentsProvisioner) -> None:
    with pytest.raises(EngineUnavailable, match="SLIPWAY_IAC_ACCESS_TOKEN"):
        replace(engine, token="")
    with pytest.raises(UnknownProgram):
        await engine.preview(replace(STACK, program="other"), TWO, on_event=quiet)
    nobody = replace(engine, url="http://127.0.0.1:9")
    with pytest.raises(Transient, match="does not answer"):
        await nobody.preview(STACK, TWO, on_event=quiet)
    assert TOKEN not in repr(engine)
