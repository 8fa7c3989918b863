"""The models that validate and render, as JSON schemas: ids, names and states as they are on the wire."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, NotRequired, TypedDict, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from functions.http.endpoint import Endpoint
from functions.http.fields import Reference, View, WireId

type Node = dict[str, Any]
type Model = tuple[type[BaseModel], JsonSchemaMode]
type Refs = dict[Model, Node]

REF = "#/components/schemas/{model}"
_PREFIX = REF.format(model="")


def schemas_of(endpoints: Iterable[Endpoint]) -> tuple[Refs, Node]:
    """A reference per body and view, and what the references name."""
    endpoints = list(endpoints)
    wanted: dict[Model, None] = {}
    for endpoint in endpoints:
        if endpoint.body is not None:
            wanted[endpoint.body, "validation"] = None
        if endpoint.view is not None:
            wanted |= {(view, "serialization"): None for view in _with_inner(endpoint.view)}
    refs, document = models_json_schema(
        list(wanted), by_alias=True, ref_template=REF, schema_generator=_WireSchema
    )
    schemas: Node = document.get("$defs", {})
    words: dict[tuple[str, str], dict[str, None]] = {}
    for endpoint in endpoints:
        if endpoint.view is not None:
            for view, name, said in _words(endpoint.view, endpoint.result):
                key = refs[view, "serialization"]["$ref"].removeprefix(_PREFIX), name
                words.setdefault(key, {}).update(dict.fromkeys(said))
    for (schema, name), known in words.items():
        schemas[schema]["properties"][name].setdefault("enum", list(known))
    return {model: refs[model] for model in wanted}, schemas


def query_schema(model: type[BaseModel]) -> Node:
    """The schema of query parameters, which has no definitions of its own."""
    document = model.model_json_schema(by_alias=True, schema_generator=_QuerySchema)
    definitions = document.pop("$defs", {})
    for name, described in document["properties"].items():
        document["properties"][name] = _inlined(described, definitions)
    return document


def refers_to_things(model: type[BaseModel] | None) -> bool:
    """Whether a request of this model can name a thing that is not there."""
    if model is None:
        return False
    return any(
        isinstance(mark, WireId | Reference) or (isinstance(mark, type) and refers_to_things(_model(mark)))
        for field in model.model_fields.values()
        for mark in (*field.metadata, *_parts(field.annotation))
    )


class _WireSchema(GenerateJsonSchema):
    """Views leave None out: an optional member of theirs is absent, never null; the others always stand."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        if self.knows_null():
            return super().nullable_schema(schema)
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") is None and not self.knows_null():
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def knows_null(self) -> bool:
        return self.mode == "validation"

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if self.mode == "serialization" and field["type"] == "model-field":
            return not _may_be_none(field["schema"])
        return super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


class _QuerySchema(_WireSchema):
    """A query has no way to say null."""

    def knows_null(self) -> bool:
        return False


class _Core(TypedDict):
    type: str
    schema: NotRequired["_Core"]


def _may_be_none(schema: object) -> bool:
    inner: _Core | None = cast(_Core, schema)
    while inner is not None:
        if inner["type"] in {"nullable", "any", "none"}:
            return True
        inner = inner.get("schema") if inner["type"].startswith(("default", "function-")) else None
    return False


def _inlined(node: Node, definitions: Node) -> Node:
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in node:
        return node | {"anyOf": [_inlined(one, definitions) for one in node["anyOf"]]}
    return node


def _words(view: type[View], result: object) -> Iterator[tuple[type[View], str, list[str]]]:
    """The states a view can show: the members of the entity's enum, as the view's field writes them."""
    shown = [one for one in _parts(result) if isinstance(one, type)]
    is_made_over = bool(cast(Any, view).__pydantic_decorators__.model_validators)
    for entity in shown:
        hints = _hints(entity)
        for name, field in view.model_fields.items():
            attribute = field.validation_alias
            hint = hints.get(attribute if isinstance(attribute, str) else name)
            if hint is None:
                continue
            for inner in _inner(field):
                yield from _words(inner, hint)
            enum = next(
                (one for one in _parts(hint) if isinstance(one, type) and issubclass(one, StrEnum)), None
            )
            # A view that is made out of something else first may put other words into a plain text.
            if enum is not None and str in _parts(field.annotation) and (field.metadata or not is_made_over):
                yield view, field.serialization_alias or name, _written(field, enum)


def _written(field: FieldInfo, enum: type[StrEnum]) -> list[str]:
    written: Any = field.annotation
    for mark in field.metadata:
        written = Annotated[written, mark]
    adapter = TypeAdapter[str](written)
    return list(dict.fromkeys(str(adapter.validate_python(member)) for member in enum))


def _hints(entity: type) -> dict[str, Any]:
    hints = get_type_hints(entity) if hasattr(entity, "__annotations__") else {}
    for name, member in vars(entity).items():
        if isinstance(member, property) and member.fget is not None:
            hints[name] = get_type_hints(member.fget).get("return")
    return hints


def _with_inner(view: type[View]) -> Iterator[type[View]]:
    yield view
    for field in view.model_fields.values():
        for inner in _inner(field):
            yield from _with_inner(inner)


def _inner(field: FieldInfo) -> list[type[View]]:
    return [one for one in _parts(field.annotation) if isinstance(one, type) and issubclass(one, View)]


def _parts(annotation: object) -> list[object]:
    """The plain types and marks an annotation is made of: `tuple[A, ...] | None` is of A and None."""
    if get_origin(annotation) is None and not isinstance(annotation, UnionType):
        return [annotation]
    parts = [part for argument in get_args(annotation) for part in _parts(argument)]
    return (
        parts if get_origin(annotation) in {Union, UnionType, Annotated} else [*parts, get_origin(annotation)]
    )


def _model(annotation: type) -> type[BaseModel] | None:
    return annotation if issubclass(annotation, BaseModel) else None
