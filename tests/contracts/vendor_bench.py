"""A repository at a vendor with our ports to it, and what the vendor and its users do there by themselves.

Knows no vendor: each has a module of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from shared.ports.source_host import Place
from shared.ports.vendor import Vendor

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Ended:
    """How a run ended, and when. `jobs` have names of steps; `log` is by job; an artifact is some files."""

    conclusion: str
    jobs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    log: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    at: datetime = datetime(2030, 6, 11, 10, tzinfo=UTC)


class VendorBench(Protocol):
    """`head` is where `main` stands, the only branch. `success`, `failure` and `cancelled` are the vendor's
    words."""

    place: Place
    vendor: Vendor
    head: str
    success: str
    failure: str
    cancelled: str

    def add_workflow(self, path: str, *inputs: str) -> None:
        """One that can be started, and takes these inputs beside the one that names the request."""

    def begin(self, run: str) -> None:
        """A runner takes it up."""

    def end(self, run: str, ended: Ended) -> None: ...

    def expire(self, run: str, artifact: str) -> None:
        """Its time to be kept is over."""

    def runs(self) -> list[str]:
        """Every one there is."""

    def lose(self, what: Literal["start", "hook", "request"]) -> None:
        """The answer to the next call that makes one: it is made, and nobody is told."""

    def signed(self, body: bytes, secret: str) -> dict[str, str]:
        """The headers of a message that the vendor sends, with lower case names."""

    def push(self, branch: str, path: str) -> str:
        """A user's commit that adds a file; the branch is made on `main` where there is none. Its sha."""

    def delete_branch(self, branch: str) -> None: ...

    def open_request(self, source: str, target: str, title: str, *, fork: bool = False) -> int:
        """As a user does; from a fork, `source` is a branch there."""

    def merge_request(self, number: int, how: Literal["merge", "squash", "rebase"]) -> str:
        """As a user does. What the target got."""

    def close_request(self, number: int) -> None: ...

    def label_request(self, number: int, *labels: str) -> None: ...

    def forget_repository(self) -> None:
        """It is deleted."""
