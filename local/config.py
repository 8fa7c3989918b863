"""host.json as the local platform needs it: the settings that change what an app observes.

`functionTimeout` is not among them: the real host ends the worker process, and here that is the host itself.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BadHostFile(Exception):
    """host.json is missing or says something that the host cannot use."""


@dataclass(frozen=True)
class HostFile:
    """The real host's defaults apply where the file says nothing. Durations are in seconds."""

    route_prefix: str = "api"
    max_concurrent_calls: int = 16
    max_concurrent_sessions: int = 8
    lock_renewal: float = 300.0
    auto_complete: bool = True

    @classmethod
    def load(cls, app_directory: Path) -> "HostFile":
        """Read host.json of an app. Raises BadHostFile with the setting to mend."""
        path = app_directory / "host.json"
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise BadHostFile(f"{path} does not exist; serve a folder that holds a Functions app.") from None
        except (OSError, ValueError) as error:
            raise BadHostFile(f"{path} cannot be read: {error}") from None
        http = _section(content, "extensions", "http")
        bus = _section(content, "extensions", "serviceBus")
        return cls(
            route_prefix=_take(http, "routePrefix", cls.route_prefix, str).strip("/"),
            max_concurrent_calls=_take(bus, "maxConcurrentCalls", cls.max_concurrent_calls, int),
            max_concurrent_sessions=_take(bus, "maxConcurrentSessions", cls.max_concurrent_sessions, int),
            lock_renewal=_seconds(_take(bus, "maxAutoLockRenewalDuration", "00:05:00", str)),
            auto_complete=_take(bus, "autoCompleteMessages", cls.auto_complete, bool),
        )


def _section(content: object, *names: str) -> Mapping[str, Any]:
    for name in names:
        content = content.get(name, {}) if isinstance(content, dict) else {}
    return content if isinstance(content, dict) else {}


def _take[V](section: Mapping[str, Any], name: str, default: V, kind: type[V]) -> V:
    value: V = section.get(name, default)
    counts = kind is int
    if type(value) is not kind or (counts and isinstance(value, int) and value < 1):
        raise BadHostFile(f"host.json: {name} must be a {kind.__name__}{' above 0' if counts else ''}.")
    return value


def _seconds(text: str) -> float:
    """`[days.]hh:mm:ss` in seconds."""
    found = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})", text)
    if found is None:
        raise BadHostFile(f"host.json: {text!r} is not a duration; write hh:mm:ss.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
