"""Every variant of the stack against the app's own code, and against the policy pack."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.policy.resource_rules import RESOURCE_RULES
from infra.policy.stack_rules import STACK_RULES
from infra.recording import Recording, record
from tests.infra.checks import CHECKS, Check, Functions
from tests.infra.pack import Pack
from tests.infra.variants import VARIANTS

every_variant = pytest.mark.parametrize("variant", VARIANTS)


@every_variant
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_stack_agrees_with_the_app(
    check: Check, variant: str, recordings: dict[str, Recording], functions: dict[str, Functions]
) -> None:
    assert list(check(recordings[variant], functions[variant])) == []


@every_variant
def test_the_stack_breaks_no_policy(pack: Pack, variant: str, recordings: dict[str, Recording]) -> None:
    assert pack.judge(recordings[variant]) == []


def test_every_rule_is_served_as_a_mandatory_policy(pack: Pack) -> None:
    assert pack.policies == RESOURCE_RULES.keys() | STACK_RULES.keys()


def test_the_program_asks_for_the_same_again(recordings: dict[str, Recording]) -> None:
    """A date of today, or a name made anew, would change something at every deployment."""
    with ThreadPoolExecutor(1) as apart:
        again = apart.submit(record, "dev").result()
    inputs = [{each.urn: each.inputs for each in run.resources} for run in (recordings["dev"], again)]
    assert inputs[0] == inputs[1]


@every_variant
def test_the_workflow_that_publishes_finds_what_it_asks_for(
    variant: str, recordings: dict[str, Recording]
) -> None:
    outputs = recordings[variant].outputs
    assert outputs["apiUrl"].startswith("https://")
    assert outputs["blobEndpoint"].startswith("https://stdata")
    assert outputs["functionApps"].keys() in ({"all"}, {"api", "worker"})
    assert ("deploy" in outputs["identities"]) is (variant == "everything")
