"""How a deployment moves, exhaustively."""

import pytest

from shared.domain.deployments import lifecycle
from shared.domain.deployments.lifecycle import MACHINE
from shared.domain.deployments.model import DeploymentStatus, DeploymentStep
from shared.domain.kernel.errors import IllegalTransition
from tests.support.app import START
from tests.support.promotions import a_deployment

S = DeploymentStatus

MOVES = {
    (S.PENDING, "run"): S.RUNNING,
    (S.PENDING, "cancel"): S.CANCELLED,
    (S.RUNNING, "pause"): S.PAUSED,
    (S.RUNNING, "succeed"): S.SUCCEEDED,
    (S.RUNNING, "succeed_partially"): S.PARTIALLY_SUCCEEDED,
    (S.RUNNING, "fail"): S.FAILED,
    (S.RUNNING, "cancel"): S.CANCELLED,
    (S.RUNNING, "roll_back"): S.ROLLING_BACK,
    (S.PAUSED, "resume"): S.RUNNING,
    (S.PAUSED, "cancel"): S.CANCELLED,
    (S.ROLLING_BACK, "finish_rollback"): S.ROLLED_BACK,
    (S.ROLLING_BACK, "fail_rollback"): S.ROLLBACK_FAILED,
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("verb", MACHINE.moves)
def test_a_deployment_moves_by_this_table_only(state: DeploymentStatus, verb: str) -> None:
    if (state, verb) in MOVES:
        assert MACHINE.next(state, verb) is MOVES[state, verb]
    else:
        with pytest.raises(IllegalTransition):
            MACHINE.next(state, verb)


def test_a_deployment_starts_running_and_its_worker_is_told_the_token() -> None:
    deployment = a_deployment()
    assert deployment.status is S.RUNNING
    assert deployment.token == 1
    assert not lifecycle.is_over(deployment)


def test_a_failure_is_decided_before_it_is_final() -> None:
    condemned = lifecycle.condemn(a_deployment(), "no health", START).entity
    assert (condemned.status, condemned.cause) == (S.RUNNING, "no health")
    failed = lifecycle.fail(condemned, START).entity
    assert (failed.status, failed.cause) == (S.FAILED, "no health")
    assert lifecycle.is_over(failed)
    with pytest.raises(IllegalTransition):
        lifecycle.condemn(failed, "again", START)


def test_a_deployment_that_succeeded_can_be_superseded() -> None:
    done = lifecycle.succeed(a_deployment(), "http://127.0.0.1:1", START).entity
    assert (done.status, done.step, done.url) == (S.SUCCEEDED, DeploymentStep.PROMOTING, "http://127.0.0.1:1")
    assert lifecycle.supersede(done, "next", START).entity.superseded_by == "next"
