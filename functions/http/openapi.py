"""The endpoint table as OpenAPI 3.1, one document per surface. Derived, never written by hand."""

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from functions.http.endpoint import Endpoint
from functions.http.errors import KeyReused

if TYPE_CHECKING:
    from functions.http.surface import Surface

type Node = dict[str, Any]
type Model = tuple[type[BaseModel], JsonSchemaMode]
type Refs = dict[Model, Node]

_REF = "#/components/schemas/{model}"
_ERROR = {"$ref": "#/components/responses/Error"}
_TRACEPARENT = {"traceparent": {"$ref": "#/components/headers/traceparent"}}
_IDEMPOTENCY_KEY = {"$ref": "#/components/parameters/IdempotencyKey"}
_IF_MATCH = {"$ref": "#/components/parameters/IfMatch"}
_BINARY: Node = {}


@cache
def document_of(surface: "Surface", version: str) -> bytes:
    """The document of a surface whose endpoints are all declared, as JSON bytes; built once."""
    return json.dumps(describe(surface, version), ensure_ascii=False).encode()


def describe(surface: "Surface", version: str) -> Node:
    endpoints = sorted(surface.endpoints, key=lambda one: (one.path, one.method))
    refs, schemas = _schemas(endpoints)
    paths: Node = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": surface.title, "version": version},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in sorted({_tag(endpoint) for endpoint in endpoints})],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": dict(surface.dialect.error_schema)},
            "responses": {
                "Error": {
                    "description": "What went wrong, and what to do about it.",
                    "headers": _TRACEPARENT,
                    "content": {
                        surface.dialect.error_type: {"schema": {"$ref": "#/components/schemas/Error"}}
                    },
                }
            },
            "headers": {
                "traceparent": {
                    "description": "The W3C trace context of this request.",
                    "schema": {"type": "string"},
                },
                "ETag": {
                    "description": "The revision of what is shown, where it has one; send it as If-Match.",
                    "schema": {"type": "string"},
                },
                "Location": {
                    "description": "Path of the thing that was made.",
                    "schema": {"type": "string"},
                },
            },
            "parameters": {"IdempotencyKey": _KEY_PARAMETER, "IfMatch": _MATCH_PARAMETER},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names this request: a repeat with the same key gets the first answer again, for 7 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_MATCH_PARAMETER = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the revision that the decision was made on.",
    "schema": {"type": "string", "examples": ['"12"']},
}


def _schemas(endpoints: list[Endpoint]) -> tuple[Refs, Node]:
    wanted: list[Model] = []
    for endpoint in endpoints:
        if endpoint.body is not None:
            wanted.append((endpoint.body, "validation"))
        if endpoint.view is not None:
            wanted.append((endpoint.view, "serialization"))
    refs, document = models_json_schema(wanted, by_alias=True, ref_template=_REF)
    return {model: refs[model] for model in wanted}, document.get("$defs", {})


def _operation(endpoint: Endpoint, refs: Refs) -> Node:
    operation: Node = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [_tag(endpoint)],
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint, refs),
        "security": [] if endpoint.is_public else [{"bearer": [endpoint.scope]}],
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.raw_body:
        operation["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": _BINARY} for media_type in endpoint.consumes},
        }
    elif endpoint.body is not None:
        content: Node = {"schema": refs[endpoint.body, "validation"]}
        if endpoint.examples is not None:
            content["example"] = endpoint.examples
        operation["requestBody"] = {
            "required": any(field.is_required() for field in endpoint.body.model_fields.values()),
            "content": dict.fromkeys(endpoint.consumes, content),
        }
    return operation


def _parameters(endpoint: Endpoint) -> list[Node]:
    parameters: list[Node] = [
        {"name": one.name, "in": "path", "required": True, "schema": one.adapter.json_schema()}
        for one in endpoint.params
    ]
    if endpoint.query is not None:
        schema = endpoint.query.model_json_schema(by_alias=True, ref_template=_REF)
        for name, described in schema["properties"].items():
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in schema.get("required", ()),
                    "schema": described,
                }
            )
    if endpoint.method != "GET":
        parameters += [_IF_MATCH] if endpoint.is_public else [_IDEMPOTENCY_KEY, _IF_MATCH]
    return parameters


def _responses(endpoint: Endpoint, refs: Refs) -> Node:
    headers: Node = dict(_TRACEPARENT)
    success: Node = {"description": "Done.", "headers": headers}
    if endpoint.view is None:
        if endpoint.status != 204:
            success["content"] = {"*/*": {"schema": _BINARY}}
    else:
        schema = refs[endpoint.view, "serialization"]
        if endpoint.paged:
            schema = _page_of(schema)
        else:
            headers["ETag"] = {"$ref": "#/components/headers/ETag"}
        if endpoint.location is not None:
            headers["Location"] = {"$ref": "#/components/headers/Location"}
        success["content"] = {offer.content_type: {"schema": schema} for offer in endpoint.dialect.offers}
    responses: Node = {str(endpoint.status): success}
    for status in _failures(endpoint):
        responses[str(status)] = _ERROR
    return {**responses, "default": _ERROR}


def _failures(endpoint: Endpoint) -> list[int]:
    """The statuses the kit itself can answer with here; what the domain adds falls under `default`."""
    statuses = [] if endpoint.is_public else [401, 403]
    if endpoint.params:
        statuses.append(404)
    if endpoint.method != "GET" or endpoint.query is not None:
        statuses.append(400)
    if endpoint.method != "GET":
        statuses += [409, endpoint.dialect.statuses.get(KeyReused, 422)]
    return sorted(set(statuses))


def _page_of(schema: Node) -> Node:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": schema},
            "next": {"type": ["string", "null"], "description": "Send it as `cursor` for the next page."},
        },
    }


def _tag(endpoint: Endpoint) -> str:
    """The first noun of the path: what lies together on the page lies together in the code."""
    segments = [part for part in endpoint.path.split("/") if part and not part.startswith("{")]
    return next((part for part in segments if part not in _VERSIONS), endpoint.surface)


_VERSIONS = frozenset({"api", "v1", "runtime"})
