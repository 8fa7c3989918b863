"""Facts that leave a decision, and the envelope they travel in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact (NounVerbPastTense) or one command to a worker (VerbNoun), before it has an identity.

    `payload` is JSON-ready. `not_before` delays its delivery; `session` overrides the order it is
    delivered in
    (default: the root it was decided in).
    """

    type: str
    payload: Mapping[str, object]
    project: str | None = None
    module: str | None = None
    not_before: datetime | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event on its way. `event_id` is what consumers deduplicate on."""

    event_id: str
    event_type: str
    tenant: str
    trace_id: str
    correlation_id: str
    occurred_at: datetime
    payload: Mapping[str, object]
    causation_id: str | None = None
    project: str | None = None
    module: str | None = None
    schema_version: str = field(default=SCHEMA_VERSION)
