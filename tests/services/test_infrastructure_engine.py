"""The sample product's program in the embedded engine, from the wish to its stack, with its policies."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.provisioners.embedded import EmbeddedProvisioner, Limits
from shared.ports.provisioner import Program
from tests.support.api import STACK, Api, an_api
from tests.support.app import SteppingClock
from tests.support.host import ROOT
from tests.support.infrastructure import PROGRAM

SAMPLE = ROOT / "local" / "sample_infra"
APPROVER = "acme/user+bob/approver"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    clock = SteppingClock()
    program = Program(PROGRAM, SAMPLE, (SAMPLE / "policy",))
    engine = EmbeddedProvisioner(
        root=tmp_path / "infrastructure",
        programs={PROGRAM: program},
        clock=clock,
        limits=Limits(time=60, cpu=40),
    )
    made = an_api(tmp_path, clock=clock, provisioner=engine)
    object.__setattr__(made.app.infrastructure_plans, "preview_within", 60)
    yield made
    await made.app.aclose()


async def provision(api: Api, **more: Any) -> Any:
    asked = {**STACK, "stack": "booking-saas-prod", "environment": "prod", **more}
    return await api.expect(201, "POST", "/iac/provision", asked)


async def test_the_sample_is_provisioned_changed_blocked_and_destroyed(api: Api, tmp_path: Path) -> None:
    await api.app.vault.set("acme", "iac-booking-key", "correct horse")
    first = await provision(api, secrets={"apiKey": "booking-key"})
    assert first["previewSummary"] == {"create": 7, "update": 0, "delete": 0, "replace": 0}
    assert (first["status"], first["engineMode"]) == ("Applying", "local-simulation")
    await api.drain()
    stack = await api.expect(200, "GET", f"/iac/stacks/{first['stackId']}")
    assert (stack["stack"]["status"], stack["stack"]["engineMode"]) == ("Active", "local-simulation")
    assert stack["outputs"]["apiKey"] == "[secret]"
    assert set(stack["outputs"]) == {"apiKey", "blobs", "group"}

    blocked = await provision(api, config={"publicBlobs": "true"})
    assert blocked["status"] == "Failed"
    assert [each["policy"] for each in blocked["violations"]] == ["private-blobs"]
    assert "leave publicBlobs off" in blocked["cause"]

    fewer = await provision(api, config={"queues": '["reservations"]'})
    assert (fewer["previewSummary"]["delete"], fewer["status"]) == (1, "AwaitingApproval")
    path = f"/iac/plans/{fewer['infrastructurePlanId']}"
    deleted = await api.expect(200, "GET", f"{path}/resources?action=Delete")
    assert [row["name"] for row in deleted["items"]] == ["cancellations"]
    await api.expect(200, "POST", f"{path}/approve", {"decision": "Approved"}, token=APPROVER)
    await api.drain()
    assert (await api.expect(200, "GET", path))["status"] == "Applied"

    destruction = await api.expect(201, "POST", f"/iac/stacks/{first['stackId']}/destroy")
    path = f"/iac/plans/{destruction['infrastructurePlanId']}"
    await api.expect(200, "POST", f"{path}/approve", {"decision": "Approved"}, token=APPROVER)
    await api.drain()
    assert (await api.expect(200, "GET", path))["status"] == "Destroyed"
    kept = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert b"correct horse" not in kept


async def test_a_program_that_cannot_be_loaded_says_why(api: Api) -> None:
    failed = await provision(api, config={"queues": "no list"})
    assert failed["status"] == "Failed"
    plan = await api.expect(200, "GET", f"/iac/plans/{failed['infrastructurePlanId']}")
    assert plan["reason"] == "program_failed"
    log = await api.expect(200, "GET", f"/iac/plans/{failed['infrastructurePlanId']}/log")
    assert "queues" in json.dumps(log["lines"])
