"""Pull requests as a vendor shows them. Ours are the truth for rules and merges; what the vendor's users do
with theirs flows back in. What a difference between the two means is decided elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.domain.kernel.errors import NotFound
from shared.ports.source_host import Place


class HostRequestStatus(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRequest:
    """`number` is the vendor's own, unique in the repository. Branch names are short. `merge_sha` is what
    the target branch got, where it was merged; a squash or a rebase is no merge commit. `source_sha` is empty
    where the vendor has not looked at the branches yet. `updated_at` is at least when it began or ended; not
    every vendor tells of edits."""

    number: int
    url: str
    title: str
    description: str
    source_branch: str
    target_branch: str
    source_sha: str
    status: HostRequestStatus
    is_draft: bool
    author: str
    """The vendor's name of who opened it."""
    labels: tuple[str, ...]
    merge_sha: str | None
    updated_at: datetime
    merged_by: str | None = None
    """The vendor's name of who merged it, where it was merged and the vendor says so."""


class UnknownRequest(NotFound):
    code = "unknown_host_pull_request"


class RequestHost(Protocol):
    """Every method is safe to repeat. Requests from forks are not told of: their source is elsewhere."""

    async def open_request(
        self, place: Place, *, source: str, target: str, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        """The open one of this pair of branches, which is made where there is none. UnknownBranch; Invalid
        where the vendor does not take it, as where there is nothing to merge."""

    async def find_request(self, place: Place, number: int) -> HostRequest | None: ...

    async def requests(self, place: Place, *, since: datetime) -> list[HostRequest]:
        """Every open one, and those that ended at `since` or later, by number."""

    async def edit_request(
        self, place: Place, number: int, *, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        """Make it say this. UnknownRequest."""

    async def close_request(self, place: Place, number: int) -> None:
        """Without a merge. One that has ended is fine. UnknownRequest."""

    async def reopen_request(self, place: Place, number: int) -> HostRequest:
        """Undo a close. Invalid where the vendor does not; UnknownRequest."""
