"""What we keep of a repository at a vendor beside its content, in the repository's own root."""

from datetime import datetime

from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record


@record("host-request", root="repository")
class HostRequestRow(Entity):
    """Which pull request here is the vendor's of that number. Its id derives from the number, so that two who
    hear of a new one at once make one of it."""

    id: str
    tenant: str
    repository: str
    number: int
    pull_request: str
    revision: int = 0


@record("host-watch", root="repository")
class HostWatch(Entity):
    """How we hear of what happens there: when its pull requests were last compared, where its webhook sends
    to (None where there is none), and when the vendor was last asked for that."""

    id: str
    tenant: str
    repository: str
    followed_at: datetime | None = None
    hook_url: str | None = None
    hook_asked_at: datetime | None = None
    revision: int = 0


def host_request_id(repository: str, number: int) -> str:
    return child_id(repository, "host-request", str(number))


def watch_id(repository: str) -> str:
    return child_id(repository, "host-watch")
