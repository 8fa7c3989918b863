"""What a body may be, and every mistake of a request at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.kit_notes import Kit, told

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


async def test_a_body_that_names_another_tenant_is_403_also_when_the_model_has_no_such_field(
    kit: Kit,
) -> None:
    response = await kit.send("POST", "/notes", {"title": "x", "tenantId": "elsewhere"})
    assert (response.status_code, told(response)["code"]) == (403, "tenant_mismatch")
    note = await a_note(kit)
    response = await kit.send("POST", f"/notes/{note}/seal", {"tenantId": 12})
    assert (response.status_code, told(response)["code"]) == (403, "tenant_mismatch")
    assert (await kit.send("POST", f"/notes/{note}/seal", {"tenantId": None})).status_code == 200


async def test_all_mistakes_come_at_once_under_the_names_the_caller_wrote(kit: Kit) -> None:
    response = await kit.send(
        "POST",
        "/notes",
        {
            "title": "x" * 21,
            "copies": "many",
            "changes": [{"operation": "burn"}, {"path": "", "operation": "add"}],
            "origin": "note-1",
        },
        if_match='W/"1"',
        idempotency_key="with a blank",
    )
    body = told(response)
    assert (response.status_code, body["code"]) == (400, "invalid_request")
    assert {row["field"]: (row["code"], row["message"]) for row in body["errors"]} == {
        "If-Match": ("invalid_format", 'Must be one ETag as we gave it, such as "12", or *.'),
        "Idempotency-Key": ("invalid_format", "Must be 1 to 255 visible ASCII characters."),
        "title": ("too_long", "Must have at most 20 characters."),
        "copies": ("invalid_type", "Must be a whole number."),
        "changes[0].path": ("required", "This field is required."),
        "changes[0].operation": ("not_allowed", "Must be one of 'add' or 'modify'."),
        "changes[1].path": ("too_short", "Must have at least 1 character."),
        "origin": ("invalid_format", "Must be an id such as note-<32 hex digits>."),
    }


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "A JSON body is needed"),
        (b"  \n", "A JSON body is needed"),
        (b"[1]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"title": "a", "title": "b"}', "'title' stands twice"),
        (b'{"extraData": {"a": {"b": 1, "b": 2}}}', "'b' stands twice"),
        (b'{"title": NaN}', "NaN is not JSON"),
        (b'{"weight": -Infinity}', "Infinity is not JSON"),
        (b'{"extraData": {"x": 1e999}}', "too large to keep"),
        (b'{"extraData": {"x": ' + b"1" * 5000 + b"}}", "too many digits"),
        (b'{"title": "\xff"}', "not valid UTF-8"),
        (b'{"title": "\\ud800"}', "surrogate"),
        (b'{"title": "a"', "not valid JSON"),
        (b'\xef\xbb\xbf{"title": "a"}', "not valid JSON"),
        (b'{"extraData": ' + b'{"a":' * 64 + b"1" + b"}" * 64 + b"}", "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
    ],
)
async def test_a_body_that_is_no_object_of_ours_is_400_with_a_sentence(
    kit: Kit, body: bytes, sentence: str
) -> None:
    response = await kit.send("POST", "/notes", body)
    assert response.status_code == 400
    assert sentence in told(response)["detail"]
    assert told(response)["errors"][0]["code"] == "invalid_json"


async def test_64_levels_are_taken_and_so_are_many_brackets_side_by_side(kit: Kit) -> None:
    deep: Any = 1
    for _ in range(62):
        deep = [deep]
    body = {"title": "a", "extraData": {"deep": deep}}
    assert (await kit.send("POST", "/notes", body)).status_code == 201
    wide = {"title": "b", "extraData": {"wide": [[] for _ in range(100)]}}
    assert (await kit.send("POST", "/notes", wide)).status_code == 201


async def test_an_empty_body_will_do_where_nothing_is_required(kit: Kit) -> None:
    assert (await kit.send("POST", f"/notes/{await a_note(kit)}/seal")).status_code == 200


async def test_unknown_fields_are_tolerated(kit: Kit) -> None:
    assert (await kit.send("POST", "/notes", {"title": "a", "colour": "red"})).status_code == 201


async def test_a_body_of_more_than_10_mb_is_413_by_its_length_or_by_its_word(kit: Kit) -> None:
    too_much = await kit.send("POST", "/notes", b" " * (10 * 1024 * 1024 + 1))
    assert (too_much.status_code, told(too_much)["code"]) == (413, "body_too_large")
    announced = await kit.send("POST", "/notes", b"", content_length="99999999999")
    assert announced.status_code == 413
    assert told(announced)["traceId"].startswith("trace-")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("Application/JSON; charset=UTF-8", 201),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/json", 415),
        ("", 415),
    ],
)
async def test_a_body_of_another_type_is_415(kit: Kit, content_type: str, status: int) -> None:
    response = await kit.send("POST", "/notes", {"title": "a"}, content_type=content_type)
    assert response.status_code == status
    if status == 415:
        assert told(response)["supported"] == ["application/json"]


async def test_a_compressed_body_is_415_and_an_absent_type_means_json(kit: Kit) -> None:
    assert (await kit.send("POST", "/notes", {"title": "a"}, content_encoding="gzip")).status_code == 415
    assert (await kit.send("POST", "/notes", {"title": "a"})).status_code == 201


async def test_a_raw_upload_says_its_type_and_comes_back_as_it_was(kit: Kit) -> None:
    path, picture = f"/notes/{NOBODY}/scan", b"\x89PNG\xff"
    response = await kit.send("PUT", path, picture, content_type="image/png", accept="image/*")
    assert (response.status_code, response.get_body(), response.mimetype) == (200, picture, "image/png")
    assert response.headers["Content-Disposition"] == "inline"
    assert (await kit.send("PUT", path, picture)).status_code == 415
    assert (await kit.send("PUT", path, picture, content_type="application/json")).status_code == 415
