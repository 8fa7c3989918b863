"""Claims to an Actor: who acts, for whom, in which tenant, with which grants."""

from typing import Any

import pytest

from functions.http.caller import actor_from, bearer_token
from functions.http.errors import TokenMissing
from shared.domain.kernel.actor import ActorKind
from shared.ports.tokens import TokenRefused

ADA: dict[str, Any] = {"sub": "ada", "tenantId": "connectsoft"}


@pytest.mark.parametrize(
    "header", ["Bearer abc.d-e_f~+/==", "bearer abc.d-e_f~+/==", "BEARER  abc.d-e_f~+/=="]
)
def test_a_bearer_token_is_read_whatever_the_case_of_its_scheme(header: str) -> None:
    assert bearer_token(header) == "abc.d-e_f~+/=="


@pytest.mark.parametrize(
    "header",
    [
        "hunter2",
        "Bearer",
        "Bearer ",
        "Basic hunter2",
        "Bearer hunter2 x",
        "Bearer hunter2,Bearer hunter3",
        "Bearer hunter2 ",
        " Bearer hunter2",
        "Bearerhunter2",
    ],
)
def test_anything_else_is_refused_without_being_quoted(header: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        bearer_token(header)
    assert "hunter" not in refused.value.message


@pytest.mark.parametrize("header", [None, ""])
def test_no_header_is_a_missing_token(header: str | None) -> None:
    with pytest.raises(TokenMissing):
        bearer_token(header)


@pytest.mark.parametrize(
    "claims",
    [
        {"tenantId": "connectsoft", "tenant_id": "other"},
        {"tenant_id": "connectsoft", "org": "other"},
        {"org": "connectsoft"},
    ],
)
def test_the_tenant_is_the_first_of_three_claims(claims: dict[str, str]) -> None:
    assert actor_from({"sub": "ada", **claims}, "org").tenant == "connectsoft"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"tenantId": ["connectsoft"]},
        {"tenantId": ["connectsoft"], "tenant_id": "connectsoft"},
        {"tenantId": ""},
        {"tenantId": "Connect Soft"},
        {"tenantId": "-x"},
        {"tenantId": "a" * 64},
        {"tenantId": "a\n"},
        {"tenantId": 7},
        {"org": "connectsoft"},
    ],
)
def test_a_token_without_exactly_one_tenant_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused, match="tenant"):
        actor_from({"sub": "ada", **claims})


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({}, ActorKind.HUMAN),
        ({"kind": "agent"}, ActorKind.AGENT),
        ({"actor_kind": "service"}, ActorKind.SERVICE),
        ({"sub": "agent:Builder"}, ActorKind.AGENT),
        ({"sub": "service:relay"}, ActorKind.SERVICE),
        ({"sub": "agent:Builder", "kind": "service"}, ActorKind.SERVICE),
        ({"idtyp": "app"}, ActorKind.SERVICE),
        ({"client_id": "ada"}, ActorKind.SERVICE),
        ({"azp": "ada"}, ActorKind.SERVICE),
        ({"client_id": "studio", "azp": "studio"}, ActorKind.HUMAN),
        ({"kind": "system"}, ActorKind.SERVICE),
        ({"kind": ["agent"]}, ActorKind.SERVICE),
        ({"sub": "Agent:Builder"}, ActorKind.AGENT),
        ({"sub": "agent:Builder", "kind": "human"}, ActorKind.AGENT),
        ({"sub": "a-delegate-for", "act": {"sub": "8f3a-app"}}, ActorKind.SERVICE),
    ],
)
def test_the_kind_of_an_actor(claims: dict[str, Any], kind: ActorKind) -> None:
    assert actor_from({**ADA, **claims}).kind is kind


def test_a_delegated_token_acts_as_its_actor_for_its_subject() -> None:
    actor = actor_from({**ADA, "kind": "human", "act": {"sub": "agent:ReleaseManager"}})
    assert (actor.subject, actor.on_behalf_of, actor.kind) == ("agent:ReleaseManager", "ada", ActorKind.AGENT)
    assert actor.principals == {"ada", "agent:ReleaseManager"}


def test_a_delegating_human_does_not_lend_its_kind() -> None:
    assert (
        actor_from({**ADA, "kind": "human", "act": {"sub": "bot", "kind": "agent"}}).kind is ActorKind.AGENT
    )
    assert actor_from({**ADA, "act": {"sub": "bot"}, "client_id": "bot"}).kind is ActorKind.SERVICE


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "system:pipelines"},
        {"act": "bot"},
        {"act": {}},
        {"act": {"sub": "system:x"}},
        {"sub": None, "act": {"sub": "bot"}},
    ],
)
def test_a_token_that_does_not_say_who_acts_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        actor_from({**ADA, **claims})


def test_user_id_stands_in_for_sub() -> None:
    assert actor_from({"user_id": "ada", "tenant_id": "connectsoft"}).subject == "ada"


@pytest.mark.parametrize("scope", ["a.read b.write", ["a.read", "b.write"]])
def test_grants_come_from_scope_permissions_and_roles(scope: object) -> None:
    actor = actor_from(
        {**ADA, "scope": scope, "permissions": ["c.run", 7], "roles": ["approver"], "groups": ["ops", "dev"]}
    )
    assert actor.grants >= {"a.read", "b.write", "c.run", "devops.releases.approve"}
    assert (actor.roles, actor.groups) == (("approver",), ("ops", "dev"))


def test_an_unknown_role_and_a_strange_claim_grant_nothing() -> None:
    assert actor_from({**ADA, "scope": 7, "permissions": {"a": 1}, "roles": ["wizard"]}).grants == frozenset()
