"""What a queue is told when it is made, in the property names of Azure Resource Manager."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
STANDARD_MESSAGE = 256 * 1024
LONGEST_LOCK = 300.0


class BadEntity(ValueError):
    """A definition that Azure would refuse."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Durations are seconds; None is for ever."""

    name: str
    requires_session: bool = False
    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: float = 600.0
    lock_duration: float = 60.0
    max_delivery_count: int = 10
    default_message_time_to_live: float | None = None
    dead_lettering_on_message_expiration: bool = False
    enable_partitioning: bool = False
    max_message_size: int = STANDARD_MESSAGE

    def __post_init__(self) -> None:
        if not 5 <= self.lock_duration <= LONGEST_LOCK:
            raise BadEntity(f"The lock of {self.name} must last from 5 s to 5 min.")
        if self.enable_partitioning:
            raise BadEntity(f"{self.name} cannot be partitioned: the stand-in has no partitions.")
        if not 1 <= self.max_delivery_count <= 2000:
            raise BadEntity(f"The maximum delivery count of {self.name} must be from 1 to 2000.")

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From `{"name": ..., "requiresSession": true, "lockDuration": "PT1M", ...}`; refuses what it does
        not know."""
        known = {_camel(field.name): field.name for field in fields(cls)}
        if unknown := given.keys() - known.keys():
            raise BadEntity(f"A queue has no {', '.join(sorted(unknown))}.")
        values: dict[str, Any] = {
            known[name]: _seconds(value) if _is_duration(value) else value for name, value in given.items()
        }
        return cls(**values)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _is_duration(value: object) -> bool:
    return isinstance(value, str) and len(value) > 1 and _DURATION.fullmatch(value) is not None


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    assert match is not None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 86_400 + hours * 3_600 + minutes * 60 + seconds
