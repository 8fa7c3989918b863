"""Infrastructure plans as pure rules: who has to be asked, whose turn it is, and what is told of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.approvals.errors import CommentRequired, HumanRequired, SelfApproval
from shared.domain.approvals.model import Decision
from shared.domain.infrastructure import lifecycle, turns
from shared.domain.infrastructure.errors import (
    AnotherDigest,
    NotAwaitingApproval,
    NothingToDestroy,
    PlanNotCancellable,
    StackElsewhere,
    StackQueueFull,
)
from shared.domain.infrastructure.events import work_ordered
from shared.domain.infrastructure.lifecycle import PlanDraft, StackDraft
from shared.domain.infrastructure.model import (
    Counts,
    Engine,
    InfrastructurePlan,
    Operation,
    Outcome,
    PlanStatus,
    Preview,
    Stack,
    StackStatus,
    plan_id,
    stack_id,
)
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.ids import root_of
from tests.support.app import START
from tests.support.promotions import ANN, BOB, MANAGER, PAULA, PLANNER, TENANT, an_environment

S = PlanStatus
PROD, DEV = an_environment("prod"), an_environment("dev")
DRAFT = StackDraft(
    project="proj-x", environment="prod", engine=Engine.PULUMI, program="Acme.Infra", name="shop"
)
DIGEST = f"sha256:{'a' * 64}"


def a_stack(**changes: Any) -> Stack:
    return replace(lifecycle.declare(DRAFT, PLANNER, START).entity, **changes)


def a_plan(operation: Operation = Operation.UP, **changes: Any) -> InfrastructurePlan:
    stack = a_stack(status=StackStatus.ACTIVE)
    draft = PlanDraft(operation=operation)
    made = lifecycle.request(stack, plan_id(stack.id, "1"), draft, PLANNER, "trace-1", START).entity
    return replace(made, **changes)


def a_preview(*obstacles: str, **counts: int) -> Preview:
    return Preview(
        digest=DIGEST,
        engine_mode="local-simulation",
        counts=Counts(**counts),
        changes="infrastructure/x.json",
        obstacles=obstacles,
    )


def waiting() -> InfrastructurePlan:
    previewing = a_plan(status=S.PREVIEWING)
    return lifecycle.preview(previewing, a_preview(delete=1), PROD, START).entity


@pytest.mark.parametrize(
    ("operation", "environment", "counts", "needed"),
    [
        (Operation.UP, PROD, {"create": 7, "update": 2}, False),
        (Operation.UP, PROD, {"delete": 1}, True),
        (Operation.UP, PROD, {"replace": 1}, True),
        (Operation.UP, PROD, {"discard": 1, "read": 2, "same": 3}, False),
        (Operation.UP, DEV, {"delete": 1, "replace": 1}, False),
        (Operation.DESTROY, DEV, {"delete": 1}, True),
        (Operation.DESTROY, PROD, {}, True),
    ],
)
def test_who_destroys_or_in_production_deletes_is_not_alone_with_it(
    operation: Operation, environment: Any, counts: dict[str, int], needed: bool
) -> None:
    plan = a_plan(operation, status=S.PREVIEWING)
    seen = lifecycle.preview(plan, a_preview(**counts), environment, START).entity
    assert (seen.needs_approval, seen.status) == (needed, S.AWAITING_APPROVAL if needed else S.PREVIEWED)


def test_what_has_an_obstacle_is_not_carried_out_whoever_approves() -> None:
    change = lifecycle.preview(a_plan(status=S.PREVIEWING), a_preview("No.", "Never."), DEV, START)
    assert (change.entity.status, change.entity.reason) == (S.FAILED, "plan_blocked")
    assert change.entity.cause == "The plan may not be carried out: No. (and 1 more)"
    assert [event.type for event in change.events] == ["InfrastructureProvisionFailed"]
    assert (change.entity.needs_approval, lifecycle.first_status(change.entity)) == (None, S.FAILED)


@pytest.mark.parametrize(
    "requester", [PLANNER, PAULA, Actor("x", ActorKind.AGENT, TENANT, (), (), "user:paula")]
)
def test_a_requester_may_not_decide_nor_may_who_acts_for_them(requester: Actor) -> None:
    with pytest.raises(SelfApproval):
        lifecycle.decide(waiting(), DEV, requester, Decision.APPROVED, comment="", digest=None, at=START)


def test_production_asks_a_person() -> None:
    with pytest.raises(HumanRequired):
        lifecycle.decide(waiting(), PROD, MANAGER, Decision.APPROVED, comment="", digest=None, at=START)
    approved = lifecycle.decide(
        waiting(), PROD, BOB, Decision.APPROVED, comment="ok", digest=DIGEST, at=START
    ).entity
    assert approved.status is S.PREVIEWED
    assert approved.vote is not None
    assert (approved.vote.approver, approved.vote.digest) == ("user:bob", DIGEST)


def test_an_approver_who_saw_another_plan_is_told() -> None:
    other = f"sha256:{'b' * 64}"
    with pytest.raises(AnotherDigest) as refused:
        lifecycle.decide(waiting(), PROD, BOB, Decision.APPROVED, comment="", digest=other, at=START)
    assert refused.value.facts["planDigest"] == DIGEST


def test_a_rejection_says_why() -> None:
    with pytest.raises(CommentRequired):
        lifecycle.decide(waiting(), PROD, BOB, Decision.REJECTED, comment=" ", digest=None, at=START)
    rejected = lifecycle.decide(waiting(), PROD, BOB, Decision.REJECTED, comment="no", digest=None, at=START)
    assert rejected.entity.status is S.REJECTED


@pytest.mark.parametrize("status", [each for each in S if each is not S.AWAITING_APPROVAL])
def test_only_a_plan_that_waits_for_it_takes_a_decision(status: PlanStatus) -> None:
    plan = a_plan(status=status, digest=DIGEST)
    with pytest.raises(NotAwaitingApproval):
        lifecycle.decide(plan, DEV, ANN, Decision.APPROVED, comment="", digest=None, at=START)


@pytest.mark.parametrize("status", S)
def test_cancel_wins_until_it_has_ended(status: PlanStatus) -> None:
    plan = a_plan(Operation.DESTROY, status=status)
    over = {S.APPLIED, S.DESTROYED, S.REJECTED, S.FAILED, S.CANCELLED}
    if status in over:
        with pytest.raises(PlanNotCancellable):
            lifecycle.cancel(plan, BOB, "", START)
    else:
        cancelled = lifecycle.cancel(plan, BOB, "wrong one", START).entity
        assert (cancelled.status, cancelled.cause) == (S.CANCELLED, "Cancelled by user:bob: wrong one")


def test_what_is_being_destroyed_is_cancelled_by_its_destruction_only() -> None:
    with pytest.raises(PlanNotCancellable, match="the plan that destroys it"):
        lifecycle.cancel(a_plan(status=S.DESTROYING), BOB, "", START)


@pytest.mark.parametrize("draft", [replace(DRAFT, environment="dev"), replace(DRAFT, project="proj-y")])
def test_a_stack_never_moves(draft: StackDraft) -> None:
    lifecycle.check_place(a_stack(), DRAFT)
    with pytest.raises(StackElsewhere):
        lifecycle.check_place(a_stack(), draft)


@pytest.mark.parametrize("status", [StackStatus.NEW, StackStatus.DESTROYED])
def test_nothing_is_destroyed_where_nothing_is(status: StackStatus) -> None:
    with pytest.raises(NothingToDestroy):
        lifecycle.request(
            a_stack(status=status), "p", PlanDraft(operation=Operation.DESTROY), ANN, "trace-1", START
        )


def test_one_plan_at_a_time_in_the_order_of_asking() -> None:
    stack = a_stack()
    for plan in ("a", "b", "a"):
        stack = turns.enqueue(stack, plan, START)
    assert stack.queue == ("a", "b")
    stack = turns.let_in(stack, START)
    assert (stack.lock, stack.queue, stack.token) == ("a", ("b",), 1)
    assert turns.holds(stack, "a", 1)
    assert not turns.holds(stack, "a", 0)
    assert not turns.holds(stack, "b", 1)
    assert turns.enqueue(stack, "a", START) == stack
    stack = turns.let_in(turns.leave(stack, "a", START), START)
    assert (stack.lock, stack.token) == ("b", 2)
    assert turns.leave(stack, "c", START) is stack


def test_a_queue_has_an_end() -> None:
    stack = a_stack(queue=tuple(str(number) for number in range(turns.MOST_QUEUED)))
    with pytest.raises(StackQueueFull):
        turns.enqueue(stack, "one more", START)


def test_a_retry_hears_what_its_first_try_was_told() -> None:
    cleared = lifecycle.preview(a_plan(status=S.PREVIEWING), a_preview(create=1), DEV, START).entity
    for status in (S.APPLYING, S.APPLIED, S.FAILED, S.CANCELLED):
        assert lifecycle.first_status(replace(cleared, status=status)) is S.APPLYING
    for status in (S.APPLYING, S.REJECTED):
        assert lifecycle.first_status(replace(waiting(), status=status)) is S.AWAITING_APPROVAL
    assert lifecycle.first_status(a_plan()) is S.REQUESTED


def test_whoever_does_the_work_at_once_needs_no_command_but_its_reminders() -> None:
    plan = a_plan()
    ordered = [(event.type, event.not_before) for event in work_ordered(plan, 3, START)]
    at_hand = [(event.type, event.not_before) for event in work_ordered(plan, 3, START, at_hand=True)]
    assert ordered[0] == ("ProvisionInfrastructure", None)
    assert at_hand == ordered[1:]
    assert at_hand[0] == ("ProvisionInfrastructureAgain", START + timedelta(seconds=20))


def test_a_stack_tells_what_is_there() -> None:
    done = lifecycle.complete(
        a_plan(status=S.APPLYING, digest=DIGEST), Outcome(counts=Counts(create=1), outputs="o.json"), START
    )
    assert [event.type for event in done.events] == ["InfrastructureProvisioned"]
    stack = lifecycle.take_effect(a_stack(), done.entity, "o.json", START).entity
    assert (stack.status, stack.current, stack.digest) == (StackStatus.ACTIVE, done.entity.id, DIGEST)
    gone = lifecycle.take_effect(stack, a_plan(Operation.DESTROY), None, START).entity
    assert (gone.status, gone.current, gone.outputs) == (StackStatus.DESTROYED, None, None)


def test_a_plan_lives_in_its_stacks_root_and_tenants_share_none() -> None:
    stack = stack_id(TENANT, "Acme.Infra", "shop")
    assert root_of("stack", plan_id(stack, "seed")) == root_of("stack", stack)
    assert stack != stack_id("rival", "Acme.Infra", "shop")
