"""Whether the checks and policies would notice: every fault here is made on purpose, and must be named."""

import pytest

from infra.policy.resource_rules import RESOURCE_RULES
from infra.policy.stack_rules import STACK_RULES
from infra.recording import Recording
from tests.infra.checks import CHECKS, Functions
from tests.infra.faults import FAULTS, Seeded
from tests.infra.pack import Pack


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_seeded_fault_is_named(
    fault: Seeded, pack: Pack, recordings: dict[str, Recording], functions: dict[str, Functions]
) -> None:
    broken = fault.make(recordings[fault.variant])
    named = {violation.policy for violation in pack.judge(broken)}
    named |= {check.__name__ for check in CHECKS if list(check(broken, functions[fault.variant]))}
    assert fault.caught_by in named


def test_every_policy_has_a_fault_that_it_must_name() -> None:
    """A policy that never fired may be one that never can."""
    assert RESOURCE_RULES.keys() | STACK_RULES.keys() <= {fault.caught_by for fault in FAULTS}


def test_every_check_has_a_fault_that_it_must_name() -> None:
    named = {fault.caught_by for fault in FAULTS}
    assert [check.__name__ for check in CHECKS if check.__name__ not in named] == []
