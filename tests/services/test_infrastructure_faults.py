"""Infrastructure plans whose processes die, hang or are cancelled: nothing is lost or done twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.infrastructure.model import PlanStatus, StackStatus
from tests.support.api import an_api
from tests.support.app import SteppingClock
from tests.support.infrastructure import MadeUpProvisioner
from tests.support.infrastructure_site import PAULA, WORKER, Site

S = PlanStatus


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    clock, engine = SteppingClock(), MadeUpProvisioner(tmp_path / "infrastructure")
    api = an_api(tmp_path, clock=clock, provisioner=engine)
    yield Site(api, clock, engine)
    await api.app.aclose()


async def test_a_preview_that_takes_long_goes_on_behind_the_callers_back(tmp_path: Path) -> None:
    engine = MadeUpProvisioner(tmp_path / "infrastructure", asyncio.Event())
    site = Site(an_api(tmp_path, provisioner=engine), SteppingClock(), engine)
    object.__setattr__(site.api.app.infrastructure_plans, "preview_within", 0.05)
    plan = await site.provision()
    assert (plan.status, plan.counts) == (S.PREVIEWING, None)
    assert engine.gate is not None
    engine.gate.set()
    await site.api.drain()
    assert (await site.plan(plan)).status is S.APPLIED
    await site.api.app.aclose()


async def test_a_message_that_comes_again_changes_nothing(site: Site) -> None:
    await site.provisioned()
    second = await site.provisioned(things="queue=2")
    before = site.engine.calls[:]
    await site.deliver_again("ProvisionInfrastructure")
    await site.deliver_again("ProvisionInfrastructureAgain")
    assert site.engine.calls == before
    assert (await site.stack()).current == second.id


async def test_an_apply_that_was_not_recorded_is_adopted(site: Site) -> None:
    """The process dies between the engine's last word and the record."""
    plan = await site.provision()
    stack = await site.stack()
    engine = site.api.app.provisioning
    await engine._carry_out(WORKER, plan)
    assert site.engine.things("dev") == {"queue": "1", "site": "1"}
    assert (await site.plan(plan)).status is S.APPLYING
    site.clock.advance(seconds=30)
    await site.api.drain()
    done = await site.plan(plan)
    assert (done.status, done.counts and done.counts.create) == (S.APPLIED, 2)
    assert (await site.stack()).digest == plan.digest
    assert stack.digest is None


async def test_a_preview_whose_caller_died_is_taken_up(site: Site) -> None:
    site.engine.gate = asyncio.Event()
    caller = asyncio.create_task(site.provision())
    await asyncio.sleep(0.05)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    site.engine.gate.set()
    await site.api.drain()
    assert (await site.stack()).lock is not None
    site.clock.advance(seconds=25)
    await site.api.drain()
    stack = await site.stack()
    assert (stack.status, stack.lock) == (StackStatus.ACTIVE, None)


async def test_a_plan_that_nobody_finishes_is_given_up(site: Site) -> None:
    plan = await site.provision()
    waiting = await site.provision(things="queue=2")
    assert waiting.status is S.REQUESTED
    [overdue, *_] = await site.events("InfrastructureOverdue")
    await site.api.app.provisioning.expire(WORKER, overdue)
    given_up = await site.plan(plan)
    assert (given_up.status, given_up.reason) == (S.FAILED, "timed_out")
    await site.api.drain()
    assert (await site.plan(waiting)).status is S.APPLIED
    assert site.engine.things("dev") == {"queue": "2"}


async def test_what_was_carried_out_by_its_deadline_is_not_given_up(site: Site) -> None:
    plan = await site.provision()
    await site.api.app.provisioning._carry_out(WORKER, plan)
    [overdue] = await site.events("InfrastructureOverdue")
    await site.api.app.provisioning.expire(WORKER, overdue)
    assert (await site.plan(plan)).status is S.APPLIED


async def test_a_cancelled_plan_ends_at_once_and_its_stack_is_free_when_the_engine_is(site: Site) -> None:
    plan = await site.provision()
    waiting = await site.provision(things="queue=2")
    site.engine.gate = asyncio.Event()
    at_work = asyncio.create_task(site.api.drain())
    await asyncio.sleep(0.05)
    assert (await site.cancel(plan)).status is S.CANCELLED
    assert (await site.stack()).lock == plan.id
    await asyncio.sleep(1.2)  # the worker looks once a second
    site.engine.gate.set()
    await at_work
    await site.api.drain()
    assert (await site.plan(plan)).status is S.CANCELLED
    assert (await site.plan(waiting)).status is S.APPLIED
    assert site.engine.most == 1
    assert site.engine.things("dev") == {"queue": "2"}


async def test_a_cancel_that_comes_too_late_is_told_as_it_is(site: Site) -> None:
    plan = await site.provision()
    await site.api.app.provisioning._carry_out(WORKER, plan)
    await site.cancel(plan)
    await site.api.drain()
    cancelled = await site.plan(plan)
    assert cancelled.status is S.CANCELLED
    assert "carried it out before" in (cancelled.cause or "")
    stack = await site.stack()
    assert (stack.status, stack.digest, stack.lock) == (StackStatus.ACTIVE, plan.digest, None)
    assert (await site.provisioned(things="queue=3")).status is S.APPLIED


async def test_a_plan_is_cancelled_while_it_waits(site: Site) -> None:
    await site.provision()
    waiting = await site.provision(things="queue=2")
    await site.cancel(waiting)
    assert (await site.stack()).queue == ()
    await site.api.drain()
    assert site.engine.things("dev") == {"queue": "1", "site": "1"}


async def test_a_cancelled_destruction_leaves_what_it_was_to_destroy(site: Site) -> None:
    made = await site.provisioned()
    plan = await site.api.app.infrastructure_plans.destroy(PAULA, (await site.stack()).id, None)
    await site.decide(plan)
    await site.cancel(plan)
    await site.api.drain()
    kept = await site.plan(made)
    assert (kept.status, kept.superseded_by) == (S.APPLIED, None)
    assert (await site.stack()).current == made.id
    assert site.engine.things("dev") == {"queue": "1", "site": "1"}
