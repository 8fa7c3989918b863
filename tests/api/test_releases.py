"""Releases, promotions and reconciliation as callers see them, on the whole App."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from functions.api.devops.models_releases import next_step, status_word
from shared.domain.promotions.model import PromotionStatus
from tests.support.api import World, a_world, an_api
from tests.support.promotions import a_promotion

PLANNER = "acme/agent+Planner/admin"
MANAGER = "acme/agent+ReleaseManager/approver"
ANN, BOB = "acme/user+ann/admin", "acme/user+bob/approver"
APPROVE = {"tenantId": "acme", "approver": "agent:ReleaseManager", "decision": "Approved", "comment": "ok"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A release planned into staging by the planner, and deployed in dev."""
    api = an_api(tmp_path)
    yield await a_world(api)
    await api.app.aclose()


async def deploy(world: World, environment: str) -> Any:
    hop = {"releaseId": world.ids["releaseId"], "toEnvironment": environment}
    opened = await world.api.expect(201, "POST", "/promotions", hop)
    await world.api.drain()
    return await world.api.expect(200, "GET", f"/promotions/{opened['promotionId']}")


async def test_a_release_is_planned_as_the_contract_shows(world: World) -> None:
    release = await world.api.expect(200, "GET", f"/releases/{world.ids['releaseId']}")
    assert (release["version"], release["number"], release["status"]) == ("1.0.0", 1, "Planned")
    assert release["nextStep"] == "AwaitApproval"
    plan = {
        "tenantId": "acme",
        "projectId": "proj-x",
        "moduleId": "module-x",
        "buildResultId": release["source"]["buildResultId"],
        "targetEnvironment": "production",
        "strategy": "RollingUpdate",
    }
    answer = await world.api.send("POST", "/releases", plan, token=PLANNER)
    assert answer.status == 201
    assert answer.body == {
        "releaseId": world.ids["releaseId"],
        "version": "1.0.0",
        "status": "Planned",
        "requiredApprovals": 2,
        "number": 1,
        "promotionId": answer.body["promotionId"],
        "targetEnvironment": "prod",
        "releaseDigest": release["releaseDigest"],
    }
    assert answer.headers["Location"] == f"/releases/{world.ids['releaseId']}"
    again = await world.api.expect(409, "POST", "/releases", plan, token=PLANNER)
    assert again["code"] == "already_planned"


async def test_the_planner_may_not_approve_and_another_agent_may(world: World) -> None:
    path = f"/releases/{world.ids['releaseId']}/approve"
    mine = {"decision": "Approved", "comment": "mine"}
    assert (await world.api.expect(403, "POST", path, mine, token=PLANNER))["code"] == "self_approval"
    assert (await world.api.expect(403, "POST", path, APPROVE, token=BOB))["code"] == "approver_mismatch"
    rejection = {"decision": "Rejected"}
    assert (await world.api.expect(400, "POST", path, rejection, token=BOB))["code"] == "comment_required"
    approved = await world.api.expect(200, "POST", path, APPROVE, token=MANAGER)
    assert approved["releaseId"] == world.ids["releaseId"]
    assert approved["approvalId"].startswith("appr-")
    assert (approved["status"], approved["nextStep"]) == ("Approved", "Promote")
    assert (await world.api.expect(409, "POST", path, APPROVE, token=MANAGER))["code"] == "already_voted"
    listed = await world.api.expect(200, "GET", f"/releases/{world.ids['releaseId']}/approvals")
    assert [row["approver"] for row in listed["items"]] == ["agent:ReleaseManager"]


async def test_an_approved_release_is_deployed_when_it_arrives(world: World) -> None:
    await world.api.expect(200, "POST", f"/releases/{world.ids['releaseId']}/approve", APPROVE, token=MANAGER)
    skipped = {"releaseId": world.ids["releaseId"], "toEnvironment": "prod"}
    refused = await world.api.expect(422, "POST", "/promotions", skipped)
    assert refused["code"] == "environment_order"
    test = await deploy(world, "test")
    assert (test["status"], test["fromEnvironment"], test["toEnvironment"]) == ("Deployed", "dev", "test")
    assert {row["outcome"] for row in test["gates"]} == {"Passed"}
    release = await world.api.expect(200, "GET", f"/releases/{world.ids['releaseId']}")
    assert release["status"] == "Deployed"
    rows = (await world.api.expect(200, "GET", "/environments"))["items"]
    running = {row["environment"]["name"]: [at["version"] for at in row["current"]] for row in rows}
    assert running == {"dev": ["1.0.0"], "test": ["1.0.0"], "staging": ["1.0.0"], "prod": []}


async def test_the_same_key_answers_the_same_whatever_has_happened_since(world: World) -> None:
    body = {"releaseId": world.ids["releaseId"]}
    first = await world.api.send("POST", "/promotions", body, idempotency_key="hop-1")
    await world.api.drain()
    second = await world.api.send("POST", "/promotions", body, idempotency_key="hop-1")
    assert (first.status, second.status) == (201, 201)
    assert first.raw == second.raw
    assert second.headers["Idempotent-Replayed"] == "true"
    path = f"/releases/{world.ids['releaseId']}/approve"
    votes = [
        await world.api.send("POST", path, APPROVE, token=MANAGER, idempotency_key="vote-1") for _ in range(2)
    ]
    assert votes[0].raw == votes[1].raw
    await world.api.drain()
    late = await world.api.send("POST", path, APPROVE, token=MANAGER, idempotency_key="vote-1")
    assert late.raw == votes[0].raw


async def test_a_planned_release_is_cancelled(world: World) -> None:
    path = f"/releases/{world.ids['releaseId']}/cancel"
    cancelled = await world.api.expect(200, "POST", path, {"reason": "wrong build"})
    assert (cancelled["status"], cancelled["toEnvironment"]) == ("Cancelled", "staging")
    assert "nextStep" not in cancelled
    assert (await world.api.expect(409, "POST", path, {}))["code"] == "no_open_promotion"


async def test_manifests_and_sync_states_are_shown(world: World) -> None:
    body = {"releaseId": world.ids["releaseId"], "environment": "dev"}
    manifest = await world.api.expect(201, "POST", "/deployment-manifests", body)
    assert manifest["gitPath"] == "dev/proj-x/module-x/release.yaml"
    assert "content" not in manifest
    shown = await world.api.expect(200, "GET", f"/deployment-manifests/{manifest['manifestId']}")
    assert shown["content"].startswith("apiVersion: slipway/v1\n")
    (state,) = (await world.api.expect(200, "GET", "/gitops/sync-states?environment=dev"))["items"]
    assert (state["status"], state["desiredRevision"]) == ("Synced", state["liveRevision"])
    asked = await world.api.expect(
        200, "POST", "/gitops/reconcile", {"environment": "dev", "moduleId": "module-x"}
    )
    assert [row["status"] for row in asked["syncStates"]] == ["Syncing"]
    await world.api.drain()
    (state,) = (await world.api.expect(200, "GET", "/gitops/sync-states"))["items"]
    assert state["status"] == "Synced"


async def test_lists_filter_by_several_things_and_by_environments_that_exist(world: World) -> None:
    releases = await world.api.expect(200, "GET", "/releases?projectId=proj-x&moduleId=module-x")
    assert [row["releaseId"] for row in releases["items"]] == [world.ids["releaseId"]]
    dev = await world.api.expect(200, "GET", "/promotions?environment=dev")
    assert [row["toEnvironment"] for row in dev["items"]] == ["dev"]
    mine = await world.api.expect(200, "GET", f"/promotions?releaseId={world.ids['releaseId']}")
    assert len(mine["items"]) == 2
    both = f"/promotions?releaseId={world.ids['releaseId']}&environment=dev"
    assert (await world.api.expect(200, "GET", both))["items"] == dev["items"]
    await world.api.expect(400, "GET", "/promotions?environment=moon")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/releases/{releaseId}", None),
        ("GET", "/releases/{releaseId}/approvals", None),
        ("POST", "/releases/{releaseId}/approve", {"decision": "Approved"}),
        ("POST", "/releases/{releaseId}/cancel", {}),
        ("GET", "/promotions/{promotionId}", None),
        ("GET", "/deployment-manifests/{manifestId}", None),
        ("POST", "/promotions", {"releaseId": "{releaseId}"}),
    ],
)
async def test_a_foreign_tenant_finds_nothing(world: World, method: str, path: str, body: Any) -> None:
    named = {key: value.format(**world.ids) for key, value in body.items()} if body is not None else None
    path = path.format(**world.ids)
    await world.api.expect(404, method, path, named, token="rival/user+mallory/admin")


@pytest.mark.parametrize(
    ("changes", "word", "step"),
    [
        ({"status": PromotionStatus.PENDING}, "Planned", "AwaitApproval"),
        (
            {"status": PromotionStatus.PENDING, "approvals_granted": 1, "has_quorum": True},
            "Approved",
            "Promote",
        ),
        ({"status": PromotionStatus.PENDING, "required_approvals": 0}, "Planned", "Promote"),
        ({"status": PromotionStatus.AWAITING_APPROVAL}, "PendingApproval", "AwaitApproval"),
        ({"status": PromotionStatus.APPROVED, "approvals_granted": 1}, "Approved", "Promote"),
        ({"status": PromotionStatus.DEPLOYING, "approvals_granted": 1}, "Promoting", "Promote"),
        ({"status": PromotionStatus.DEPLOYED}, "Deployed", None),
        ({"status": PromotionStatus.DEPLOYED, "superseded_by": "x"}, "Superseded", None),
        ({"status": PromotionStatus.REJECTED}, "Rejected", None),
        ({"status": PromotionStatus.CANCELLED}, "Cancelled", None),
        ({"status": PromotionStatus.FAILED}, "Failed", None),
        ({"status": PromotionStatus.ROLLED_BACK}, "RolledBack", None),
    ],
)
def test_every_state_has_the_contracts_word(changes: dict[str, Any], word: str, step: str | None) -> None:
    promotion = a_promotion(**changes)
    assert (status_word(promotion), next_step(promotion)) == (word, step)
