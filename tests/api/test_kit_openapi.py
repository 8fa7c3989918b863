"""What is derived from the endpoint table, and the platform's own endpoints."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from functions.api.platform.surface import VERSION, platform
from functions.http.dialects import DEVOPS
from functions.http.endpoint import Call, Raw
from functions.http.openapi import describe, document_of
from functions.http.surface import Catalogue, Surface
from functions.routes import declared
from shared.domain.kernel.errors import Transient
from shared.domain.kernel.policy import PUBLIC
from shared.ports.telemetry import OFF
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
    assert write["description"] == "Needs the scope `notes.write`."
    assert write["security"] == [{"bearer": ["notes.write"]}]
    assert write["parameters"] == [{"$ref": "#/components/parameters/IdempotencyKey"}]
    assert write["requestBody"]["content"]["application/json"]["example"] == {"title": "hello"}
    assert list(write["responses"]["201"]["content"]) == ["application/json; version=1"]
    assert {"ETag", "Location", "traceparent", "Idempotent-Replayed"} < set(
        write["responses"]["201"]["headers"]
    )
    seal = describe(CATALOGUE["notes"], "1")["paths"]["/notes/{noteId}/seal"]["post"]
    assert {"$ref": "#/components/parameters/IfMatch"} in seal["parameters"], "its handler reads it"


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/notes", "post", "201 400 401 403 404 406 409 413 415 422 429 500 503"),
        ("/notes", "get", "200 400 401 403 406 422 429 500 503"),
        ("/notes/{noteId}", "get", "200 304 401 403 404 406 422 429 500 503"),
        ("/notes/{noteId}", "delete", "204 400 401 403 404 406 409 422 429 500 503"),
        ("/notes/{noteId}/seal", "post", "200 400 401 403 404 406 409 412 413 415 422 429 500 503"),
        ("/notes/{noteId}/scan", "put", "200 400 401 403 404 409 413 415 422 429 500 503"),
        ("/whoami", "get", "200 304 500 503"),
    ],
)
def test_an_operation_declares_the_statuses_that_it_can_answer_with(
    path: str, method: str, statuses: str
) -> None:
    operation = describe(CATALOGUE["notes"], "1")["paths"][path][method]
    assert sorted(operation["responses"]) == statuses.split()


def test_a_dialect_declares_its_own_statuses() -> None:
    for name, missing in (("delivery", "412 422"), ("orchestrator", "406 412 413 415 503")):
        operation = describe(CATALOGUE[name], "1")["paths"][f"/{name}/notes/{{noteId}}/seal"]["post"]
        assert not set(missing.split()) & set(operation["responses"]), name


@pytest.mark.parametrize(
    "surface", [*CATALOGUE.values(), *declared().values()], ids=lambda surface: surface.name
)
def test_every_example_is_what_its_schema_says(surface: Surface) -> None:
    document = describe(surface, "1")
    root = {"$id": "urn:document", "components": document["components"]}
    seen = 0
    for where, content in contents(document):
        if where.endswith("request") and is_of_the_contract(content["example"]):
            continue
        schema = absolute(content["schema"])
        registry: Any = Registry().with_resource("urn:document", DRAFT202012.create_resource(root))
        checker = OAS31Validator(schema, registry=registry)
        told = content.get("examples") or {"": {"value": content["example"]}}
        for one in told.values():
            assert [*checker.iter_errors(one["value"])] == [], where
            seen += 1
    assert seen


def contents(document: Any) -> Iterator[tuple[str, Any]]:
    """Every body that has a model, of requests, of answers and of failures."""
    found = [(name, one["content"]) for name, one in document["components"]["responses"].items()]
    for path in document["paths"].values():
        for operation in path.values():
            name = operation["operationId"]
            found.append((f"{name} request", operation.get("requestBody", {}).get("content", {})))
            found += [(name, one.get("content", {})) for one in operation["responses"].values()]
    return ((where, one) for where, content in found for one in content.values() if one["schema"])


def absolute(schema: Any) -> Any:
    return json.loads(json.dumps(schema).replace('"#/components/', '"urn:document#/components/'))


def is_of_the_contract(example: Any) -> bool:
    """The contract shortens its ids."""
    return isinstance(example, dict) and any(
        re.fullmatch(r"(repo|build)-[0-9a-f]{4}", str(value)) for value in example.values()
    )


def test_states_are_told_as_the_view_writes_them() -> None:
    view = describe(CATALOGUE["notes"], "1")["components"]["schemas"]["NoteView"]
    assert view["properties"]["status"] == {"type": "string", "enum": ["JustWritten", "Sealed"]}
    assert "remark" not in view["required"], "what has no value is left out"
    assert view["properties"]["remark"] == {"type": "string"}


def test_what_was_made_leads_to_the_operation_that_reads_it() -> None:
    made = describe(CATALOGUE["notes"], "1")["paths"]["/notes"]["post"]["responses"]["201"]
    assert made["links"] == {
        "notes_get_note": {
            "operationId": "notes_get_note",
            "parameters": {"noteId": "$response.body#/noteId"},
        }
    }


def test_a_resource_is_introduced_by_its_module() -> None:
    tags = {tag["name"]: tag["description"] for tag in describe(platform, "1")["tags"]}
    assert tags["health"].startswith("Whether this installation is up")


async def test_a_deprecated_operation_says_since_when_and_until_when(kit: Kit) -> None:
    catalogue: Catalogue = {}
    old = Surface("old", title="Old", dialect=DEVOPS, catalogue=catalogue)

    @old.get("/ping", scope=PUBLIC, deprecated="2026-06-30/2026-12-31")
    async def ping(call: Call) -> Raw:
        """Answer."""
        return Raw(b"", "text/plain", {})

    answer = await kit.send("GET", "/ping", token=None, catalogue=catalogue)
    assert answer.headers["Deprecation"] == "@1782777600"
    assert answer.headers["Sunset"] == "Thu, 31 Dec 2026 23:59:59 GMT"
    operation = describe(old, "1")["paths"]["/ping"]["get"]
    assert operation["deprecated"] is True
    assert operation["description"] == "Deprecated since 2026-06-30; served until 2026-12-31."
    assert {"Deprecation", "Sunset"} < set(operation["responses"]["200"]["headers"])
    for wrong in ("soon", "2026-12-31/2026-06-30"):
        with pytest.raises(TypeError, match="old_ping"):
            old.get("/pong", scope=PUBLIC, deprecated=wrong)(ping)


async def test_the_page_shows_every_surface_and_runs_only_its_own_files(kit: Kit) -> None:
    page = await kit.send("GET", "/docs", token=None, catalogue=PLATFORM)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = page.get_body().decode()
    assert "://" not in text, "nothing comes from elsewhere"
    for name in re.findall(r'(?:src|href)="([^"]+)"', text):
        file = await kit.send("GET", f"/{name}", token=None, catalogue=PLATFORM)
        assert file.status_code == 200
        assert len(file.get_body()) > 100
        assert file.mimetype in {"text/css", "text/javascript", "image/png"}
        again = await kit.send(
            "GET", f"/{name}", token=None, catalogue=PLATFORM, if_none_match=file.headers["ETag"]
        )
        assert (again.status_code, again.get_body()) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
    start = await kit.send("GET", "/docs/start.js", token=None, catalogue=PLATFORM)
    for surface in declared().values():
        assert f"openapi/{surface.name}.json" in start.get_body().decode()


@pytest.mark.parametrize(
    "name", ["nope.js", "..", "%2e%2e", "..%2f__init__.py", "index.html", "swagger-ui.css%00"]
)
async def test_no_other_file_can_be_had(kit: Kit, name: str) -> None:
    answer = await kit.send("GET", f"/docs/{name}", token=None, catalogue=PLATFORM)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_a_cold_start_builds_no_document_and_reads_no_page() -> None:
    loaded = "import sys, functions.api.platform.documents; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout
    assert not {"functions.http.openapi", "functions.http.docs", "openapi_ui_bundles"} & set(told.split())


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
        "GET",
        "/health",
        token=None,
        catalogue=PLATFORM,
        app=SimpleNamespace(telemetry=OFF, signer=None),
        accept="text/plain",
    )
    assert (response.status_code, told(response)) == (200, {"status": "healthy", "version": VERSION})


async def test_ready_asks_the_store(kit: Kit) -> None:
    response = await kit.send("GET", "/ready", token=None, catalogue=PLATFORM)
    assert (response.status_code, told(response)["status"]) == (200, "ready")

    class Away:
        async def ready(self) -> None:
            raise Transient("The store does not answer; look at its disk.")

    away = SimpleNamespace(store=Away(), clock=kit.clock, telemetry=OFF, signer=None)
    response = await kit.send("GET", "/ready", token=None, catalogue=PLATFORM, app=away)
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert "Retry-After" in response.headers


def test_the_version_is_that_of_the_project() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == VERSION
