"""Every endpoint, from its table: who may call it, what it refuses, and that a foreign thing looks like an
unknown one."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from functions.http.endpoint import Endpoint
from functions.http.surface import endpoint_table
from functions.routes import declared
from shared.domain.kernel.ids import parse_id
from tests.support.api import STACK, Answer, World, a_world, an_api
from tests.support.feed import changes_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECURED = [endpoint for endpoint in endpoint_table(declared()) if not endpoint.is_public]
WITH_BODY = [endpoint for endpoint in SECURED if endpoint.body is not None]
OBJECTS = {"rollout"}
"""Fields that hold an object of which nothing is required."""
IN_EVERY_TENANT = {"environmentName", "sha", "policyId", "feed", "npmScope", "package", "version", "file"}
"""What is named alike in every tenant, so that no tenant's is foreign."""
WITH_IDS = [endpoint for endpoint in SECURED if {param.name for param in endpoint.params} - IN_EVERY_TENANT]
POSTS = [endpoint for endpoint in SECURED if endpoint.method == "POST"]
UNKNOWN = "0" * 12 + "5" + "0" * 3 + "8" + "0" * 15

A_PUBLISHED: dict[str, Any] = {
    "name": "@shop/orders",
    "dist-tags": {"latest": "1.0.0"},
    "versions": {"1.0.0": {"version": "1.0.0"}},
    "_attachments": {"orders-1.0.0.tgz": {"data": "AAAA"}},
}

# What a valid body of an endpoint is, and which of its fields name things of the tenant.
BODIES: dict[str, dict[str, Any]] = {
    "devops_provision_repository": {"projectId": "proj-x", "name": "other"},
    "devops_create_branch": {"name": "feature/y"},
    "devops_author_commit": {
        "branch": "feature/x",
        "message": "m",
        "changes": [{"path": "a", "operation": "add", "content": "1"}],
    },
    "devops_open_pull_request": {
        "repositoryId": "{repositoryId}",
        "sourceBranch": "feature/x",
        "targetBranch": "main",
        "title": "t",
    },
    "devops_edit_pull_request": {"title": "t"},
    "devops_label_pull_request": {"labels": ["bug"]},
    "devops_bypass_policies": {"reason": "why"},
    "devops_auto_complete_pull_request": {"strategy": "merge"},
    "devops_waive_policies": {"reason": "why"},
    "devops_review_pull_request": {"decision": "Approved"},
    "devops_ask_reviewers": {"reviewers": ["user:bob"]},
    "devops_report_check": {"name": "lint", "status": "Succeeded", "sha": "a" * 40},
    "devops_rerun_checks": {"name": "build"},
    "devops_put_branch_policy": {"pattern": "release/*"},
    "devops_generate_pipeline": {
        "repositoryId": "{repositoryId}",
        "moduleId": "module-x",
        "moduleType": "Worker",
    },
    "devops_run_pipeline": {"reason": "ci"},
    "devops_report_build": {
        "pipelineRunId": "{pipelineRunId}",
        "moduleId": "module-x",
        "status": "Succeeded",
    },
    "devops_request_container_image": {
        "buildResultId": "{buildResultId}",
        "repository": "shop/orders",
        "tag": "2",
        "artifactRef": "art-image",
    },
    "devops_report_image_scan": {"report": {"matches": []}},
    "devops_release_quarantined_image": {"reason": "never run"},
    "devops_publish_package": {
        "buildResultId": "{buildResultId}",
        "packageType": "Generic",
        "packageId": "orders",
        "version": "1.0.0",
        "feed": "main",
        "artifactRef": "art-package",
    },
    "devops_unlist_package": {"reason": "Loses orders"},
    "feeds_publish_npm_package": A_PUBLISHED | {"name": "orders"},
    "feeds_publish_scoped_npm_package": A_PUBLISHED,
    "devops_plan_release": {
        "projectId": "proj-x",
        "moduleId": "module-x",
        "buildResultId": "{buildResultId}",
        "targetEnvironment": "test",
    },
    "devops_approve_release": {"decision": "Approved"},
    "devops_cancel_release": {"reason": "no"},
    "devops_reject_release": {"reason": "no"},
    "devops_retry_release": {"reason": "again"},
    "devops_roll_back_release": {"reason": "back"},
    "devops_advance_rollout": {"reason": "on"},
    "devops_abort_promotion": {"reason": "stop"},
    "devops_override_freeze": {"reason": "emergency"},
    "devops_set_environment_policy": {"soakSeconds": 0},
    "devops_add_freeze_window": {
        "name": "Far away",
        "startsAt": "2191-01-01T00:00:00Z",
        "endsAt": "2191-01-02T00:00:00Z",
    },
    "devops_release_environment_hold": {"reason": "mended"},
    "devops_promote_release": {"releaseId": "{releaseId}"},
    "devops_render_manifest": {"releaseId": "{releaseId}", "environment": "dev"},
    "devops_reconcile_environment": {"environment": "dev"},
    "devops_provision_infrastructure": {**STACK, "stack": "other", "environment": "dev"},
    "devops_approve_infrastructure_plan": {"decision": "Approved"},
    "devops_cancel_infrastructure_plan": {"reason": "no"},
}
NAMES_THINGS = sorted(
    name for name, body in BODIES.items() if any(str(value).startswith("{") for value in body.values())
)


# Lists that have to be told whose.
ASKED_WITH_IDS = {
    "devops_show_dora_metrics": "?projectId=proj-x&to=2026-06-12T00:00:00Z",
    "devops_list_pull_requests": "?repositoryId={repositoryId}",
    "devops_list_pipelines": "?repositoryId={repositoryId}",
    "devops_list_pipeline_runs": "?pipelineId={pipelineId}",
    "devops_list_build_results": "?repositoryId={repositoryId}",
    "devops_list_audit_entries": "?resourceId={repositoryId}",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    api = an_api(Path(tmp_path_factory.mktemp("world")))
    yield await a_world(api)
    await api.app.aclose()


def named(endpoint: Endpoint) -> str:
    return endpoint.name


def path_of(endpoint: Endpoint, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "devops.json"), endpoint.path)


def unknown_ids(world: World) -> dict[str, str]:
    """The same prefixes with ids that nobody has."""
    return {
        name: f"{prefix}-{UNKNOWN}" if parse_id(tail, "") else "art-none"
        for name, value in world.ids.items()
        for prefix, _, tail in [value.rpartition("-")]
        if name not in IN_EVERY_TENANT
    } | {name: world.ids[name] for name in IN_EVERY_TENANT}


def query_of(endpoint: Endpoint, ids: dict[str, str]) -> str:
    return ASKED_WITH_IDS.get(endpoint.name, "").format(**ids)


def body_of(endpoint: Endpoint, ids: dict[str, str]) -> Any:
    if endpoint.raw_body:
        return b"PK"
    body = BODIES.get(endpoint.name)
    if body is None:
        return None
    return {
        name: ids[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value
        for name, value in body.items()
    }


async def call(world: World, endpoint: Endpoint, ids: dict[str, str], **more: Any) -> Answer:
    headers = {"content_type": endpoint.consumes[0]} if endpoint.raw_body else {}
    body = more.pop("body", body_of(endpoint, ids))
    path = path_of(endpoint, ids) + query_of(endpoint, ids)
    return await world.api.send(endpoint.method, path, body, **headers, **more)


def problem(answer: Answer) -> dict[str, Any]:
    """An error without what differs from call to call."""
    return {name: value for name, value in answer.body.items() if name not in ("traceId", "instance")}


def requires_something(endpoint: Endpoint) -> bool:
    return endpoint.body is not None and any(
        field.is_required() for field in endpoint.body.model_fields.values()
    )


async def sequence(world: World) -> int:
    documents = await changes_of(world.api.app)
    return documents[-1].sequence


async def test_every_endpoint_that_takes_a_body_is_exercised_here() -> None:
    assert {endpoint.name for endpoint in WITH_BODY if not endpoint.raw_body} - set(BODIES) == set()


@pytest.mark.parametrize("endpoint", SECURED, ids=named)
async def test_without_a_token_it_is_401_and_nothing_is_written(world: World, endpoint: Endpoint) -> None:
    before = await sequence(world)
    for token in (None, "garbage"):
        answer = await call(world, endpoint, world.ids, token=token)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.body["code"]
    assert await sequence(world) == before


@pytest.mark.parametrize("endpoint", SECURED, ids=named)
async def test_without_its_scope_it_is_403_and_names_it(world: World, endpoint: Endpoint) -> None:
    before = await sequence(world)
    answer = await call(world, endpoint, world.ids, token="acme/user+bob/nobody/devops.other.thing")
    assert (answer.status, answer.body["scope"]) == (403, endpoint.scope)
    assert await sequence(world) == before


@pytest.mark.parametrize("endpoint", SECURED, ids=named)
async def test_an_unknown_version_is_406_and_lists_the_supported(world: World, endpoint: Endpoint) -> None:
    answer = await call(world, endpoint, world.ids, accept="application/json; version=99")
    if endpoint.view is None and endpoint.status != 204:
        assert answer.status != 406, "raw answers are what they are"
    else:
        assert (answer.status, answer.body["supported"]) == (406, ["1"])


@pytest.mark.parametrize("endpoint", WITH_IDS, ids=named)
async def test_a_foreign_id_answers_exactly_as_an_unknown_one(world: World, endpoint: Endpoint) -> None:
    before = await sequence(world)
    foreign = await call(world, endpoint, world.ids, token="rival/user+eve/admin")
    unknown = await call(world, endpoint, unknown_ids(world), token="rival/user+eve/admin")
    if endpoint.name == "devops_upload_artifact":
        # A name is free in every tenant; these bytes are no bundle.
        assert foreign.status == unknown.status == 400
    else:
        assert foreign.status == 404
    assert problem(foreign) == problem(unknown)
    assert await sequence(world) == before


@pytest.mark.parametrize("name", NAMES_THINGS)
async def test_a_foreign_id_in_a_body_answers_exactly_as_an_unknown_one(world: World, name: str) -> None:
    [endpoint] = [each for each in WITH_BODY if each.name == name]
    before = await sequence(world)
    foreign = await call(world, endpoint, world.ids, token="rival/user+eve/admin")
    unknown = await call(world, endpoint, unknown_ids(world), token="rival/user+eve/admin")
    assert foreign.status in (400, 404)
    assert problem(foreign) == problem(unknown)
    assert await sequence(world) == before


@pytest.mark.parametrize("endpoint", [each for each in SECURED if each.name in ASKED_WITH_IDS], ids=named)
async def test_a_foreign_id_in_a_query_answers_exactly_as_an_unknown_one(
    world: World, endpoint: Endpoint
) -> None:
    foreign = await call(world, endpoint, world.ids, token="rival/user+eve/admin")
    unknown = await call(world, endpoint, unknown_ids(world), token="rival/user+eve/admin")
    assert foreign.status == unknown.status
    shown = [each.body if each.status == 200 else problem(each) for each in (foreign, unknown)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("endpoint", [each for each in SECURED if each.paged], ids=named)
async def test_a_list_of_another_tenant_shows_nothing_of_ours(world: World, endpoint: Endpoint) -> None:
    ours = await call(world, endpoint, world.ids)
    theirs = await call(world, endpoint, world.ids, token="rival/user+eve/admin")
    assert ours.status == 200
    told = json.dumps(problem(theirs))
    assert not [
        value
        for name, value in world.ids.items()
        if name not in {"artifactId", *IN_EVERY_TENANT} and value in told
    ]
    assert "module-x" not in told


@pytest.mark.parametrize("endpoint", [each for each in WITH_BODY if not each.raw_body], ids=named)
async def test_another_tenant_in_the_body_is_403(world: World, endpoint: Endpoint) -> None:
    before = await sequence(world)
    body = {**body_of(endpoint, world.ids), "tenantId": "rival"}
    answer = await call(world, endpoint, world.ids, body=body)
    assert (answer.status, answer.body["code"]) == (403, "tenant_mismatch")
    assert await sequence(world) == before


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"text"', 400),
        (b'{"a":1,"a":2}', 400),
        (b'{"a":NaN}', 400),
        (b"\xff\xfe", 400),
        (b'{"a":' * 100 + b"1" + b"}" * 100, 400),
        (b'{"x":"' + b"y" * (10 * 1024 * 1024) + b'"}', 413),
    ],
    ids=["empty", "cut", "array", "null", "text", "twice", "nan", "no-utf8", "deep", "huge"],
)
@pytest.mark.parametrize("endpoint", [each for each in WITH_BODY if not each.raw_body], ids=named)
async def test_a_malformed_body_is_refused_and_nothing_is_written(
    world: World, endpoint: Endpoint, raw: bytes, status: int
) -> None:
    if raw == b"" and not requires_something(endpoint):
        status = 0  # an empty body says as much as an empty object, which may or may not do
    before = await sequence(world)
    answer = await call(world, endpoint, world.ids, body=raw)
    if status:
        assert answer.status == status, answer.body
        assert answer.body["code"]
        assert await sequence(world) == before


@pytest.mark.parametrize(
    "endpoint", [each for each in WITH_BODY if not each.raw_body and requires_something(each)], ids=named
)
async def test_everything_missing_is_named_at_once(world: World, endpoint: Endpoint) -> None:
    assert endpoint.body is not None
    required = {
        field.alias for field in endpoint.body.model_fields.values() if field.is_required() and field.alias
    }
    answer = await call(world, endpoint, world.ids, body={"aFieldOfTheFuture": 1})
    assert answer.status == 400
    assert {row["field"] for row in answer.body["errors"]} >= required


@pytest.mark.parametrize("endpoint", [each for each in WITH_BODY if not each.raw_body], ids=named)
async def test_a_value_of_the_wrong_type_is_named_and_nothing_is_written(
    world: World, endpoint: Endpoint
) -> None:
    assert endpoint.body is not None
    before = await sequence(world)
    for name in [field.alias for field in endpoint.body.model_fields.values() if field.alias != "tenantId"]:
        wrong = 7 if name in OBJECTS else {"a": 1}
        answer = await call(world, endpoint, world.ids, body={**body_of(endpoint, world.ids), name: wrong})
        assert answer.status == 400, (name, answer.body)
        assert any(str(row["field"]).startswith(str(name)) for row in answer.body["errors"])
    assert await sequence(world) == before


@pytest.mark.parametrize("endpoint", POSTS, ids=named)
@pytest.mark.parametrize("key", ["", "x" * 256, "with\nbreak", "ünïcode"])
async def test_a_key_that_is_no_key_is_400(world: World, endpoint: Endpoint, key: str) -> None:
    answer = await call(world, endpoint, world.ids, idempotency_key=key)
    assert answer.status == 400


async def test_a_key_belongs_to_one_body_even_where_the_body_decides_the_root(world: World) -> None:
    send = world.api.send
    first = await send(
        "POST", "/repositories", {"projectId": "proj-k", "name": "one"}, idempotency_key="key-1"
    )
    again = await send(
        "POST", "/repositories", {"projectId": "proj-k", "name": "one"}, idempotency_key="key-1"
    )
    other = await send(
        "POST", "/repositories", {"projectId": "proj-k", "name": "two"}, idempotency_key="key-1"
    )
    assert (first.status, again.status, other.status) == (201, 201, 422)
    assert again.raw == first.raw
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.body["code"] == "idempotency_key_reused"


async def test_a_refused_request_frees_its_key(world: World) -> None:
    send = world.api.send
    taken = {"projectId": "proj-x", "name": "api"}
    refused = await send("POST", "/repositories", taken, idempotency_key="key-2")
    mended = await send("POST", "/repositories", {**taken, "name": "free"}, idempotency_key="key-2")
    assert (refused.status, mended.status) == (409, 201)


async def test_unknown_fields_are_tolerated(world: World) -> None:
    body = {"projectId": "proj-x", "name": "tolerant", "shinyNewField": {"a": [1]}}
    assert (await world.api.send("POST", "/repositories", body)).status == 201
