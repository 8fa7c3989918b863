"""One vendor of an installation, by what it is asked for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.ports.ci_host import CiHost, HookHost
from shared.ports.request_host import RequestHost
from shared.ports.source_host import SourceHost


@dataclass(frozen=True, slots=True)
class Vendor:
    """`aclose` ends the connections that all of them share."""

    source: SourceHost
    ci: CiHost
    hooks: HookHost
    requests: RequestHost
    aclose: Callable[[], Awaitable[None]]
