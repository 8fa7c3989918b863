"""What a decision returns: the new state of one thing and the facts that follow from it."""

from dataclasses import dataclass

from shared.domain.kernel.events import Event


@dataclass(frozen=True, slots=True)
class Change[T]:
    """The outcome of one verb on one entity. `action` is the audit word, as in `release.approved`; `reason`
    is why, where whoever did it had to say so."""

    entity: T
    action: str
    events: tuple[Event, ...] = ()
    reason: str = ""
