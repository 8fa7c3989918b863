"""The endpoint table as OpenAPI 3.1, one document per surface. Derived, never written by hand."""

import json
import re
import sys
from dataclasses import is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from functions.http.endpoint import Endpoint
from functions.http.openapi_examples import example_of
from functions.http.openapi_failures import response_name, responses_of, statuses_of
from functions.http.openapi_parts import HEADERS, PARAMETERS, RATE, introduction
from functions.http.openapi_schemas import Node, Refs, query_schema, schemas_of

if TYPE_CHECKING:
    from functions.http.surface import Surface

_BINARY: Node = {}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_VERSIONS = frozenset({"api", "v1", "runtime"})


@cache
def document_of(surface: "Surface", version: str) -> bytes:
    """The document of a surface whose endpoints are all declared, as JSON bytes; built once."""
    return json.dumps(describe(surface, version), ensure_ascii=False).encode()


def describe(surface: "Surface", version: str) -> Node:
    endpoints = sorted(surface.endpoints, key=lambda one: (one.path, one.method))
    refs, schemas = schemas_of(endpoints)
    reads = {_PLACEHOLDER.sub("{}", one.path): one for one in endpoints if one.method == "GET"}
    paths: Node = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, refs, schemas)
        if link := _link(endpoint, reads):
            operation["responses"][str(endpoint.status)]["links"] = link
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": surface.title,
            "version": version,
            "description": introduction(surface.dialect),
        },
        "servers": [{"url": "/"}],
        "tags": _tags(endpoints),
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": dict(surface.dialect.error_schema)},
            "responses": responses_of(surface.dialect, endpoints),
            "headers": {**HEADERS, **_constants(surface.dialect.headers)},
            "parameters": PARAMETERS,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of the issuer; each operation names the scope it needs.",
                }
            },
        },
    }


def _operation(endpoint: Endpoint, refs: Refs, schemas: Node) -> Node:
    operation: Node = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [_tag(endpoint)],
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint, refs, schemas),
        "security": [] if endpoint.is_public else [{"bearer": [endpoint.scope]}],
    }
    description = [endpoint.description]
    if not endpoint.is_public:
        description.append(f"Needs the scope `{endpoint.scope}`.")
    if endpoint.deprecated is not None:
        since, _, until = endpoint.deprecated.partition("/")
        operation["deprecated"] = True
        description.append(f"Deprecated since {since}; served until {until}.")
    if told := "\n\n".join(filter(None, description)):
        operation["description"] = told
    if endpoint.raw_body:
        operation["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": _BINARY} for media_type in endpoint.consumes},
        }
    elif endpoint.body is not None:
        schema = refs[endpoint.body, "validation"]
        example = endpoint.examples or example_of(schema, schemas, is_request=True)
        operation["requestBody"] = {
            "required": any(field.is_required() for field in endpoint.body.model_fields.values()),
            "content": {one: {"schema": schema, "example": example} for one in endpoint.consumes},
        }
    return operation


def _parameters(endpoint: Endpoint) -> list[Node]:
    parameters = [_path_parameter(one.name, one.adapter.json_schema()) for one in endpoint.params]
    if endpoint.query is not None:
        schema = query_schema(endpoint.query)
        for name, described in schema["properties"].items():
            parameter = {"name": name, "in": "query", "required": name in schema.get("required", ())}
            if "description" in described:
                parameter["description"] = described["description"]
            if parameter["required"]:
                parameter["example"] = example_of(described, {}, name)
            parameters.append({**parameter, "schema": described})
    if endpoint.method != "GET" and not endpoint.is_public:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if endpoint.reads_if_match:
        parameters.append({"$ref": "#/components/parameters/IfMatch"})
    return parameters


def _path_parameter(name: str, schema: Node) -> Node:
    example = example_of(schema, {}, name)
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": example}


def _responses(endpoint: Endpoint, refs: Refs, schemas: Node) -> Node:
    headers = _header_refs(endpoint, "traceparent", *endpoint.dialect.headers)
    success: Node = {"description": "Done." if endpoint.method != "GET" else "Found.", "headers": headers}
    if not endpoint.is_public:
        headers |= _header_refs(endpoint, *RATE)
        if endpoint.method != "GET":
            headers |= _header_refs(endpoint, "Idempotent-Replayed")
    if endpoint.dialect.echoes_request_id:
        headers |= _header_refs(endpoint, "X-Request-Id")
    if endpoint.view is None:
        if endpoint.status != 204:
            success["content"] = {"*/*": {"schema": _BINARY}}
    else:
        schema: Node = refs[endpoint.view, "serialization"]
        if endpoint.paged:
            schema = endpoint.dialect.page_schema(endpoint.items, schema)
        content = {"schema": schema, "example": example_of(schema, schemas)}
        success["content"] = {offer.content_type: content for offer in endpoint.dialect.offers}
    if _has_revision(endpoint):
        headers |= _header_refs(endpoint, "ETag")
    if endpoint.location is not None:
        headers |= _header_refs(endpoint, "Location")
    responses: Node = {str(endpoint.status): success}
    if endpoint.method == "GET" and (_has_revision(endpoint) or endpoint.view is None):
        responses["304"] = {
            "description": "What If-None-Match names is still the current revision.",
            "headers": _header_refs(endpoint, "ETag", "traceparent"),
        }
    for status in statuses_of(endpoint):
        responses[str(status)] = {"$ref": f"#/components/responses/{response_name(status)}"}
    return responses


def _header_refs(endpoint: Endpoint, *names: str) -> Node:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, *endpoint.farewell)}


def _constants(headers: Any) -> Node:
    return {
        name: {"schema": {"const": value}, "description": "Always this."} for name, value in headers.items()
    }


def _has_revision(endpoint: Endpoint) -> bool:
    """Whether the answer has an ETag: render puts one wherever the result has a `revision`."""
    result = endpoint.result
    if endpoint.paged or endpoint.view is None or not isinstance(result, type):
        return False
    fields = result.__dataclass_fields__ if is_dataclass(result) else {}
    return "revision" in fields or hasattr(result, "revision")


def _link(endpoint: Endpoint, reads: dict[str, Endpoint]) -> Node | None:
    """From what was made to the operation that reads it, where Location leads to one."""
    if endpoint.location is None or endpoint.view is None:
        return None
    target = reads.get(_PLACEHOLDER.sub("{}", endpoint.location))
    if target is None:
        return None
    name, field = next(iter(endpoint.view.model_fields.items()))
    values = [
        f"$response.body#/{field.serialization_alias or name}" if part == "id" else f"$request.path.{part}"
        for part in _PLACEHOLDER.findall(endpoint.location)
    ]
    names = [param.name for param in target.params]
    parameters = dict(zip(names, values, strict=True))
    return {target.name: {"operationId": target.name, "parameters": parameters}}


def _tags(endpoints: list[Endpoint]) -> list[Node]:
    told: dict[str, str] = {}
    for endpoint in endpoints:
        told.setdefault(
            _tag(endpoint), " ".join((sys.modules[endpoint.handler.__module__].__doc__ or "").split())
        )
    return [{"name": name, "description": text} for name, text in sorted(told.items())]


def _tag(endpoint: Endpoint) -> str:
    """The first noun of the path: what lies together on the page lies together in the code."""
    segments = [part for part in endpoint.path.split("/") if part and not part.startswith("{")]
    return next((part for part in segments if part not in _VERSIONS), endpoint.surface)
