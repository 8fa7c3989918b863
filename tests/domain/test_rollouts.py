"""The steps of every strategy, and how looking at them comes to a verdict."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.deployments.rollout import (
    ProgressiveRollout,
    RolloutStatus,
    Step,
    begin,
    looked,
    move_on,
    shifted,
    steps_of,
    verdict,
)
from shared.domain.kernel.errors import Invalid
from shared.domain.releases.strategies import (
    CanaryStep,
    Probe,
    RolloutSettings,
    RolloutWish,
    Strategy,
    check_settings,
    wished,
)
from tests.support.app import START
from tests.support.promotions import a_deployment


def a_rollout(probe: Probe) -> ProgressiveRollout:
    return shifted(begin(a_deployment(), RolloutSettings(probe=probe), START, first=True).entity, START)


@pytest.mark.parametrize("strategy", Strategy)
def test_where_nothing_ran_there_is_one_step(strategy: Strategy) -> None:
    assert steps_of(strategy, RolloutSettings(instances=3), first=True) == (
        Step(instances=3, others=0, weight=100),
    )


def test_a_canary_takes_its_weights_and_then_everything() -> None:
    steps = steps_of(Strategy.CANARY, RolloutSettings(instances=4), first=False)
    assert [(step.weight, step.instances, step.others) for step in steps] == [
        (10, 1, 4),
        (50, 2, 4),
        (100, 4, 0),
    ]


def test_a_switch_keeps_the_old_side() -> None:
    steps = steps_of(Strategy.BLUE_GREEN, RolloutSettings(instances=2), first=False)
    assert [(step.weight, step.instances, step.others) for step in steps] == [(0, 2, 2), (100, 2, 2)]


@given(
    instances=st.integers(1, 20),
    surge=st.integers(0, 5),
    unavailable=st.integers(0, 5),
)
def test_a_rolling_update_never_has_more_or_fewer_than_it_may(
    instances: int, surge: int, unavailable: int
) -> None:
    if surge + unavailable == 0:
        return
    settings = RolloutSettings(instances=instances, max_surge=surge, max_unavailable=unavailable)
    steps = steps_of(Strategy.ROLLING_UPDATE, settings, first=False)
    new, old = 0, instances
    for step in steps:
        stopped_first = min(step.unavailable, old - step.others)
        assert new + old - stopped_first >= instances - unavailable
        assert step.instances + old - stopped_first <= instances + surge
        new, old = step.instances, step.others
    assert (new, old, steps[-1].weight) == (instances, 0, 100)


def test_a_step_fails_after_so_many_sick_looks_in_a_row() -> None:
    rollout = a_rollout(Probe(successes=2, failures=2))
    for wrong in ("ill", "", "ill"):
        rollout = looked(rollout, wrong, START)
        assert verdict(rollout) is None
        assert move_on(rollout, START).entity.status is RolloutStatus.VERIFYING
    judged = verdict(looked(rollout, "very ill", START))
    assert judged is not None
    assert (judged.healthy, judged.reason) == (False, "very ill")


def test_a_step_fails_when_its_time_is_over() -> None:
    rollout = a_rollout(Probe(successes=5, failures=5, timeout_seconds=60))
    judged = verdict(looked(rollout, "", START + timedelta(seconds=60)))
    assert judged is not None
    assert not judged.healthy
    assert "within 60 seconds" in judged.reason


def test_settings_that_cannot_be_carried_out_are_all_named() -> None:
    falling = (CanaryStep(weight=50), CanaryStep(weight=10))
    bad = RolloutSettings(max_surge=0, max_unavailable=0, canary=falling)
    with pytest.raises(Invalid) as caught:
        check_settings(bad, field="rollout")
    assert [problem.field for problem in caught.value.problems] == ["rollout.canary", "rollout.maxSurge"]


def test_a_wish_changes_what_it_names() -> None:
    settings = RolloutSettings(instances=2)
    assert wished(settings, None) == settings
    assert wished(settings, RolloutWish(instances=5)) == replace(settings, instances=5)
