"""Infrastructure plans, from the wish to the stack: order, approvals and refusals, with made-up programs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.approvals.errors import HumanRequired, SelfApproval
from shared.domain.approvals.model import Decision
from shared.domain.infrastructure.errors import (
    NothingToDestroy,
    ProgramNotRegistered,
    StackElsewhere,
)
from shared.domain.infrastructure.lifecycle import PlanDraft, StackDraft
from shared.domain.infrastructure.model import Engine, PlanStatus, StackStatus
from shared.services.once import AlreadyDone, Inbox
from tests.support.api import an_api
from tests.support.app import SteppingClock
from tests.support.infrastructure import PROGRAM, MadeUpProvisioner
from tests.support.infrastructure_site import BOB, BUILDER, MANAGER, PAULA, Site

S = PlanStatus


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    clock, engine = SteppingClock(), MadeUpProvisioner(tmp_path / "infrastructure")
    api = an_api(tmp_path, clock=clock, provisioner=engine)
    yield Site(api, clock, engine)
    await api.app.aclose()


async def test_a_plan_is_previewed_at_once_and_applied_by_a_worker(site: Site) -> None:
    plan = await site.provision()
    assert (plan.status, plan.counts and plan.counts.create) == (S.APPLYING, 2)
    assert site.engine.things("dev") == {}
    await site.api.drain()
    done = await site.plan(plan)
    assert done.status is S.APPLIED
    stack = await site.stack()
    assert (stack.status, stack.current, stack.lock) == (StackStatus.ACTIVE, plan.id, None)
    assert stack.digest == plan.digest
    assert site.engine.things("dev") == {"queue": "1", "site": "1"}
    outputs = (await site.api.app.stacks.get(PAULA, stack.id)).outputs
    assert outputs == {"queue-url": "https://queue.example", "site-url": "https://site.example"}
    [fact] = await site.events("InfrastructureProvisioned")
    assert fact["changes"] == {"create": 2, "update": 0, "delete": 0, "replace": 0}
    assert (fact["stack"], fact["environment"], fact["outputsRef"]) == ("dev", "dev", stack.outputs)
    assert fact["engineMode"] == "local-simulation"
    assert "Carried out" in await site.log(plan)


async def test_the_next_plan_supersedes_the_one_before(site: Site) -> None:
    first = await site.provisioned()
    second = await site.provisioned(things="queue=2,site=1")
    assert (second.status, second.counts and second.counts.update) == (S.APPLIED, 1)
    assert (await site.plan(first)).superseded_by == second.id
    assert (await site.stack()).current == second.id


async def test_deleting_in_production_waits_for_somebody_else_and_a_person(site: Site) -> None:
    await site.provisioned("prod")
    assert (await site.provisioned("prod", "queue=2,site=1")).status is S.APPLIED
    plan = await site.provision("prod", "queue=2")
    assert (plan.status, plan.needs_approval) == (S.AWAITING_APPROVAL, True)
    assert (await site.stack("prod")).lock is None
    for requester in (PAULA, BUILDER):
        with pytest.raises(SelfApproval):
            await site.decide(plan, requester)
    with pytest.raises(HumanRequired):
        await site.decide(plan, MANAGER)
    assert site.engine.things("prod") == {"queue": "2", "site": "1"}
    assert (await site.decide(plan)).status is S.APPLYING
    await site.api.drain()
    assert (await site.plan(plan)).status is S.APPLIED
    assert site.engine.things("prod") == {"queue": "2"}


async def test_replacing_in_production_waits_as_well_and_elsewhere_nothing_does(site: Site) -> None:
    for environment, status in (("prod", S.AWAITING_APPROVAL), ("staging", S.APPLYING)):
        await site.provisioned(environment)
        assert (await site.provision(environment, "queue=!2,site=1")).status is status


async def test_an_approval_counts_only_for_what_was_seen(site: Site) -> None:
    """Another plan goes through between preview and approval."""
    await site.provisioned("prod")
    waiting = await site.provision("prod", "queue=1")
    assert (await site.provisioned("prod", "queue=1,site=2")).status is S.APPLIED
    await site.decide(waiting)
    await site.api.drain()
    failed = await site.plan(waiting)
    assert (failed.status, failed.reason) == (S.FAILED, "plan_superseded")
    assert "provision again" in (failed.cause or "")
    assert site.engine.things("prod") == {"queue": "1", "site": "2"}
    assert (await site.stack("prod")).lock is None
    [fact] = await site.events("InfrastructureProvisionFailed")
    assert fact["reason"] == "plan_superseded"


async def test_a_rejected_plan_is_over(site: Site) -> None:
    await site.provisioned("prod")
    waiting = await site.provision("prod", "queue=1")
    rejected = await site.decide(waiting, BOB, Decision.REJECTED)
    assert (rejected.status, rejected.cause) == (S.REJECTED, "Rejected by user:bob: seen")


async def test_a_stack_is_destroyed_by_a_plan_that_another_one_approves(site: Site) -> None:
    made = await site.provisioned()
    stack = await site.stack()
    plan = await site.api.app.infrastructure_plans.destroy(PAULA, stack.id, None)
    assert (plan.status, plan.counts and plan.counts.delete) == (S.AWAITING_APPROVAL, 2)
    assert plan.config == made.config
    assert (await site.decide(plan, MANAGER)).status is S.DESTROYING
    assert (await site.plan(made)).status is S.DESTROYING
    await site.api.drain()
    assert (await site.plan(plan)).status is S.DESTROYED
    gone = await site.plan(made)
    assert (gone.status, gone.superseded_by) == (S.DESTROYED, plan.id)
    assert ((await site.stack()).status, (await site.stack()).current) == (StackStatus.DESTROYED, None)
    assert site.engine.things("dev") == {}
    with pytest.raises(NothingToDestroy, match="destroyed"):
        await site.api.app.infrastructure_plans.destroy(PAULA, stack.id, None)
    assert (await site.provisioned()).status is S.APPLIED


async def test_two_destructions_of_one_stack_both_come_to_an_end(site: Site) -> None:
    await site.provisioned()
    stack = await site.stack()
    plans = [await site.api.app.infrastructure_plans.destroy(PAULA, stack.id, None) for _ in range(2)]
    for plan in plans:
        await site.decide(plan)
        await site.api.drain()
    assert [(await site.plan(plan)).status for plan in plans] == [S.DESTROYED, S.DESTROYED]
    assert (await site.stack()).lock is None


async def test_a_mandatory_policy_stops_a_plan_and_says_why(site: Site) -> None:
    plan = await site.provision(violate="No things in here.")
    assert (plan.status, plan.reason) == (S.FAILED, "plan_blocked")
    assert "No things in here." in (plan.cause or "")
    assert [(each.policy, each.level) for each in plan.violations] == [("no-things", "mandatory")]
    assert (await site.stack()).lock is None
    await site.api.drain()
    assert site.engine.things("dev") == {}


async def test_a_program_that_fails_leaves_the_stack_as_it_was(site: Site) -> None:
    first = await site.provisioned()
    failed = await site.provision(fail="There is no such region.")
    assert (failed.status, failed.reason) == (S.FAILED, "program_failed")
    assert "There is no such region." in await site.log(failed)
    stack = await site.stack()
    assert (stack.current, stack.status, stack.lock) == (first.id, StackStatus.ACTIVE, None)
    assert (await site.provisioned(things="queue=7")).status is S.APPLIED


async def test_a_stack_stays_in_its_project_and_environment(site: Site) -> None:
    await site.provision("prod", name="shop")
    with pytest.raises(StackElsewhere, match="environment prod"):
        await site.provision("dev", name="shop")
    place = StackDraft(project="p", environment="dev", engine=Engine.PULUMI, program="../../etc", name="x")
    with pytest.raises(ProgramNotRegistered) as refused:
        await site.api.app.infrastructure_plans.provision(PAULA, place, PlanDraft(), None)
    assert PROGRAM in refused.value.problems[0].message


async def test_plans_of_one_stack_wait_for_each_other_in_order(site: Site) -> None:
    site.engine.gate = asyncio.Event()
    racing = [asyncio.create_task(site.provision(things=f"queue={size}")) for size in range(1, 6)]
    await asyncio.sleep(0.05)
    statuses = [task.done() and task.result().status for task in racing]
    assert statuses == [False, S.REQUESTED, S.REQUESTED, S.REQUESTED, S.REQUESTED]
    site.engine.gate.set()
    plans = [await task for task in racing]
    await site.api.drain()
    done = [await site.plan(plan) for plan in plans]
    assert {plan.status for plan in done} == {S.APPLIED}
    assert site.engine.most == 1
    ended = [plan.completed_at for plan in done if plan.completed_at is not None]
    assert ended == sorted(ended)
    assert site.engine.calls == ["preview", "apply"] * 5
    assert site.engine.things("dev") == {"queue": "5"}


async def test_secrets_are_read_from_the_vault_and_kept_nowhere(site: Site, tmp_path: Path) -> None:
    await site.api.app.vault.set("acme", "iac-database", "correct horse")
    place = StackDraft(project="proj-x", environment="dev", engine=Engine.PULUMI, program=PROGRAM, name="dev")
    draft = PlanDraft(secrets={"password": "database"})
    plan = await site.api.app.infrastructure_plans.provision(PAULA, place, draft, None)
    await site.api.drain()
    assert (await site.plan(plan)).status is S.APPLIED
    outputs = (await site.api.app.stacks.get(PAULA, plan.stack)).outputs
    assert outputs["password"] == "[secret]"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"correct horse" not in kept
    missing = PlanDraft(secrets={"password": "nothing"})
    failed = await site.api.app.infrastructure_plans.provision(PAULA, place, missing, None)
    assert failed.status is S.FAILED


async def test_the_same_request_gives_the_same_plan(site: Site) -> None:
    place = StackDraft(project="proj-x", environment="dev", engine=Engine.PULUMI, program=PROGRAM, name="dev")
    once = Inbox("test", "one")
    first = await site.api.app.infrastructure_plans.provision(PAULA, place, PlanDraft(), once)
    with pytest.raises(AlreadyDone):
        await site.api.app.infrastructure_plans.provision(PAULA, place, PlanDraft(), once)
    assert (await site.stack()).last_plan == first.id
