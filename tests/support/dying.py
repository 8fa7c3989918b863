"""A process that dies at a chosen moment of a service's work on its source host."""

from pathlib import Path
from typing import Any

from tests.support.source import Source, a_source


class Died(Exception):
    """The process is gone."""


class DyingHost:
    """A host whose caller dies right after the named effect, once."""

    def __init__(self, host: Any, after: str) -> None:
        self._host = host
        self._after: str | None = after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._host, name)
        if name != self._after:
            return method

        async def effect_then_death(*args: Any, **kwargs: Any) -> Any:
            await method(*args, **kwargs)
            self._after = None
            raise Died

        return effect_then_death


def dying(source: Source, tmp_path: Path, after: str) -> Source:
    """The same installation, seen by a process that dies after one effect on the host."""
    other = a_source(tmp_path)
    source.spawned.append(other)
    object.__setattr__(other.branches, "host", DyingHost(other.host, after))
    for service in (other.repositories, other.commits, other.pull_requests):
        object.__setattr__(service, "host", other.branches.host)
    return other
