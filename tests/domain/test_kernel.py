"""The kernel: machines, ids, canonical JSON, permissions."""

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.canonical import canonical_json, digest
from shared.domain.kernel.errors import IllegalTransition
from shared.domain.kernel.ids import child_id, dashed, parse_id, root_id, root_of
from shared.domain.kernel.machine import Machine
from shared.domain.kernel.policy import ROLE_GRANTS, grants_of, is_granted

text = st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), min_size=1, max_size=40)


class Light(StrEnum):
    RED = "red"
    GREEN = "green"


class TestMachine:
    machine = Machine("light", Light, initial=[Light.RED], moves={"go": ((Light.RED,), Light.GREEN)})

    def test_a_move_leads_where_the_table_says(self) -> None:
        assert self.machine.next(Light.RED, "go") is Light.GREEN

    def test_a_wrong_move_says_what_is_allowed_instead(self) -> None:
        with pytest.raises(IllegalTransition, match="cannot go while it is green; nothing more") as caught:
            self.machine.next(Light.GREEN, "go")
        assert caught.value.facts == {"status": "green", "allowed": []}

    def test_states_that_nothing_leaves_are_terminal(self) -> None:
        assert self.machine.terminal == {Light.GREEN}
        assert self.machine.allowed(Light.RED) == ("go",)

    def test_a_state_that_no_move_reaches_fails_at_import(self) -> None:
        with pytest.raises(TypeError, match="no move reaches green"):
            Machine("light", Light, initial=[Light.RED], moves={"stay": ((Light.RED,), Light.RED)})

    def test_a_verb_without_a_from_state_fails_at_import(self) -> None:
        with pytest.raises(TypeError, match="go can start from no state"):
            Machine("light", Light, initial=[Light.RED, Light.GREEN], moves={"go": ((), Light.GREEN)})


class TestIds:
    @given(text, text, text)
    def test_a_child_lives_in_the_partition_of_its_root(self, tenant: str, name: str, part: str) -> None:
        root = root_id("repository", tenant, name)
        child = child_id(root, "pull-request", part)
        grandchild = child_id(child, "vote", part)
        assert (
            root_of("repository", child) == root_of("repository", root) == root_of("repository", grandchild)
        )
        assert len({root, child, grandchild}) == 3
        assert child[12] == "8", "UUID version 8"
        assert child[16] in "89ab", "the RFC 9562 variant"

    @given(text, text)
    def test_the_same_parts_give_the_same_id_and_other_tenants_another(self, name: str, part: str) -> None:
        assert root_id("repository", "acme", name) == root_id("repository", "acme", name)
        assert root_of("repository", root_id("repository", "acme", name)) != root_of(
            "repository", root_id("repository", "rival", name)
        )
        root = root_id("repository", "acme", name)
        assert child_id(root, "branch", part) == child_id(root, "branch", part) != child_id(root, "tag", part)

    def test_parts_do_not_run_into_each_other(self) -> None:
        assert root_id("component", "acme", "a", "bc") != root_id("component", "acme", "ab", "c")

    @pytest.mark.parametrize("form", ["rel-{0}", "{0}", "{1}", "rel-{1}"])
    def test_every_written_form_is_read(self, form: str) -> None:
        inside = root_id("component", "acme", "x")
        assert parse_id(form.format(inside, dashed(inside)), "rel") == inside

    @pytest.mark.parametrize(
        "text", ["", "rel-", "rel-7a1c", "repo-" + "a" * 32, "A" * 32, "g" * 32, "a" * 33, "../../etc/passwd"]
    )
    def test_other_texts_are_no_ids(self, text: str) -> None:
        assert parse_id(text, "rel") is None


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'.encode()
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    ("scope", "grants", "granted"),
    [
        ("devops.releases.approve", {"devops.releases.approve"}, True),
        ("devops.releases.approve", {"devops.releases.plan"}, False),
        ("devops.releases.approve", {"devops.releases.*"}, True),
        ("devops.releases.approve", {"devops.*"}, True),
        ("devops.releases.approve", {"devops.rel*"}, False),
        ("devops.releases.read", {"*.read"}, True),
        ("devops.releases.write", {"*.read"}, False),
        ("devops.releases.write", {"*"}, True),
        ("devops.releases.write", set(), False),
    ],
)
def test_a_scope_is_granted_by_name_area_or_verb(scope: str, grants: set[str], granted: bool) -> None:
    assert is_granted(scope, frozenset(grants)) is granted


def test_a_planner_role_cannot_approve_and_unknown_roles_grant_nothing() -> None:
    assert not is_granted("devops.releases.approve", grants_of([], ["developer"]))
    assert is_granted("devops.releases.approve", grants_of([], ["approver"]))
    assert grants_of(["a.b"], ["wizard"]) == {"a.b"}
    assert all(is_granted("devops.anything.read", grants_of([], [role])) for role in ROLE_GRANTS)


def test_whoever_acts_for_somebody_stands_for_both() -> None:
    actor = Actor("agent:Planner", ActorKind.AGENT, "acme", on_behalf_of="user:ann")
    assert actor.principals == {"agent:Planner", "user:ann"}
