"""The published contract holds still: what changes is noticed, and what breaks callers is announced."""

from copy import deepcopy
from typing import Any

import pytest

from tests.support.contract import announced, changes, published, snapshots, unannounced, written
from tests.support.contract_changes import Node, compare


def test_nothing_breaks_callers_unannounced() -> None:
    """Announce it in CHANGELOG.md: a line that starts with `- BREAKING` and names the operation."""
    assert [str(one) for one in unannounced()] == []


def test_the_snapshots_are_what_is_published() -> None:
    """Run `python -m tests.support.contract update` and commit what it writes."""
    kept, now = snapshots(), published()
    assert sorted(kept) == sorted(now)
    assert [name for name in now if written(now[name]) != written(kept[name])] == [], [*map(str, changes())]


def test_a_line_of_the_changelog_announces_the_operations_that_it_names() -> None:
    told = "- BREAKING `notes_write`, notes_read: titles are shorter.\n- Notes: notes_list is new.\n"
    assert {"notes_write", "notes_read"} <= announced(told)
    assert "notes_list" not in announced(told)


def a_document() -> Node:
    """One operation with everything that can change."""
    note = {
        "type": "object",
        "required": ["id", "status"],
        "properties": {
            "id": {"type": "string"},
            "status": {"type": "string", "enum": ["Open", "Sealed"]},
            "weight": {"type": "number"},
            "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
        },
    }
    draft = {
        "type": "object",
        "required": ["title"],
        "properties": {
            "title": {"type": "string", "maxLength": 200},
            "kind": {"type": "string", "enum": ["memo", "letter"]},
            "copies": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        },
    }
    line = {"type": "object", "properties": {"text": {"type": "string"}}}
    operation = {
        "operationId": "notes_write",
        "security": [{"bearer": ["notes.write"]}],
        "parameters": [
            {"$ref": "#/components/parameters/Key"},
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "maximum": 100},
            },
        ],
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Draft"}}},
        },
        "responses": {
            "201": {
                "headers": {"ETag": {}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}},
            },
            "409": {"content": {}},
        },
    }
    return {
        "paths": {"/notes": {"post": operation}},
        "components": {
            "schemas": {"Note": note, "Draft": draft, "Line": line},
            "parameters": {"Key": {"name": "Key", "in": "header", "required": False, "schema": {}}},
        },
    }


WRITE = "paths /notes post"
DRAFT = "components schemas Draft"
NOTE = "components schemas Note"
JSON = "content application/json"
GONE = object()

# What is changed, to what, whether that breaks callers, and a part of what is said of it.
TABLE: list[tuple[str, Any, bool, str]] = [
    (WRITE, GONE, True, "is removed"),
    (f"{WRITE} security", [{"bearer": ["notes.admin"]}], True, "needs notes.admin instead of notes.write"),
    (f"{WRITE} deprecated", True, False, "is deprecated"),
    (f"{WRITE} summary", "Write.", False, "other words"),
    (f"{WRITE} parameters 1", GONE, True, "query parameter limit is removed"),
    (f"{WRITE} parameters 1 required", True, True, "limit is required now"),
    (f"{WRITE} parameters 1 schema maximum", 50, True, "maximum is 50 instead of 100"),
    (f"{WRITE} parameters 1 schema maximum", 500, False, "maximum is 500 instead of 100"),
    ("components parameters Key required", True, True, "header parameter Key is required now"),
    (f"{WRITE} requestBody", GONE, True, "takes no body any more"),
    (f"{WRITE} requestBody required", True, True, "the body is required now"),
    (f"{WRITE} requestBody {JSON}", GONE, True, "the body is no longer application/json"),
    (f"{WRITE} requestBody content text/csv", {"schema": {}}, False, "the body may be text/csv"),
    (f"{DRAFT} properties title", GONE, True, "the body.title is removed"),
    (f"{DRAFT} properties title maxLength", 20, True, "maxLength is 20 instead of 200"),
    (f"{DRAFT} properties title maxLength", 900, False, "maxLength is 900 instead of 200"),
    (f"{DRAFT} properties title pattern", "^a", True, "pattern is ^a instead of None"),
    (f"{DRAFT} properties title type", "integer", True, "is integer instead of string"),
    (
        f"{DRAFT} properties copies",
        {"type": "integer", "minimum": 1},
        True,
        "is integer instead of integer or null",
    ),
    (f"{DRAFT} properties copies anyOf 0 minimum", 2, True, "minimum is 2 instead of 1"),
    (f"{DRAFT} properties copies anyOf 2", {"type": "string"}, False, "is integer or null or string instead"),
    (f"{DRAFT} properties kind enum", ["memo"], True, "the word letter is removed"),
    (f"{DRAFT} properties kind enum", ["memo", "letter", "fax"], False, "the word fax is new"),
    (f"{DRAFT} properties kind enum", GONE, False, "may be any word now"),
    (f"{DRAFT} properties title enum", ["a"], True, "is one of ['a'] now"),
    (f"{DRAFT} properties colour", {"type": "string"}, False, "the body.colour is new"),
    (f"{DRAFT} required", ["title", "kind"], True, "the body.kind is required now"),
    (f"{DRAFT} required", [], False, "the body.title is optional now"),
    (f"{DRAFT} additionalProperties", False, True, "additionalProperties is False"),
    (f"{WRITE} responses 201", GONE, True, "status 201 is removed"),
    (f"{WRITE} responses 202", {}, True, "status 202 is new"),
    (f"{WRITE} responses 409", GONE, False, "status 409 is removed"),
    (f"{WRITE} responses 429", {}, False, "status 429 is new"),
    (f"{WRITE} responses 201 headers ETag", GONE, True, "header ETag is removed"),
    (f"{WRITE} responses 201 {JSON}", GONE, True, "status 201 is no longer application/json"),
    (f"{NOTE} properties weight", GONE, True, "status 201.weight is removed"),
    (f"{NOTE} properties colour", {"type": "string"}, False, "status 201.colour is new"),
    (f"{NOTE} properties status enum", ["Open"], True, "the word Sealed is removed"),
    (f"{NOTE} properties status enum", ["Open", "Sealed", "Burnt"], False, "the word Burnt is new"),
    (f"{NOTE} properties status enum", GONE, True, "may be any word now"),
    (f"{NOTE} properties id type", ["string", "null"], True, "is null or string instead of string"),
    (f"{NOTE} properties weight type", "integer", True, "is integer instead of number"),
    (f"{NOTE} required", ["id"], True, "status 201.status is optional now"),
    (f"{NOTE} required", ["id", "status", "weight"], False, "status 201.weight is required now"),
    ("components schemas Line properties text", GONE, True, "status 201.lines[].text is removed"),
]


@pytest.mark.parametrize(("place", "value", "is_breaking", "said"), TABLE)
def test_a_change_is_told_and_judged(place: str, value: Any, is_breaking: bool, said: str) -> None:
    changed = set_in(a_document(), place.split(), value)
    found = [one for one in compare(a_document(), changed) if said in one.what]
    assert [one.is_breaking for one in found] == [is_breaking]
    assert found[0].operation == "notes_write"


def test_an_operation_that_moves_or_is_new_is_told() -> None:
    moved = a_document()
    moved["paths"] = {"/memos": moved["paths"]["/notes"]}
    assert [*map(str, compare(a_document(), moved))] == ["notes_write: moves from POST /notes to POST /memos"]
    more = a_document()
    more["paths"]["/notes"]["get"] = {**more["paths"]["/notes"]["post"], "operationId": "notes_read"}
    assert [(one.operation, one.is_breaking) for one in compare(a_document(), more)] == [
        ("notes_read", False)
    ]


def test_the_same_contract_has_not_changed() -> None:
    assert compare(a_document(), a_document()) == []
    for document in published().values():
        assert compare(document, deepcopy(document)) == []


def set_in(document: Node, path: list[str], value: Any) -> Node:
    """`document` with `value` at `path`, or without what is there."""
    *way, last = path
    place: Any = document
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    key: Any = int(last) if isinstance(place, list) else last
    if value is GONE:
        del place[key]
    elif isinstance(place, list) and key == len(place):
        place.append(value)
    else:
        place[key] = value
    return document
