"""What people read about the infrastructure, against the data that it is made from."""

import pytest

from infra.access import COSMOS_ROLES, GRANTS, ROLES, as_table
from infra.costs import floor
from infra.policy.resource_rules import RESOURCE_RULES
from infra.policy.stack_rules import STACK_RULES
from infra.recording import Recording
from infra.settings import keys
from shared.adapters.azure import cosmos_retry, keyvault
from tests.support.host import ROOT

PAGE = (ROOT / "docs" / "infrastructure.md").read_text(encoding="utf-8")


def test_the_page_shows_the_table_of_access_as_it_is() -> None:
    assert as_table() in PAGE


@pytest.mark.parametrize("name", [*RESOURCE_RULES, *STACK_RULES])
def test_the_page_says_what_each_policy_holds(name: str) -> None:
    rule = {**RESOURCE_RULES, **STACK_RULES}[name]
    assert f"| `{name}` | {' '.join((rule.__doc__ or '').split())} |" in PAGE


def test_the_page_names_only_settings_that_there_are() -> None:
    named = {part.partition("`")[0] for part in PAGE.split("`slipway:")[1:]}
    assert named <= keys()


@pytest.mark.parametrize(("stack", "told"), [("dev", 15), ("prod", 1200)])
def test_the_page_tells_roughly_what_an_idle_stack_costs(
    stack: str, told: int, recordings: dict[str, Recording]
) -> None:
    assert f"about {told:,} USD" in PAGE
    assert sum(line.monthly for line in floor(recordings[stack])) == pytest.approx(told, rel=0.1)


def test_every_role_of_a_grant_is_known_and_every_known_role_is_granted() -> None:
    assert {grant.role for grant in GRANTS} == ROLES.keys() | COSMOS_ROLES.keys()


def test_a_grant_is_made_once() -> None:
    rows = [(grant.who, grant.role, grant.scope) for grant in GRANTS]
    assert len(rows) == len(set(rows))


def test_the_app_has_the_roles_that_its_adapters_ask_for() -> None:
    """What an adapter tells people to grant is what the table grants."""
    granted = {grant.role for grant in GRANTS if grant.who == "app"}
    assert {cosmos_retry.ROLE, keyvault.ROLE} <= granted
