"""What is derived from the endpoint table, and the platform's own endpoints."""

import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_spec_validator import validate

from functions.http.health import VERSION, platform
from functions.http.openapi import describe, document_of
from functions.http.surface import Catalogue
from shared.domain.kernel.errors import Transient
from tests.api.kit_notes import CATALOGUE, Kit, told

PLATFORM: Catalogue = {"platform": platform}


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize("surface", [*CATALOGUE.values(), platform], ids=lambda surface: surface.name)
def test_every_surface_is_described_in_valid_openapi(surface: Any) -> None:
    document = json.loads(document_of(surface, "1.2.3"))
    validate(document)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {one["operationId"] for one in operations} == {one.name for one in surface.endpoints}
    assert document_of(surface, "1.2.3") is document_of(surface, "1.2.3"), "built once"


def test_an_operation_says_scope_parameters_body_example_and_answers() -> None:
    write = describe(CATALOGUE["notes"], "1")["paths"]["/notes"]["post"]
    assert write["operationId"] == "notes_write_note"
    assert write["summary"] == "Write a note."
    assert write["security"] == [{"bearer": ["notes.write"]}]
    assert write["parameters"] == [
        {"$ref": "#/components/parameters/IdempotencyKey"},
        {"$ref": "#/components/parameters/IfMatch"},
    ]
    assert write["requestBody"]["content"]["application/json"]["example"] == {"title": "hello"}
    assert list(write["responses"]["201"]["content"]) == ["application/json; version=1"]
    assert {"ETag", "Location", "traceparent"} == set(write["responses"]["201"]["headers"])
    assert {"201", "400", "401", "403", "409", "422", "default"} == set(write["responses"])


def test_names_and_ids_are_described_as_they_are_on_the_wire() -> None:
    document = describe(CATALOGUE["notes"], "1")
    schemas = document["components"]["schemas"]
    assert "extraData" in schemas["WriteNote"]["properties"]
    assert schemas["NoteView"]["properties"]["noteId"]["pattern"] == "^note-[0-9a-f]{32}$"
    listing = document["paths"]["/notes"]["get"]
    assert [one["name"] for one in listing["parameters"]] == ["limit", "cursor", "sinceNumber"]
    page = listing["responses"]["200"]["content"]["application/json; version=1"]["schema"]
    assert page["required"] == ["items", "next"]
    whoami = document["paths"]["/whoami"]["get"]
    assert whoami["security"] == []


async def test_a_surface_is_described_over_http_without_a_token(kit: Kit) -> None:
    response = await kit.send("GET", "/openapi/platform.json", token=None, catalogue=PLATFORM)
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert "/health" in told(response)["paths"]
    for unknown in ("nothing.json", "platform"):
        missing = await kit.send("GET", f"/openapi/{unknown}", token=None, catalogue=PLATFORM)
        assert missing.status_code == 404
        assert "platform.json" in told(missing)["detail"]


async def test_health_needs_nothing_but_the_process(kit: Kit) -> None:
    response = await kit.send(
        "GET", "/health", token=None, catalogue=PLATFORM, app=SimpleNamespace(), accept="text/plain"
    )
    assert (response.status_code, told(response)) == (200, {"status": "healthy", "version": VERSION})


async def test_ready_asks_the_store(kit: Kit) -> None:
    response = await kit.send("GET", "/ready", token=None, catalogue=PLATFORM)
    assert (response.status_code, told(response)["status"]) == (200, "ready")

    class Away:
        async def ready(self) -> None:
            raise Transient("The store does not answer; look at its disk.")

    away = SimpleNamespace(store=Away(), clock=kit.clock)
    response = await kit.send("GET", "/ready", token=None, catalogue=PLATFORM, app=away)
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert "Retry-After" in response.headers


def test_the_version_is_that_of_the_project() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == VERSION
