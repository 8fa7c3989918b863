"""Facts that leave a decision, and the envelope they travel in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.ids import parse_id

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


REMINDERS = (timedelta(seconds=20), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=20))


def with_reminders(command: Event, at: datetime) -> tuple[Event, ...]:
    """A command whose work takes long enough to be cut short, and `<type>Again` at growing distances.

    A message that meets three dying processes is dead-lettered, however innocent. The reminder takes the work
    up again; in the same session as the command it waits for a worker that is still at it, and finds the work
    done.
    """
    again = replace(command, type=f"{command.type}Again")
    return (command, *(replace(again, not_before=at + after) for after in REMINDERS))


def id_in(payload: Mapping[str, object], field: str, prefix: str) -> str:
    """The id in a message, in any written form. Permanent when there is none: the message is no use."""
    value = payload.get(field)
    found = parse_id(value, prefix) if isinstance(value, str) else None
    if found is None:
        raise Permanent(f"The message has no {field}; look at who sent it.")
    return found


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
