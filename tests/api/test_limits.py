"""Limits as callers meet them: headers on every answer, refusals in every dialect, sizes, and GET /limits."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from functions.http.dialects import DELIVERY, DEVOPS, INTEGRATION, ORCHESTRATOR, RUNTIME, Dialect
from functions.http.endpoint import Call, Endpoint, Raw
from functions.http.surface import Catalogue, Surface, endpoint_table
from functions.routes import declared
from shared.domain.kernel.errors import Transient
from shared.domain.limits.model import PAGE_ITEMS, PREMIUM, RESPONSE_BYTES, STANDARD, Tariff
from shared.services.limits import Limits
from shared.settings import BadSettings, Settings
from tests.api.kit_notes import CATALOGUE, Kit, told
from tests.support.api import Answer, Api, an_api
from tests.support.app import SteppingClock
from tests.support.feed import changes_of
from tests.support.tokens import Tokens

WRITES = [endpoint for endpoint in endpoint_table(CATALOGUE) if endpoint.name.endswith("_write_note")]
PAGED = [
    endpoint
    for endpoint in (*endpoint_table(declared()), *endpoint_table(CATALOGUE))
    if endpoint.paged and endpoint.query is not None
]
"""Lists without a query are short by nature: the environments of the ladder, the votes on one promotion."""
CODES = {
    "notes": ("code", "rate_limited"),
    "integration": ("code", "rate_limited"),
    "runtime": ("code", "rate_limited"),
    "delivery": ("error", "rate_limited"),
    "orchestrator": ("error", "RATE_LIMITED"),
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path, tiers="rich:premium,house:unmetered")
    yield made
    await made.app.aclose()


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(tmp_path)
    made.app.limits = Limits(made.store, made.clock, Tariff({}))  # type: ignore[misc]
    yield made
    await made.close()


def rate_of(headers: Any) -> tuple[int, int, int]:
    limit, remaining, reset = (
        int(headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")
    )
    return limit, remaining, reset


async def use_up(api: Api, **more: Any) -> Answer:
    while (answer := await api.send("GET", "/limits", **more)).status == 200:
        pass
    return answer


async def test_every_answer_to_a_known_caller_says_what_is_left(api: Api) -> None:
    asked = [
        (200, await api.send("GET", "/limits")),
        (403, await api.send("GET", "/limits", token="acme/user+ann/nobody")),
        (404, await api.send("GET", "/repositories/nothing")),
        (400, await api.send("POST", "/repositories", b"{")),
        (413, await api.send("POST", "/repositories", {}, content_length="99999999")),
        (406, await api.send("GET", "/limits", accept="application/json; version=9")),
        (201, await api.send("POST", "/repositories", {"projectId": "p", "name": "n"}, idempotency_key="k")),
        (201, await api.send("POST", "/repositories", {"projectId": "p", "name": "n"}, idempotency_key="k")),
    ]
    assert [answer.status for _, answer in asked] == [status for status, _ in asked]
    told_of = [answer.headers for status, answer in asked if status != 413]
    assert [rate_of(headers)[:2] for headers in told_of] == [
        (1000, left) for left in range(999, 999 - len(told_of), -1)
    ]
    assert {rate_of(headers)[2] % 60 for headers in told_of} == {0}
    assert "X-RateLimit-Limit" not in asked[4][1].headers, (
        "a body too large is refused before anybody asks who"
    )


async def test_who_is_not_known_is_told_nothing(api: Api) -> None:
    for token in (None, "garbage"):
        answer = await api.send("GET", "/limits", token=token)
        assert answer.status == 401
        assert not [name for name in answer.headers if name.startswith("X-RateLimit")]
    health = await api.send("GET", "/health", token=None)
    assert not [name for name in health.headers if name.startswith("X-RateLimit")]


async def test_after_a_burst_it_is_429_with_when_to_come_back(api: Api) -> None:
    refused = await use_up(api)
    assert (refused.status, refused.body["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "1"
    assert refused.body["retryAfter"] == 1
    limit, remaining, _ = rate_of(refused.headers)
    assert limit == STANDARD.limit
    assert STANDARD.burst <= limit - remaining <= STANDARD.burst + 20
    assert (await api.send("GET", "/limits", token="acme/user+bob/admin")).status == 200


async def test_what_is_refused_is_refused_before_anything_else_happens(api: Api) -> None:
    await use_up(api)
    before = (await changes_of(api.app))[-1].sequence
    for method, path, body in (
        ("POST", "/repositories", {"projectId": "p", "name": "n"}),
        ("POST", "/repositories", b"{"),
        ("GET", "/repositories/nothing", None),
    ):
        assert (await api.send(method, path, body, token="acme/user+ann/nobody")).status == 429
    assert await changes_of(api.app, before) == []


async def test_a_tier_comes_with_the_token_or_with_the_tenant(tmp_path: Path) -> None:
    clock = SteppingClock()
    tokens = Tokens(clock)
    api = an_api(tmp_path, tiers="rich:premium", clock=clock, tokens=tokens.verifier())
    scopes = ["devops.limits.read"]
    expected = {
        tokens.mint(scopes=scopes): STANDARD,
        tokens.mint(scopes=scopes, subject="bob", tier="premium"): PREMIUM,
        tokens.mint(scopes=scopes, tenant="rich"): PREMIUM,
        tokens.mint(scopes=scopes, tenant="rich", subject="cid", tier="standard"): STANDARD,
        tokens.mint(scopes=scopes, subject="eve", tier="unmetered"): STANDARD,
        tokens.mint(scopes=scopes, subject="fay", tier=["premium"]): STANDARD,
    }
    for token, rate in expected.items():
        answer = await api.send("GET", "/limits", token=token)
        assert rate_of(answer.headers)[0] == rate.limit
        assert answer.body["tier"] == rate.tier
    await api.app.aclose()


async def test_the_limits_page_shows_what_holds_and_what_is_left(api: Api) -> None:
    await api.send("GET", "/limits")
    answer = await api.send("GET", "/limits")
    limit, remaining, reset = rate_of(answer.headers)
    requests = answer.body["requests"]
    resets_at = requests.pop("resetsAt")
    assert requests == {"perMinute": limit, "burst": 100, "remaining": remaining}
    assert (remaining, resets_at) == (998, "2026-06-11T09:01:00Z")
    assert reset == 1_781_168_460
    assert {"name": "concurrentRuns", "limit": 100, "unit": "pipeline runs", "per": "repository"} in (
        answer.body["limits"]
    )


async def test_a_tenant_that_is_not_counted_sees_no_rate(api: Api) -> None:
    for _ in range(150):
        answer = await api.send("GET", "/limits", token="house/user+ann/admin")
        assert answer.status == 200
    assert "X-RateLimit-Limit" not in answer.headers
    assert answer.body["tier"] == "unmetered"
    assert "requests" not in answer.body


@pytest.mark.parametrize("endpoint", WRITES, ids=lambda endpoint: endpoint.surface)
async def test_every_dialect_refuses_in_its_own_words(kit: Kit, endpoint: Any) -> None:
    for number in range(200):
        response = await kit.send("POST", endpoint.path, {"title": f"note {number}"})
        assert response.headers["X-RateLimit-Limit"] == "1000"
        if response.status_code == 429:
            break
    body = told(response)
    jsonschema.validate(body, dict(endpoint.dialect.error_schema))
    place, code = CODES[endpoint.surface]
    assert (body[place] if place == "code" else body[place]["code"]) == code
    assert response.status_code == 429
    assert response.mimetype == endpoint.dialect.error_type
    assert int(response.headers["Retry-After"]) >= 1
    for name, value in endpoint.dialect.headers.items():
        assert response.headers[name] == value


async def test_a_replayed_answer_says_what_is_left_now(kit: Kit) -> None:
    first, again = [
        await kit.send("POST", "/notes", {"title": "one"}, idempotency_key="key-1") for _ in range(2)
    ]
    assert first.get_body() == again.get_body()
    assert rate_of(first.headers)[1] - rate_of(again.headers)[1] == 1


class Away:
    """A store that answers nobody."""

    def open(self, tenant: str) -> "Away":
        raise Transient("The store does not answer.")


async def test_a_store_that_is_away_does_not_make_it_429(kit: Kit) -> None:
    kit.app.limits = Limits(Away(), kit.clock, Tariff({}))  # type: ignore[misc, arg-type]
    for _ in range(60):
        assert (await kit.send("GET", "/notes")).status_code == 200


DIALECTS = [(DEVOPS, 422), (INTEGRATION, 422), (RUNTIME, 422), (DELIVERY, 409), (ORCHESTRATOR, 422)]


@pytest.mark.parametrize(("dialect", "status"), DIALECTS, ids=[*CODES])
async def test_an_answer_over_fifty_megabytes_is_refused_with_what_to_do(
    kit: Kit, dialect: Dialect, status: int
) -> None:
    catalogue: Catalogue = {}
    big = Surface("big", title="Big", dialect=dialect, catalogue=catalogue)

    @big.get("/exports/{size}", scope="notes.read")
    async def export(call: Call, size: int) -> Raw:
        """Export as many zeros."""
        return Raw(bytes(size), "application/octet-stream", {})

    most = await kit.send("GET", f"/exports/{RESPONSE_BYTES}", catalogue=catalogue)
    assert (most.status_code, len(most.get_body())) == (200, 50 * 1024 * 1024)
    over = await kit.send("GET", f"/exports/{RESPONSE_BYTES + 1}", catalogue=catalogue)
    assert over.status_code == status
    assert b"narrower range" in over.get_body()
    assert b"response_too_large" in over.get_body().lower()
    jsonschema.validate(told(over), dict(dialect.error_schema))


@pytest.mark.parametrize("endpoint", PAGED, ids=lambda endpoint: endpoint.name)
def test_no_page_is_larger_than_published(endpoint: Endpoint) -> None:
    assert endpoint.query is not None
    sizes = endpoint.query.model_json_schema()["properties"]
    assert [sizes[name]["maximum"] for name in ("limit", "pageSize") if name in sizes] == [PAGE_ITEMS]


@pytest.mark.parametrize("text", ["acme", "acme:gold", "acme:premium,*:free"])
def test_a_tier_that_nobody_knows_is_a_bad_setting(text: str) -> None:
    with pytest.raises(BadSettings, match="SLIPWAY_TIERS"):
        Settings.load({"SLIPWAY_TIERS": text})


def test_a_ladder_longer_than_the_deployments_that_may_run_at_once_is_a_bad_setting() -> None:
    ladder = ",".join(f"env-{number}:0" for number in range(51))
    with pytest.raises(BadSettings, match="SLIPWAY_APPROVALS"):
        Settings.load({"SLIPWAY_APPROVALS": ladder})
