"""Infrastructure as code as callers see it, on the whole App."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import STACK, Api, an_api
from tests.support.infrastructure import PROGRAM

ANN, BOB, ROBOT = "acme/user+ann/admin", "acme/user+bob/approver", "acme/agent+Manager/approver"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path)
    yield made
    await made.app.aclose()


async def provision(
    api: Api, environment: str = "dev", status: int = 201, things: str = "queue=1,site=1", **more: Any
) -> Any:
    asked = {**STACK, "stack": f"booking-{environment}", "environment": environment, **more}
    asked["config"] = {"things": things, **more.get("config", {})}
    return await api.expect(status, "POST", "/iac/provision", asked)


async def plan_of(api: Api, answer: Any) -> Any:
    return await api.expect(200, "GET", f"/iac/plans/{answer['infrastructurePlanId']}")


async def test_a_plan_is_answered_with_its_preview_and_carried_out(api: Api) -> None:
    answer = await provision(api, "production")
    assert answer == {
        "infrastructurePlanId": answer["infrastructurePlanId"],
        "stackId": answer["stackId"],
        "previewSummary": {"create": 2, "update": 0, "delete": 0, "replace": 0},
        "status": "Applying",
        "operation": "Up",
        "needsApproval": False,
        "planDigest": answer["planDigest"],
        "engineMode": "local-simulation",
        "violations": [],
    }
    await api.drain()
    plan = await plan_of(api, answer)
    assert (plan["status"], plan["environment"], plan["engineMode"]) == (
        "Applied",
        "prod",
        "local-simulation",
    )
    assert plan["counts"]["create"] == 2
    stack = await api.expect(200, "GET", f"/iac/stacks/{answer['stackId']}")
    assert stack["stack"]["currentPlanId"] == answer["infrastructurePlanId"]
    assert (stack["stack"]["status"], stack["stack"]["engineMode"]) == ("Active", "local-simulation")
    assert stack["outputs"] == {"queue-url": "https://queue.example", "site-url": "https://site.example"}
    trail = await api.expect(200, "GET", f"/audit-entries?resourceId={answer['stackId']}")
    assert {entry["action"] for entry in trail["entries"]} >= {"stack.declared", "stack.applied"}


async def test_a_retry_is_answered_with_the_same_bytes(api: Api) -> None:
    asked = {**STACK, "stack": "booking", "environment": "dev"}
    first = await api.send("POST", "/iac/provision", asked, idempotency_key="one")
    await api.drain()
    again = await api.send("POST", "/iac/provision", asked, idempotency_key="one")
    assert (again.raw, again.headers["Idempotent-Replayed"]) == (first.raw, "true")
    assert first.headers["Location"] == f"/iac/plans/{first.body['infrastructurePlanId']}"
    assert (await api.expect(200, "GET", "/iac/plans"))["total"] == 1


async def test_who_asked_may_not_approve_and_production_wants_a_person(api: Api) -> None:
    await provision(api, "prod")
    await api.drain()
    waiting = await provision(api, "prod", things="queue=1")
    assert (waiting["status"], waiting["needsApproval"]) == ("AwaitingApproval", True)
    path = f"/iac/plans/{waiting['infrastructurePlanId']}/approve"
    yes = {"decision": "Approved", "comment": "ok", "planDigest": waiting["planDigest"]}
    assert (await api.expect(403, "POST", path, yes, token=ANN))["code"] == "self_approval"
    assert (await api.expect(403, "POST", path, yes, token=ROBOT))["code"] == "human_approval_required"
    other = {**yes, "planDigest": f"sha256:{'0' * 64}"}
    assert (await api.expect(409, "POST", path, other, token=BOB))["code"] == "plan_digest_mismatch"
    no = {"decision": "Rejected"}
    assert (await api.expect(400, "POST", path, no, token=BOB))["code"] == "comment_required"
    approved = await api.expect(200, "POST", path, yes, token=BOB)
    assert (approved["status"], approved["approval"]["approver"]) == ("Applying", "user:bob")
    assert (await api.expect(409, "POST", path, yes, token=BOB))["code"] == "not_awaiting_approval"
    await api.drain()
    assert (await plan_of(api, waiting))["status"] == "Applied"


async def test_what_a_plan_does_is_listed_page_by_page(api: Api) -> None:
    await provision(api, things="a=1,b=1,c=1")
    await api.drain()
    plan = await provision(api, things="a=2,b=1,d=1")
    path = f"/iac/plans/{plan['infrastructurePlanId']}/resources"
    first = await api.expect(200, "GET", f"{path}?limit=3")
    rest = await api.expect(200, "GET", f"{path}?limit=3&cursor={first['next']}")
    assert [(row["name"], row["action"]) for row in (*first["items"], *rest["items"])] == [
        ("a", "Update"),
        ("b", "Same"),
        ("c", "Delete"),
        ("d", "Create"),
    ]
    assert (first["total"], rest.get("next")) == (4, None)
    assert first["items"][0]["paths"] == [{"path": "size", "kind": "Changed", "old": "1", "new": "2"}]
    deleted = await api.expect(200, "GET", f"{path}?action=Delete")
    assert [row["name"] for row in deleted["items"]] == ["c"]


async def test_the_log_is_read_from_any_offset(api: Api) -> None:
    answer = await provision(api)
    path = f"/iac/plans/{answer['infrastructurePlanId']}/log"
    begun = await api.expect(200, "GET", path)
    assert not begun["complete"]
    await api.drain()
    whole = await api.expect(200, "GET", path)
    rest = await api.expect(200, "GET", f"{path}?offset={begun['nextOffset']}")
    assert whole["complete"]
    assert [line["text"] for line in whole["lines"][len(begun["lines"]) :]] == [
        line["text"] for line in rest["lines"]
    ]
    assert {line["stage"] for line in whole["lines"]} == {"preview", "apply"}


async def test_lists_are_filtered(api: Api) -> None:
    for environment in ("dev", "staging"):
        await provision(api, environment)
    await api.drain()
    plans = await api.expect(200, "GET", "/iac/plans?environment=staging&status=Applied")
    assert [plan["stack"] for plan in plans["items"]] == ["booking-staging"]
    stacks = await api.expect(200, "GET", "/iac/stacks?sort=name")
    assert [stack["name"] for stack in stacks["items"]] == ["booking-dev", "booking-staging"]


async def test_only_registered_programs_and_pulumi(api: Api) -> None:
    unknown = await provision(api, status=400, program="Acme.Other")
    assert unknown["code"] == "program_not_registered"
    assert PROGRAM in unknown["errors"][0]["message"]
    assert (await provision(api, status=400, program="../../etc/passwd"))["errors"][0]["field"] == "program"
    bicep = await provision(api, status=400, engine="Bicep")
    assert (bicep["code"], bicep["errors"][0]["message"]) == ("engine_not_supported", "Use Pulumi.")
    assert (await provision(api, "mars", 400))["code"] == "unknown_environment"


async def test_a_stack_of_production_is_not_reached_under_another_name(api: Api) -> None:
    await provision(api, "prod", stack="shop")
    refused = await provision(api, "dev", 409, stack="shop", things="")
    assert (refused["code"], refused["environment"]) == ("stack_elsewhere", "prod")


async def test_policies_block_and_say_why(api: Api) -> None:
    blocked = await provision(api, config={"violate": "Nobody may read this."})
    assert blocked["status"] == "Failed"
    assert blocked["violations"] == [
        {
            "pack": "house",
            "policy": "no-things",
            "level": "Mandatory",
            "message": "Nobody may read this.",
        }
    ]
    assert "Nobody may read this." in blocked["cause"]
    assert (await plan_of(api, blocked))["reason"] == "plan_blocked"


async def test_a_stack_is_destroyed_with_an_approval(api: Api) -> None:
    made = await provision(api)
    await api.drain()
    path = f"/iac/stacks/{made['stackId']}/destroy"
    plan = await api.expect(201, "POST", path)
    assert (plan["status"], plan["operation"]) == ("AwaitingApproval", "Destroy")
    assert plan["previewSummary"]["delete"] == 2
    approve = f"/iac/plans/{plan['infrastructurePlanId']}/approve"
    await api.expect(200, "POST", approve, {"decision": "Approved"}, token=ROBOT)
    await api.drain()
    assert (await plan_of(api, plan))["status"] == "Destroyed"
    assert (await plan_of(api, made))["status"] == "Destroyed"
    assert (await api.expect(409, "POST", path))["code"] == "nothing_to_destroy"


async def test_a_waiting_plan_is_cancelled(api: Api) -> None:
    plan = await provision(api)
    path = f"/iac/plans/{plan['infrastructurePlanId']}/cancel"
    cancelled = await api.expect(200, "POST", path, {"reason": "wrong"})
    assert (cancelled["status"], cancelled["cause"]) == ("Cancelled", "Cancelled by user:ann: wrong")
    assert (await api.expect(409, "POST", path, {}))["code"] == "not_cancellable"


async def test_tenants_do_not_see_each_others_stacks(api: Api) -> None:
    plan = await provision(api)
    rival = "rival/user+eve/admin"
    await api.expect(404, "GET", f"/iac/plans/{plan['infrastructurePlanId']}", token=rival)
    await api.expect(404, "POST", f"/iac/stacks/{plan['stackId']}/destroy", token=rival)
    asked = {**STACK, "stack": "booking-dev", "environment": "dev"}
    theirs = await api.expect(201, "POST", "/iac/provision", asked, token=rival)
    assert theirs["stackId"] != plan["stackId"]
    assert theirs["previewSummary"]["create"] == 2
