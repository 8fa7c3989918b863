"""Five dialects: versions on offer and the shape of an error."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from functions.http.dialects import DEVOPS, INTEGRATION
from functions.http.media import choose, is_taken, parse_media_type
from tests.api.kit_notes import Kit, told

VENDOR = "application/vnd.connectsoft.integration.v1+json"


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("accept", "is_accepted"),
    [
        ("", True),
        ("*/*", True),
        ("application/*", True),
        ("application/json", True),
        ("application/json; version=1", True),
        ('Application/JSON;Version="1"', True),
        ("text/html, application/json;q=0.2", True),
        ("application/json;version=2, application/json;version=1;q=0.1", True),
        ("application/json;version=2, */*;q=0.1", True),
        ("application/json;version=2", False),
        ("application/json;q=0", False),
        ("application/json;q=0, */*", False),
        ("text/html", False),
        ("application/problem+json", False),
        ('text/x;a="application/json, */*"', False),
        (";,;", False),
    ],
)
async def test_devops_negotiates_its_version(kit: Kit, accept: str, is_accepted: bool) -> None:
    response = await kit.send("GET", "/notes", accept=accept)
    if is_accepted:
        assert (response.status_code, response.mimetype) == (200, "application/json; version=1")
    else:
        body = told(response)
        assert (response.status_code, body["code"], body["supported"]) == (406, "not_acceptable", ["1"])


@pytest.mark.parametrize(
    ("accept", "answered"),
    [("", VENDOR), ("*/*", VENDOR), (VENDOR, VENDOR), ("application/json", "application/json")],
)
async def test_integration_answers_in_its_vendor_type_or_plain_json(
    kit: Kit, accept: str, answered: str
) -> None:
    response = await kit.send("POST", "/integration/notes", {"title": "x"}, accept=accept)
    assert (response.status_code, response.mimetype) == (201, answered)


async def test_integration_knows_no_second_major(kit: Kit) -> None:
    accept = VENDOR.replace("v1", "v2")
    response = await kit.send("POST", "/integration/notes", {"title": "x"}, accept=accept)
    assert (response.status_code, told(response)["supported"]) == (406, ["1"])


async def test_runtime_says_its_schema_version_on_every_answer(kit: Kit) -> None:
    for body in ({"title": "x"}, {}):
        response = await kit.send("POST", "/runtime/notes", body)
        assert response.headers["cs-schema-version"] == "1"


@pytest.mark.parametrize("prefix", ["", "/integration", "/runtime"])
async def test_three_dialects_speak_rfc_9457(kit: Kit, prefix: str) -> None:
    response = await kit.send("POST", f"{prefix}/notes", {"title": ""})
    body = told(response)
    assert response.mimetype == "application/problem+json"
    assert body["traceId"] == f"trace-{response.headers['traceparent'].split('-')[1]}"
    del body["traceId"]
    assert body == {
        "type": "urn:slipway:problem:invalid_request",
        "title": "Invalid request",
        "status": 400,
        "detail": "title: Must have at least 1 character.",
        "instance": f"{prefix}/notes",
        "code": "invalid_request",
        "errors": [{"field": "title", "message": "Must have at least 1 character.", "code": "too_short"}],
    }


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({}, {}, 400, "invalid_request"),
        ({"title": "x"}, {"token": None}, 401, "authentication_failed"),
        ({"title": "x"}, {"token": "reader"}, 403, "authorization_failed"),
        ({"title": "x", "tenant_id": "elsewhere"}, {}, 403, "authorization_failed"),
        ({"title": "x"}, {"accept": "text/html"}, 406, "invalid_request"),
    ],
)
async def test_delivery_has_six_codes(
    kit: Kit, body: object, headers: dict[str, Any], status: int, code: str
) -> None:
    response = await kit.send("POST", "/delivery/notes", body, **headers)
    error = told(response)["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert response.mimetype == "application/json"
    assert error["details"]["trace_id"].startswith("trace-")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("missing", 404, "resource_not_found"),
        ("rule", 409, "resource_conflict"),
        ("transient", 503, "internal_error"),
        ("permanent", 500, "internal_error"),
        ("bug", 500, "internal_error"),
    ],
)
async def test_delivery_maps_every_kind(kit: Kit, kind: str, status: int, code: str) -> None:
    response = await kit.send("POST", f"/delivery/faults/{kind}")
    assert (response.status_code, told(response)["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("missing", 404, "RES_NOT_FOUND"),
        ("rule", 422, "RULE_BROKEN"),
        ("transient", 500, "SYS_DEPENDENCY"),
        ("permanent", 500, "SYS_INTERNAL"),
        ("bug", 500, "SYS_INTERNAL"),
    ],
)
async def test_the_orchestrator_has_code_families(kit: Kit, kind: str, status: int, code: str) -> None:
    response = await kit.send("POST", f"/orchestrator/faults/{kind}", x_request_id="req-7")
    body = told(response)
    assert (response.status_code, body["success"], body["error"]["code"]) == (status, False, code)
    assert body["meta"]["requestId"] == response.headers["X-Request-Id"] == "req-7"
    assert body["meta"]["timestamp"].startswith("2026-06-11T09:00:00.")
    assert body["meta"]["timestamp"].endswith("Z")


async def test_the_orchestrator_lists_validation_errors_by_its_own_codes(kit: Kit) -> None:
    response = await kit.send(
        "POST", "/orchestrator/notes", {"copies": 0, "origin": "x"}, x_request_id="two words"
    )
    error = told(response)["error"]
    assert (response.status_code, error["code"]) == (400, "VAL_REQUIRED")
    assert {row["field"]: row["code"] for row in error["validationErrors"]} == {
        "title": "VAL_REQUIRED",
        "copies": "VAL_OUT_OF_RANGE",
        "origin": "VAL_INVALID_FORMAT",
    }
    assert response.headers["X-Request-Id"].startswith("trace-"), "an invalid request id is not echoed"


async def test_the_orchestrator_answers_a_stale_version_and_a_reused_key_with_409(kit: Kit) -> None:
    note = told(await kit.send("POST", "/orchestrator/notes", {"title": "x"}))["noteId"]
    path = f"/orchestrator/notes/{note}/seal"
    stale = await kit.send("POST", path, {}, if_match='"9"')
    assert (stale.status_code, told(stale)["error"]["code"]) == (409, "RES_VERSION_CONFLICT")
    assert told(stale)["error"]["details"] == {"revision": 1}
    assert (await kit.send("POST", path, {"a": 1}, idempotency_key="k")).status_code == 200
    reused = await kit.send("POST", path, {"a": 2}, idempotency_key="k")
    assert (reused.status_code, told(reused)["error"]["code"]) == (409, "RES_IDEMPOTENCY_MISMATCH")
    again = await kit.send("POST", path, {})
    assert (again.status_code, told(again)["error"]["code"]) == (409, "RES_STATE_CONFLICT")


async def test_the_orchestrator_knows_a_missing_from_a_bad_token(kit: Kit) -> None:
    missing = await kit.send("POST", "/orchestrator/notes", {}, token=None)
    assert told(missing)["error"]["code"] == "AUTH_TOKEN_MISSING"
    forged = await kit.send("POST", "/orchestrator/notes", {}, token="forged")
    assert told(forged)["error"]["code"] == "AUTH_TOKEN_INVALID"


def test_a_hostile_header_is_read_in_linear_time() -> None:
    for text in ("," * 60_000, '"' * 60_000, ';"' * 30_000, "a/b;q=" * 10_000):
        choose(DEVOPS.offers, text)
        is_taken(text, ("application/json",))


def test_the_liked_offer_wins_over_the_first() -> None:
    liked = choose(INTEGRATION.offers, f"application/json, {VENDOR};q=0.5")
    assert liked is not None
    assert liked.media_type == "application/json"


def test_a_media_type_is_read_with_its_parameters() -> None:
    assert parse_media_type('A/B; C="d;e" ; f') == ("a/b", {"c": "d;e", "f": ""})
