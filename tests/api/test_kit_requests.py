"""One request through serve: the order of its checks, what binds, what is answered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from functions.http.dialects import DEVOPS
from functions.http.endpoint import Call
from functions.http.serve import serve
from functions.http.surface import Surface
from shared.domain.kernel.policy import PUBLIC
from tests.api.kit_notes import TOKEN, Kit, Note, NoteStatus, NoteView, notes, told

NOBODY = "note-" + "0" * 32


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(tmp_path)
    yield made
    await made.close()


async def a_note(kit: Kit, title: str = "hello") -> str:
    response = await kit.send("POST", "/notes", {"title": title})
    assert response.status_code == 201, response.get_body()
    return str(told(response)["noteId"])


async def test_a_write_answers_the_view_with_location_and_etag(kit: Kit) -> None:
    response = await kit.send("POST", "/notes", {"title": "hello", "tenantId": "connectsoft"})
    body = told(response)
    assert response.status_code == 201
    assert sorted(body) == ["createdAt", "noteId", "status", "title"], (
        "None and unlisted attributes stay away"
    )
    assert body["status"] == "JustWritten"
    assert response.headers["Location"] == f"/notes/{body['noteId']}"
    assert response.headers["ETag"] == '"1"'
    assert response.mimetype == "application/json; version=1"


async def test_every_answer_carries_trace_and_safety_headers(kit: Kit) -> None:
    for response in (
        await kit.send("POST", "/notes", {"title": "hello"}),
        await kit.send("POST", "/notes", {}),
        await kit.send("GET", "/notes", token=None),
        await kit.send("DELETE", f"/notes/{await a_note(kit, 'x')}"),
    ):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["traceparent"].startswith("00-")


async def test_a_trace_is_continued_in_answer_error_and_handler(kit: Kit) -> None:
    trace_id, parent = "1" * 32, "2" * 16
    for traceparent in (f"00-{trace_id}-{parent}-01", f"cc-{trace_id}-{parent}-00-what-comes"):
        response = await kit.send("GET", "/whoami", traceparent=traceparent)
        assert told(response)["trace"] == trace_id
        version, answered, span, _ = response.headers["traceparent"].split("-")
        assert (version, answered) == ("00", trace_id)
        assert span != parent
    refused = await kit.send("GET", "/notes", token="forged", traceparent=f"00-{trace_id}-{parent}-01")
    assert told(refused)["traceId"] == f"trace-{trace_id}"


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        f"00-{'0' * 32}-{'2' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{'2' * 16}-01",
        f"00-{'A' * 32}-{'2' * 16}-01",
        f"00-{'1' * 32}-{'2' * 16}-01-more",
    ],
)
async def test_a_trace_that_is_not_valid_is_not_continued(kit: Kit, traceparent: str) -> None:
    response = await kit.send("GET", "/whoami", traceparent=traceparent)
    minted = told(response)["trace"]
    assert len(minted) == 32
    assert minted not in ("1" * 32, "0" * 32)


async def test_401_comes_before_403_before_404_before_400(kit: Kit) -> None:
    path, bad = "/notes/nonsense/seal", b"[not json"
    assert (await kit.send("POST", path, bad, token=None)).status_code == 401
    assert (await kit.send("POST", path, bad, token="reader")).status_code == 403
    assert (await kit.send("POST", path, bad)).status_code == 404
    assert (await kit.send("POST", f"/notes/{NOBODY}/seal", bad)).status_code == 400
    assert (await kit.send("POST", f"/notes/{NOBODY}/seal", {})).status_code == 404


async def test_401_says_how_to_authenticate(kit: Kit) -> None:
    missing = await kit.send("GET", "/notes", token=None)
    assert (missing.status_code, told(missing)["code"]) == (401, "missing_token")
    assert missing.headers["WWW-Authenticate"] == 'Bearer realm="slipway"'
    refused = await kit.send("GET", "/notes", token="forged")
    assert told(refused)["code"] == "invalid_token"
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


async def test_403_names_the_scope(kit: Kit) -> None:
    response = await kit.send("POST", "/notes", {"title": "x"}, token="reader")
    body = told(response)
    assert (response.status_code, body["code"], body["scope"]) == (403, "insufficient_scope", "notes.write")
    assert 'scope="notes.write"' in response.headers["WWW-Authenticate"]


async def test_a_foreign_note_answers_as_an_unknown_one(kit: Kit) -> None:
    foreign = await kit.send("GET", f"/notes/{await a_note(kit)}", token="stranger")
    assert foreign.status_code == 404
    unknown = await kit.send("GET", f"/notes/{NOBODY}", token="stranger")
    mine, other = told(foreign), told(unknown)
    for body in (mine, other):
        del body["traceId"], body["instance"]
    assert mine == other


async def test_a_revision_that_nobody_would_look_at_is_refused(kit: Kit) -> None:
    response = await kit.send("POST", "/notes", {"title": "hello"}, if_match='"1"')
    assert response.status_code == 400
    assert told(response)["errors"][0]["field"] == "If-Match"


async def test_a_revision_is_asked_for_with_if_match(kit: Kit) -> None:
    path = f"/notes/{await a_note(kit)}/seal"
    stale = await kit.send("POST", path, {}, if_match='"7"')
    assert (stale.status_code, told(stale)["code"], told(stale)["revision"]) == (412, "stale_revision", 1)
    for garbage in ('W/"1"', "1", '"a"', '"1", "2"', '""'):
        response = await kit.send("POST", path, {}, if_match=garbage)
        assert (response.status_code, told(response)["errors"][0]["field"]) == (400, "If-Match")
    sealed = await kit.send("POST", path, {}, if_match='"1"')
    assert (sealed.status_code, sealed.headers["ETag"]) == (200, '"2"')
    again = await kit.send("POST", path, {}, if_match="*")
    body = told(again)
    assert (again.status_code, body["code"], body["allowed"]) == (409, "illegal_transition", [])
    assert body["status"] == 409, "a member of the standard is not overwritten by a fact"
    assert body["facts"] == {"status": "sealed"}


async def test_a_known_revision_is_304(kit: Kit) -> None:
    path = f"/notes/{await a_note(kit)}"
    for known in ('"1"', 'W/"1"', '"7", "1"', "*"):
        response = await kit.send("GET", path, if_none_match=known)
        assert (response.status_code, response.get_body(), response.headers["ETag"]) == (304, b"", '"1"')
    assert (await kit.send("GET", path, if_none_match='"2"')).status_code == 200


async def test_an_id_is_read_in_every_written_form_and_a_malformed_one_is_404(kit: Kit) -> None:
    note = await a_note(kit)
    bare = note.removeprefix("note-")
    dashed = f"{bare[:8]}-{bare[8:12]}-{bare[12:16]}-{bare[16:20]}-{bare[20:]}"
    for written in (note, bare, dashed, f"note-{dashed}"):
        assert (await kit.send("GET", f"/notes/{written}")).status_code == 200
    for malformed in ("note-1", "repo-" + bare, bare.upper(), "%0a" + bare):
        assert (await kit.send("GET", f"/notes/{malformed}")).status_code == 404


async def test_pages_follow_their_cursor_to_the_end(kit: Kit) -> None:
    for number in range(5):
        await a_note(kit, f"note {number}")
    seen, path = [], "/notes?limit=2"
    while True:
        page = told(await kit.send("GET", path))
        seen += [item["title"] for item in page["items"]]
        if page["next"] is None:
            break
        path = f"/notes?limit=2&cursor={page['next']}"
    assert seen == [f"note {number}" for number in range(5)]


async def test_a_bad_query_is_400_with_every_parameter(kit: Kit) -> None:
    response = await kit.send("GET", "/notes?limit=0&cursor=%%%&sinceNumber=-1&colour=red")
    assert [row["field"] for row in told(response)["errors"]] == ["limit", "cursor", "sinceNumber"]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("rule", 422, "rule_broken"),
        ("transient", 503, "temporarily_unavailable"),
        ("missing", 404, "not_found"),
    ],
)
async def test_an_error_of_a_known_kind_answers_with_its_status_and_facts(
    kit: Kit, kind: str, status: int, code: str
) -> None:
    response = await kit.send("POST", f"/faults/{kind}")
    assert (response.status_code, told(response)["code"]) == (status, code)
    if kind == "rule":
        assert (told(response)["pen"], told(response)["facts"]) == ("old", {"status": "dry"})
    if kind == "transient":
        assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(("kind", "code"), [("permanent", "failed"), ("bug", "internal_error")])
async def test_a_500_is_opaque(kit: Kit, kind: str, code: str) -> None:
    response = await kit.send("POST", f"/faults/{kind}")
    assert (response.status_code, told(response)["code"]) == (500, code)
    assert b"leaks" not in response.get_body()
    assert b"secrets" not in response.get_body()


async def test_an_app_that_cannot_be_built_is_an_opaque_500_too(kit: Kit) -> None:
    def broken() -> Any:
        raise OSError("disk /var/secret is full")

    request = func.HttpRequest(method="GET", url="http://host/notes", body=b"")
    response = await serve(notes.endpoints[0], broken, request)
    assert response.status_code == 500
    assert b"/var" not in response.get_body()


async def test_a_public_endpoint_needs_no_token_and_takes_any_accept(kit: Kit) -> None:
    response = await kit.send("GET", "/whoami", token=None, accept="text/html")
    assert (response.status_code, told(response)["subject"]) == (200, "anonymous")
    assert TOKEN not in response.get_body().decode()


async def test_a_location_may_name_route_values_and_never_breaks_the_header(kit: Kit) -> None:
    shelves = Surface("shelves", title="Shelves", dialect=DEVOPS, prefix="/v1", catalogue={})

    @shelves.post("/shelves/{shelf}", scope=PUBLIC, returns=NoteView, location="/shelves/{shelf}/{id}")
    async def fill_shelf(call: Call, shelf: str) -> Note:
        """Put a note on a shelf."""
        return Note(id="0" * 32, tenant="", title=shelf, status=NoteStatus.SEALED, created_at=kit.clock.now())

    request = func.HttpRequest(
        method="POST",
        url="http://host/v1/shelves/x",
        body=b"",
        route_params={"shelf": "a/b\r\nSet-Cookie: c"},
    )
    response = await serve(shelves.endpoints[0], lambda: kit.app, request)
    assert response.headers["Location"] == f"/v1/shelves/a%2Fb%0D%0ASet-Cookie%3A%20c/{NOBODY}"
