"""Every state machine of the core, every state, every verb: the table is what happens."""

import importlib
import pkgutil
from enum import StrEnum

import pytest

import shared.domain
from shared.domain.kernel.errors import IllegalTransition
from shared.domain.kernel.machine import Machine


def machines() -> list[Machine[StrEnum]]:
    """Every Machine that a module of the domain declares."""
    found: dict[int, Machine[StrEnum]] = {}
    for module in pkgutil.walk_packages(shared.domain.__path__, "shared.domain."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Machine):
                found[id(value)] = value
    return sorted(found.values(), key=lambda machine: machine.noun)


CASES = [
    pytest.param(machine, state, verb, id=f"{machine.noun}-{state}-{verb}")
    for machine in machines()
    for state in machine.states
    for verb in machine.moves
]


@pytest.mark.parametrize(("machine", "state", "verb"), CASES)
def test_a_verb_moves_as_the_table_says_or_is_refused(
    machine: Machine[StrEnum], state: StrEnum, verb: str
) -> None:
    sources, target = machine.moves[verb]
    if state in sources:
        assert machine.next(state, verb) is target
        assert verb in machine.allowed(state)
    else:
        with pytest.raises(IllegalTransition) as caught:
            machine.next(state, verb)
        assert caught.value.facts["allowed"] == list(machine.allowed(state))


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.noun)
def test_every_state_can_be_reached_from_the_start_and_some_state_ends_it(machine: Machine[StrEnum]) -> None:
    reached = set(machine.initial)
    for _ in machine.states:
        reached |= {to for sources, to in machine.moves.values() if reached & set(sources)}
    assert reached == set(machine.states)


def test_the_machines_of_every_context_are_found() -> None:
    nouns = {machine.noun for machine in machines()}
    assert {"repository", "branch", "pull request"} <= nouns
