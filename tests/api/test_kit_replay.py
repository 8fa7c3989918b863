"""Idempotency-Key: one effect, the same bytes again, another request refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.http.replay import stored_answer
from shared.services.once import IDEMPOTENCY_KEPT_FOR
from tests.api.kit_notes import TOKEN, Kit, Note, told


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(tmp_path)
    yield made
    await made.close()


async def test_a_replay_is_the_first_answer_byte_for_byte(kit: Kit) -> None:
    first = await kit.send("POST", "/notes", {"title": "hellø"}, idempotency_key="k1")
    again = await kit.send("POST", "/notes", {"title": "hellø"}, idempotency_key="k1")
    assert again.get_body() == first.get_body()
    assert again.status_code == first.status_code == 201
    ours = {"traceparent", "Idempotent-Replayed"}
    first_headers = {name: value for name, value in first.headers.items() if name not in ours}
    again_headers = {name: value for name, value in again.headers.items() if name not in ours}
    assert again_headers == first_headers
    assert again.mimetype == first.mimetype
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["traceparent"] != first.headers["traceparent"]


async def test_a_replay_answers_what_was_even_when_the_thing_has_moved_on(kit: Kit) -> None:
    first = await kit.send("POST", "/notes", {"title": "hello"}, idempotency_key="k1")
    await kit.send("POST", f"/notes/{told(first)['noteId']}/seal", {})
    again = await kit.send("POST", "/notes", {"title": "hello"}, idempotency_key="k1")
    assert (told(again)["status"], again.headers["ETag"]) == ("JustWritten", '"1"')


async def test_the_same_request_written_another_way_is_the_same_request(kit: Kit) -> None:
    note = told(await kit.send("POST", "/notes", {"title": "hello"}))["noteId"]
    one, two = b'{"reasonGiven":"x","a":1}', b'{ "a": 1, "reasonGiven": "x" }'
    assert (await kit.send("POST", f"/notes/{note}/seal", one, idempotency_key="k")).status_code == 200
    bare = note.removeprefix("note-")
    again = await kit.send("POST", f"/notes/{bare}/seal", two, idempotency_key="k")
    assert again.headers.get("Idempotent-Replayed") == "true"


async def test_another_body_under_the_same_key_is_422(kit: Kit) -> None:
    note = told(await kit.send("POST", "/notes", {"title": "hello"}))["noteId"]
    path = f"/notes/{note}/seal"
    await kit.send("POST", path, {"reasonGiven": "one"}, idempotency_key="k")
    response = await kit.send("POST", path, {"reasonGiven": "two"}, idempotency_key="k")
    assert (response.status_code, told(response)["code"]) == (422, "idempotency_key_reused")


async def test_keys_of_other_callers_and_operations_are_other_keys(kit: Kit) -> None:
    kit.tokens.known["bob"] = {**kit.tokens.known[TOKEN], "sub": "bob"}
    kit.tokens.known["bob-elsewhere"] = {**kit.tokens.known["bob"], "tenantId": "elsewhere"}
    answers = [
        await kit.send("POST", "/notes", {"title": "x"}, idempotency_key="k", token=token)
        for token in (TOKEN, "bob", "bob-elsewhere")
    ]
    notes = [told(answer)["noteId"] for answer in answers]
    assert len(set(notes)) == 3
    for note in notes[:2]:
        sealed = await kit.send("POST", f"/notes/{note}/seal", {}, idempotency_key="k")
        assert (sealed.status_code, "Idempotent-Replayed" in sealed.headers) == (200, False)


async def test_a_second_request_while_the_first_is_served_is_409_and_the_key_is_free_after_it(
    kit: Kit,
) -> None:
    first = asyncio.create_task(kit.send("POST", "/notes", {"title": "hold"}, idempotency_key="k"))
    await kit.notes.entered.wait()
    second = await kit.send("POST", "/notes", {"title": "hold"}, idempotency_key="k")
    assert (second.status_code, told(second)["code"]) == (409, "idempotency_in_progress")
    assert second.headers["Retry-After"] == "1"
    kit.notes.held.set()
    assert (await first).status_code == 201
    third = await kit.send("POST", "/notes", {"title": "hold"}, idempotency_key="k")
    assert (third.status_code, third.get_body()) == (201, (await first).get_body())


async def test_a_request_that_is_cancelled_or_fails_frees_its_key(kit: Kit) -> None:
    held = asyncio.create_task(kit.send("POST", "/notes", {"title": "hold"}, idempotency_key="k"))
    await kit.notes.entered.wait()
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    for _ in range(2):
        assert (await kit.send("POST", "/faults/bug", idempotency_key="f")).status_code == 500
    kit.notes.held.set()
    assert (await kit.send("POST", "/notes", {"title": "hold"}, idempotency_key="k")).status_code == 201


async def test_an_error_is_not_kept_so_that_a_retry_can_succeed(kit: Kit) -> None:
    note = told(await kit.send("POST", "/notes", {"title": "hello"}))["noteId"]
    stale = await kit.send("POST", f"/notes/{note}/seal", {}, idempotency_key="k", if_match='"9"')
    assert stale.status_code == 412
    assert (await kit.send("POST", f"/notes/{note}/seal", {}, idempotency_key="k")).status_code == 200


@pytest.mark.parametrize("key", ["", "a" * 256, "with a blank", "tab\t", "ключ"])
async def test_a_key_that_is_no_key_is_400(kit: Kit, key: str) -> None:
    response = await kit.send("POST", "/notes", {"title": "x"}, idempotency_key=key)
    assert (response.status_code, told(response)["errors"][0]["field"]) == (400, "Idempotency-Key")


async def test_a_get_ignores_the_key(kit: Kit) -> None:
    assert (await kit.send("GET", "/notes", idempotency_key="with a blank")).status_code == 200


async def test_the_marker_lies_beside_its_effect_and_holds_no_token(kit: Kit) -> None:
    response = await kit.send("POST", "/notes", {"title": "hello"}, idempotency_key="k1")
    note = told(response)["noteId"].removeprefix("note-")
    root = Note.__record__.root_of(note)
    [marker] = await kit.store.open("connectsoft").partition(root).scan("once:")
    assert marker.kind == "once"
    assert TOKEN not in str(marker.body)
    assert "k1" not in marker.id
    assert stored_answer(marker.body).body == response.get_body()
    kit.clock.advance(days=IDEMPOTENCY_KEPT_FOR.days, seconds=1)
    assert await kit.store.open("connectsoft").partition(root).scan("once:") == []


async def test_another_process_answers_with_the_bytes_of_the_first(kit: Kit, tmp_path: Path) -> None:
    winner = await kit.send("POST", "/notes", {"title": "hello"}, idempotency_key="k")
    other = Kit(tmp_path)
    loser = await other.send("POST", "/notes", {"title": "hello"}, idempotency_key="k")
    assert loser.get_body() == winner.get_body()
    await other.close()
