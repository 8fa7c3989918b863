"""Lists over HTTP: signed cursors, offsets and page numbers, totals, sorts and filters, in each dialect."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.http.cursors import Cursors
from functions.http.fields import Query
from functions.http.pages import Listed, delivery_page, orchestrator_page, plain_page
from local.cli import main
from shared.adapters.embedded.signer import HmacSigner
from shared.domain.kernel.ids import Root
from shared.ports.store import Write
from shared.services.views import Total
from tests.api.kit_notes import Kit, told
from tests.support.api import Api, an_api


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def notes(kit: Kit) -> Kit:
    """Twelve notes, `note 00` to `note 11`; every third is sealed."""
    for number in range(12):
        made = told(await kit.send("POST", "/notes", {"title": f"note {number:02}"}))
        if number % 3 == 0:
            await kit.send("POST", f"/notes/{made['noteId']}/seal", {})
    return kit


async def page(kit: Kit, path: str, **more: Any) -> Any:
    response = await kit.send("GET", path, **more)
    assert response.status_code == 200, response.get_body()
    return told(response)


async def refused(kit: Kit, path: str, **more: Any) -> list[tuple[str, str]]:
    response = await kit.send("GET", path, **more)
    assert response.status_code == 400, response.get_body()
    body = told(response)
    rows = body.get("errors") or body["error"].get("validationErrors") or body["error"]["details"]["errors"]
    return [(row["field"], row["code"]) for row in rows]


def titles(items: list[dict[str, Any]]) -> list[int]:
    return [int(item["title"].removeprefix("note ")) for item in items]


async def test_a_list_follows_its_cursor_and_says_its_total_on_every_page(notes: Kit) -> None:
    seen: list[int] = []
    path = "/notes?limit=5"
    while True:
        shown = await page(notes, path)
        assert shown.keys() == {"items", "next", "total"}
        assert shown["total"] == 12
        seen += titles(shown["items"])
        if shown["next"] is None:
            break
        path = f"/notes?limit=5&cursor={shown['next']}"
    assert seen == list(range(12))


async def test_a_page_may_be_of_another_size_than_the_one_before(notes: Kit) -> None:
    cursor = (await page(notes, "/notes?limit=2"))["next"]
    assert titles((await page(notes, f"/notes?limit=7&cursor={cursor}"))["items"]) == list(range(2, 9))


async def test_a_cursor_is_good_for_its_list_its_tenant_and_its_criteria_only(notes: Kit) -> None:
    cursor = (await page(notes, "/notes?limit=2"))["next"]
    by_offset = (await page(notes, "/delivery/notes?limit=2"))["next_cursor"]
    by_page = (await page(notes, "/orchestrator/notes?pageSize=2"))["meta"]["pagination"]["nextCursor"]
    bad = [("cursor", "invalid_format")]
    assert await refused(notes, f"/notes?cursor={cursor}&sinceNumber=1") == bad
    assert await refused(notes, f"/notes?cursor={by_offset}") == bad
    assert await refused(notes, f"/delivery/notes?cursor={cursor}") == bad
    assert await refused(notes, f"/delivery/notes?cursor={by_offset}&note_status=sealed") == bad
    for criteria in ("sort=-createdAt", "filter=" + quote('{"title":"x"}')):
        path = f"/orchestrator/notes?cursor={by_page}&{criteria}"
        assert await refused(notes, path) == [("cursor", "VAL_INVALID_FORMAT")]
    notes.tokens.known["neighbour"] = {"sub": "eve", "tenantId": "elsewhere", "scope": "notes.read"}
    assert await refused(notes, f"/notes?cursor={cursor}", token="neighbour") == bad
    notes.tokens.known["colleague"] = {"sub": "bob", "tenantId": "connectsoft", "scope": "notes.read"}
    assert titles((await page(notes, f"/notes?cursor={cursor}", token="colleague"))["items"])[0] == 2


async def test_a_tampered_cursor_is_400_at_every_place(notes: Kit) -> None:
    cursor = (await page(notes, "/notes?limit=2"))["next"]
    for place in range(len(cursor)):
        changed = "A" if cursor[place] != "A" else "B"
        spoilt = cursor[:place] + changed + cursor[place + 1 :]
        response = await notes.send("GET", f"/notes?cursor={spoilt}")
        # The last character may hold bits that stand for nothing; then it is the same cursor.
        assert response.status_code == 400 or _bytes(spoilt) == _bytes(cursor)
    for spoilt in (
        "",
        cursor[:-4],
        cursor + "AAAA",
        cursor * 2,
        "x",
        "AA",
        "_w",
        "W10",
        "%",
        "é",
        "a" * 2049,
    ):
        assert await refused(notes, f"/notes?cursor={quote(spoilt)}"), spoilt


def _bytes(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


async def test_a_cursor_of_another_installation_is_refused(notes: Kit, tmp_path: Path) -> None:
    other = Kit(tmp_path / "other")
    for number in range(3):
        await other.send("POST", "/notes", {"title": f"note {number:02}"})
    cursor = (await page(other, "/notes?limit=2"))["next"]
    assert await refused(notes, f"/notes?cursor={cursor}") == [("cursor", "invalid_format")]
    await other.close()


@given(
    st.text() | st.integers(),
    st.text(),
    st.integers(0, 10**6),
)
def test_a_cursor_reads_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, value: str | int, item: str, before: int
) -> None:
    signer = HmacSigner(tmp_path_factory.getbasetemp() / "signing.key")
    cursors = Cursors(signer, "notes_list_notes", "acme", ("n",), Query())
    cursor = cursors.write((value, item), before)
    assert cursors.read(cursor) == ((value, item), before)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    for other in (
        Cursors(signer, "notes_list", "acme", ("n",), Query()),
        Cursors(signer, "notes_list_notes", "rival", ("n",), Query()),
        Cursors(signer, "notes_list_notes", "acme", ("m",), Query()),
    ):
        with pytest.raises(ValueError, match="not a cursor"):
            other.read(cursor)


async def test_the_delivery_dialect_pages_by_offset_with_its_own_names(notes: Kit) -> None:
    shown = await page(notes, "/delivery/notes?limit=5&offset=5")
    assert shown.keys() == {"notes", "total", "limit", "offset", "next_cursor"}
    assert (titles(shown["notes"]), shown["total"]) == ([5, 6, 7, 8, 9], 12)
    assert (shown["limit"], shown["offset"]) == (5, 5)
    last = await page(notes, f"/delivery/notes?limit=5&cursor={shown['next_cursor']}")
    assert last == {"notes": last["notes"], "total": 12, "limit": 5, "offset": 10}
    assert titles(last["notes"]) == [10, 11]
    assert (await page(notes, "/delivery/notes"))["limit"] == 20
    beyond = await page(notes, "/delivery/notes?offset=12")
    assert (beyond["notes"], beyond["total"]) == ([], 12)


async def test_a_total_is_of_what_the_list_is_filtered_by(notes: Kit) -> None:
    shown = await page(notes, "/delivery/notes?note_status=sealed&limit=3")
    assert (titles(shown["notes"]), shown["total"]) == ([0, 3, 6], 4)


async def test_the_orchestrator_dialect_pages_by_number_in_its_envelope(notes: Kit) -> None:
    shown = await page(notes, "/orchestrator/notes?page=2&pageSize=5")
    assert titles(shown["data"]) == [5, 6, 7, 8, 9]
    assert shown["success"] is True
    pagination = shown["meta"]["pagination"]
    cursor = pagination.pop("nextCursor")
    assert pagination == {
        "page": 2,
        "pageSize": 5,
        "totalItems": 12,
        "totalPages": 3,
        "hasNext": True,
        "hasPrevious": True,
    }
    last = await page(notes, f"/orchestrator/notes?pageSize=5&cursor={cursor}")
    pagination |= {"page": 3, "hasNext": False}
    assert (titles(last["data"]), last["meta"]["pagination"]) == ([10, 11], pagination)
    beyond = await page(notes, "/orchestrator/notes?page=4&pageSize=5")
    assert (beyond["data"], beyond["meta"]["pagination"]["totalItems"]) == ([], 12)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/delivery/notes?limit=0&offset=-1", ["limit", "offset"]),
        ("/delivery/notes?limit=101", ["limit"]),
        ("/delivery/notes?offset=10001", ["offset"]),
        ("/orchestrator/notes?page=0&pageSize=0", ["page", "pageSize"]),
        ("/orchestrator/notes?pageSize=101", ["pageSize"]),
        ("/orchestrator/notes?page=102&pageSize=100", ["page"]),
        ("/orchestrator/notes?page=99999999999999999999999", ["page"]),
    ],
)
async def test_what_is_out_of_range_is_refused_and_not_mended(
    notes: Kit, path: str, fields: list[str]
) -> None:
    rows = await refused(notes, path)
    assert [field for field, _ in rows] == fields
    assert {code for _, code in rows} <= {"out_of_range", "VAL_OUT_OF_RANGE"}


async def test_a_page_that_lies_too_deep_names_the_cursor(notes: Kit) -> None:
    assert (await notes.send("GET", "/delivery/notes?offset=10000")).status_code == 200
    assert (await notes.send("GET", "/orchestrator/notes?page=101&pageSize=100")).status_code == 200
    for path in ("/delivery/notes?offset=10001", "/orchestrator/notes?page=502"):
        assert b"`cursor`" in (await notes.send("GET", path)).get_body()


async def test_a_cursor_and_a_page_number_do_not_go_together(notes: Kit) -> None:
    cursor = (await page(notes, "/delivery/notes?limit=2"))["next_cursor"]
    assert await refused(notes, f"/delivery/notes?offset=2&cursor={cursor}") == [("offset", "out_of_range")]


def filtered(**query: Any) -> str:
    pairs = [f"{k}={quote(v if isinstance(v, str) else json.dumps(v))}" for k, v in query.items()]
    return "/orchestrator/notes?" + "&".join(pairs)


async def test_a_list_is_sorted_and_filtered_as_asked(notes: Kit) -> None:
    shown = await page(notes, filtered(sort="-title", pageSize="3"))
    assert titles(shown["data"]) == [11, 10, 9]
    shown = await page(notes, filtered(sort="-createdAt", filter={"status": "sealed"}))
    assert (titles(shown["data"]), shown["meta"]["pagination"]["totalItems"]) == ([9, 6, 3, 0], 4)
    wanted = {"status": "sealed", "or": [{"title": {"lt": "note 04"}}, {"title": "note 09"}]}
    shown = await page(notes, filtered(filter=wanted, pageSize="2"))
    pagination = shown["meta"]["pagination"]
    assert (titles(shown["data"]), pagination["totalItems"], pagination["totalPages"]) == ([0, 3], 3, 2)
    cursor = pagination["nextCursor"]
    shown = await page(notes, filtered(filter=wanted, pageSize="2", cursor=cursor))
    assert (titles(shown["data"]), shown["meta"]["pagination"]["page"]) == ([9], 2)


@pytest.mark.parametrize(
    ("query", "row", "says"),
    [
        ({"sort": "remark"}, ("sort", "VAL_INVALID_FORMAT"), "createdAt, title"),
        ({"filter": {"secret": "x"}}, ("filter.secret", "VAL_INVALID_FILTER"), "createdAt, remark"),
        ({"filter": "{"}, ("filter", "VAL_INVALID_FILTER"), "JSON"),
        ({"filter": {"or": [{"title": {"is": 1}}]}}, ("filter.or[0].title.is", "VAL_INVALID_FILTER"), "eq"),
        ({"filter": {"createdAt": "x"}}, ("filter.createdAt", "VAL_INVALID_FILTER"), "2026-06-11"),
    ],
    ids=str,
)
async def test_a_sort_or_filter_that_cannot_be_served_is_400_with_what_can(
    notes: Kit, query: dict[str, Any], row: tuple[str, str], says: str
) -> None:
    assert await refused(notes, filtered(**query)) == [row]
    assert says in (await notes.send("GET", filtered(**query))).get_body().decode()


LISTED = Listed("runs", b"[1,2]", 2, 4, "abc", Total(10_000, is_exact=False, has_more=True))


def test_a_total_that_is_not_exact_says_so_in_every_dialect() -> None:
    assert json.loads(plain_page(LISTED)) == {
        "items": [1, 2],
        "next": "abc",
        "total": 10_000,
        "totalIsExact": False,
    }
    assert json.loads(delivery_page(LISTED))["total_is_exact"] is False
    assert json.loads(orchestrator_page(LISTED))["meta"]["pagination"]["totalIsExact"] is False


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path)
    yield made
    await made.app.aclose()


async def test_the_lists_of_the_product_say_their_totals(api: Api) -> None:
    for number in range(5):
        project = "proj-x" if number < 3 else "proj-y"
        draft = {"projectId": project, "moduleId": f"module-{number}", "name": f"svc-{number}"}
        await api.expect(201, "POST", "/repositories", draft)
    first = await api.expect(200, "GET", "/repositories?limit=2")
    assert (len(first["items"]), first["total"]) == (2, 5)
    assert (await api.expect(200, "GET", "/repositories?projectId=proj-y"))["total"] == 2
    rival = await api.expect(200, "GET", "/repositories", token="rival/user+eve/admin")
    assert rival == {"items": [], "next": None, "total": 0}
    mine = f"/repositories?limit=2&cursor={first['next']}"
    assert len((await api.expect(200, "GET", mine))["items"]) == 2
    theirs = await api.send("GET", mine, token="rival/user+eve/admin")
    assert (theirs.status, [row["field"] for row in theirs.body["errors"]]) == (400, ["cursor"])


async def test_a_cursor_of_one_repositorys_branches_is_none_of_anothers(api: Api) -> None:
    made = []
    for number in range(2):
        draft = {"projectId": "proj-x", "moduleId": f"module-{number}", "name": f"svc-{number}"}
        repository = await api.expect(201, "POST", "/repositories", draft)
        made.append(f"/repositories/{repository['repositoryId']}/branches")
        await api.expect(201, "POST", made[-1], {"name": "feature/x"})
    shown = await api.expect(200, "GET", f"{made[0]}?limit=1")
    assert shown["total"] == 2
    assert (await api.send("GET", f"{made[1]}?limit=1&cursor={shown['next']}")).status == 400
    assert (await api.send("GET", f"{made[0]}?limit=1&cursor={shown['next']}")).status == 200


def test_the_totals_are_rebuilt_by_a_command_beside_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def before() -> None:
        api = an_api(tmp_path)
        draft = {"projectId": "proj-x", "moduleId": "module-x", "name": "svc"}
        await api.expect(201, "POST", "/repositories", draft)
        assert (await api.expect(200, "GET", "/repositories"))["total"] == 1
        partition = api.app.store.open("acme").partition(Root("view", "counts:repository"))
        for counter in await partition.scan("count:"):
            if counter.body["equal"] == {"project": "proj-x"}:
                body = {**counter.body, "generations": {"1": 7}}
                await partition.commit([Write("replace", counter.id, counter.kind, body, counter.etag)])
        assert (await api.expect(200, "GET", "/repositories?projectId=proj-x"))["total"] == 7
        await api.app.aclose()

    async def after() -> int:
        api = an_api(tmp_path)
        shown = await api.expect(200, "GET", "/repositories?projectId=proj-x")
        await api.app.aclose()
        return int(shown["total"])

    asyncio.run(before())
    assert main(["rebuild-views", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        "acme\trepository\tproject=proj-x\t7\t1\nThe totals of all lists are counted again; 1 were wrong.\n"
    )
    assert asyncio.run(after()) == 1
