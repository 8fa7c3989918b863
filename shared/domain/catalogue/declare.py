"""How an event type is declared: a row of fields says what its payload holds; its JSON Schema follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

type Schema = Mapping[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ADDRESS = "https://slipway.dev/events"
"""Where the schemas call themselves; they refer to nothing outside."""

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITION: Schema = {"type": "integer"}
TIME: Schema = {"type": "string", "format": "date-time"}
SHA: Schema = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
DIGEST: Schema = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
ACTOR: Schema = {**NAME, "description": "Who decided: `user:ann`, `agent:Planner`, `service:promotions`."}


def id_of(prefix: str) -> Schema:
    """An id as every surface writes it."""
    return {"type": "string", "pattern": f"^{prefix}-[0-9a-f]{{32}}$"}


def one_of(words: type[StrEnum]) -> Schema:
    """A word of a closed list. Consumers must bear a new one: it is an addition, not a break."""
    return {"type": "string", "examples": [str(word) for word in words]}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def shape(**fields: Schema) -> Schema:
    """An object with these members; others may join them."""
    return {"type": "object", "properties": fields, "required": sorted(fields)}


class Kind(StrEnum):
    EVENT = "event"
    """A fact for whoever subscribes."""
    COMMAND = "command"
    """Work for exactly one worker of this installation; no part of the public stream."""


@dataclass(frozen=True, slots=True)
class EventType:
    """`fields` are in every payload, `optional` in some. Fields are only ever added; what would break a
    consumer is a new type. Every payload also has its `actor`."""

    name: str
    summary: str
    fields: Mapping[str, Schema]
    optional: Mapping[str, Schema] = field(default_factory=dict)
    kind: Kind = Kind.EVENT

    def payload(self) -> Schema:
        return {
            "type": "object",
            "properties": {**self.fields, **self.optional, "actor": ACTOR},
            "required": sorted((*self.fields, "actor")),
        }

    def schema(self) -> Schema:
        """Of the whole message: the envelope with this payload."""
        return {
            "$schema": DIALECT,
            "$id": f"{ADDRESS}/{self.name}.json",
            "title": self.name,
            "description": self.summary,
            "x-kind": str(self.kind),
            "type": "object",
            "properties": {**ENVELOPE, "eventType": {"const": self.name}, "payload": self.payload()},
            "required": list(REQUIRED),
        }


ENVELOPE: Schema = {
    "eventId": {"type": "string", "pattern": "^evt-", "description": "What consumers deduplicate on."},
    "eventType": NAME,
    "tenantId": NAME,
    "projectId": {**NAME, "description": "Where the fact belongs to a project."},
    "moduleId": {**NAME, "description": "Where the fact belongs to a module."},
    "traceId": {"type": "string", "pattern": "^trace-[0-9a-f]{32}$"},
    "correlationId": {**NAME, "description": "One whole workflow."},
    "causationId": {**NAME, "description": "The event that this one follows from."},
    "occurredAt": TIME,
    "payload": {"type": "object"},
}
REQUIRED = ("correlationId", "eventId", "eventType", "occurredAt", "payload", "tenantId", "traceId")


def envelope_schema() -> Schema:
    """Of any message, whatever its type."""
    return {
        "$schema": DIALECT,
        "$id": f"{ADDRESS}/envelope.json",
        "title": "Envelope",
        "description": "What every event and command travels in. Only the payload varies by type.",
        "type": "object",
        "properties": ENVELOPE,
        "required": list(REQUIRED),
    }
