"""The ladder of environments, and the lane that lets one deployment in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.environments.errors import LaneTaken, UnknownEnvironment
from shared.domain.environments.lifecycle import (
    Ladder,
    enqueue,
    enter,
    first_lane,
    holds,
    leave,
    lock,
    stage_of,
    vacate,
)
from shared.domain.environments.model import Lane
from tests.support.promotions import LADDER, an_environment


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("dev", "dev"),
        ("staging", "staging"),
        ("prod", "prod"),
        ("production", "prod"),
        ("Production", "prod"),
    ],
)
def test_an_environment_is_found_by_name_and_then_by_stage(text: str, name: str) -> None:
    assert LADDER.resolve(text).name == name


def test_a_name_wins_over_a_stage() -> None:
    ladder = Ladder.of({"prod": 2, "production": 3})
    assert ladder.resolve("production").required_approvals == 3
    assert Ladder.of({"production": 3}).resolve("prod").name == "production"


def test_an_unknown_environment_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownEnvironment) as caught:
        LADDER.resolve("uat", field="targetEnvironment")
    (problem,) = caught.value.problems
    assert problem.field == "targetEnvironment"
    assert "dev, test, staging, prod" in problem.message


def test_the_order_of_the_table_is_the_order_of_promotion() -> None:
    assert [rung.previous for rung in LADDER.rungs] == [None, "dev", "test", "staging"]
    assert [rung.order for rung in LADDER.rungs] == [0, 1, 2, 3]
    following = LADDER.after("staging")
    assert following is not None
    assert following.name == "prod"
    assert LADDER.after("prod") is None
    first = LADDER.after(None)
    assert first is not None
    assert first.name == "dev"


@pytest.mark.parametrize("name", ["dev", "test", "staging", "prod"])
def test_production_takes_people(name: str) -> None:
    environment = an_environment(name)
    assert environment.human_required is (name == "prod")
    assert environment.is_production is (name == "prod")


def test_prod_and_production_are_one_stage() -> None:
    assert stage_of("production") == stage_of("PROD") == "prod"
    assert stage_of("uat") == "uat"


def a_lane() -> Lane:
    return first_lane(an_environment("dev"))


def test_a_taken_lane_lets_nobody_in() -> None:
    lane = lock(enqueue(enqueue(a_lane(), "a"), "b"), "a")
    with pytest.raises(LaneTaken):
        lock(lane, "b")
    assert lane.queue == ("b",)


def test_work_with_an_older_token_holds_nothing() -> None:
    lane = lock(enqueue(a_lane(), "a"), "a")
    assert holds(lane, "a", 1)
    assert not holds(lane, "b", 1)
    lane = lock(enqueue(leave(lane, "a"), "a"), "a")
    assert not holds(lane, "a", 1)
    assert holds(lane, "a", 2)


def test_a_release_comes_in_by_one_promotion_at_a_time() -> None:
    environment = an_environment()
    first = enter(None, environment, "r1", "a")
    assert enter(first, environment, "r1", "b").promotion == "a"
    assert vacate(first, "b").promotion == "a"
    assert enter(vacate(first, "a"), environment, "r1", "b").promotion == "b"


def test_queueing_twice_keeps_the_place() -> None:
    assert enqueue(enqueue(enqueue(a_lane(), "a"), "b"), "a").queue == ("a", "b")


def test_leaving_leaves_nothing_behind() -> None:
    lane = leave(enqueue(enqueue(a_lane(), "a"), "b"), "a")
    assert lane.queue == ("b",)
    assert leave(lock(lane, "b"), "a").lock == "b"


@given(st.lists(st.tuples(st.sampled_from(["enqueue", "start", "leave"]), st.sampled_from("abc"))))
def test_one_is_in_at_a_time_first_come_first_served_and_tokens_only_grow(
    moves: list[tuple[str, str]],
) -> None:
    lane, order, inside, token = a_lane(), list[str](), "", 0
    for move, name in moves:
        if move == "enqueue" and name != inside:
            order += [name] * (name not in order)
            lane = enqueue(lane, name)
        elif move == "start" and order and not inside:
            inside = order.pop(0)
            lane = lock(lane, lane.queue[0])
            assert lane.token == (token := token + 1)
        elif move == "leave":
            lane = leave(lane, name)
            order = [queued for queued in order if queued != name]
            inside = "" if inside == name else inside
        assert (lane.lock or "") == inside
        assert list(lane.queue) == order
